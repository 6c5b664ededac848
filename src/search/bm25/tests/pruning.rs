//! What is passed over is never among the best: [`rank`] is [`best_per_document`] of [`score`], to the last bit.

use proptest::prelude::*;

use super::super::*;
use crate::search::postings::block::{Block, Packed, pack};

/// A posting for each of `share` in a thousand of the chunks, chosen by a hash.
fn postings(chunks: i32, per_document: i32, share: u64, seed: u64) -> Vec<Posting> {
    let hash = |number: i32| {
        let mixed = (number.unsigned_abs() as u64 ^ seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
    };
    let held = (0..chunks).filter(|number| hash(*number) % 1_000 < share);
    held.map(|chunk_no| {
        let drawn = hash(chunk_no.wrapping_mul(31));
        Posting {
            chunk_no,
            ordinal: chunk_no % per_document,
            tf: 1 + u32::try_from(drawn % 11 / 8).unwrap() * 3,
            length: 40 + u32::try_from(drawn % 7).unwrap() * 10,
        }
    })
    .collect()
}

/// A term's blocks, and its postings that are not merged.
fn indexed(postings: Vec<Posting>, merged_below: i32) -> (Vec<Packed>, Vec<Posting>) {
    let (merged, fresh): (Vec<_>, Vec<_>) = postings.into_iter().partition(|posting| posting.chunk_no < merged_below);
    (if merged.is_empty() { Vec::new() } else { pack(&[("term".to_owned(), merged)]) }, fresh)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_best_are_the_best_of_all(
        chunks in 1_i32..20_000,
        per_document in 1_i32..4,
        shares in prop::collection::vec(prop_oneof![1_u64..10, 10_u64..200, 300_u64..1_000], 1..5),
        merged_share in 0_i32..=4,
        depth in prop_oneof![1_usize..12, 100_usize..300],
        every_dead in prop_oneof![Just(0_usize), 2_usize..40],
        passing_below in prop_oneof![Just(None), (0_i32..20_000).prop_map(Some)],
    ) {
        let merged_below = chunks / 4 * merged_share;
        let index: Vec<_> = shares.iter().zip(1..)
            .map(|(share, seed)| indexed(postings(chunks, per_document, *share, seed), merged_below))
            .collect();
        let terms: Vec<TermPostings<'_>> = index.iter()
            .map(|(blocks, fresh)| TermPostings {
                term: "term".to_owned(),
                query_weight: 1.0,
                merged: blocks.iter().map(|block| Block::open(&block.bytes).unwrap().find("term").unwrap().unwrap()).collect(),
                fresh: fresh.clone(),
            })
            .collect();
        let dead = (0..chunks).filter(|number| every_dead > 0 && (*number as usize).is_multiple_of(every_dead));
        let selection = Selection {
            dead: dead.filter(|number| *number < merged_below).collect(),
            passing: passing_below.map(|below| (0..below).collect()),
            ..Selection::default()
        };
        let statistics = Statistics { chunk_count: u64::try_from(chunks).unwrap(), total_length: 60 * u64::try_from(chunks).unwrap() };
        let parameters = Parameters::default();
        let all = score(statistics, parameters, &terms, &selection).unwrap();
        let best = rank(statistics, parameters, &terms, &selection, depth).unwrap();
        prop_assert_eq!(best, best_per_document(&all, depth));
    }
}
