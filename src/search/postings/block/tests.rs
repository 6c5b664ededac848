use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn entry(lexeme: &str, postings: Vec<Posting>) -> (String, Vec<Posting>) {
    (lexeme.to_owned(), postings)
}

fn posting(chunk_no: i32) -> Posting {
    Posting { chunk_no, ordinal: 0, tf: 1, length: 40 }
}

/// Postings in order, of every size that a field may have.
fn postings(most: usize) -> impl Strategy<Value = Vec<Posting>> {
    let numbers = prop_oneof![0..200_i32, 0..70_000_i32, Just(i32::MAX), 0..=i32::MAX];
    let tf = prop_oneof![Just(1_u32), 1..5_u32, 1..=u32::MAX];
    let length = prop_oneof![0..300_u32, 0..=u32::MAX];
    let fields = (prop_oneof![Just(0_i32), 0..9_i32, 0..=i32::MAX], tf, length);
    prop::collection::btree_map(numbers, fields, 1..most).prop_map(|map| {
        let posting = |(chunk_no, (ordinal, tf, length)): (i32, (i32, u32, u32))| Posting {
            chunk_no,
            ordinal: ordinal.min(chunk_no),
            tf,
            length,
        };
        map.into_iter().map(posting).collect()
    })
}

fn entries() -> impl Strategy<Value = Vec<(String, Vec<Posting>)>> {
    let lexeme = prop_oneof!["[a-c]{1,4}", "\\PC{1,12}", "[a-z]{500,2000}"];
    prop::collection::btree_map(lexeme, prop_oneof![4 => postings(4), 1 => postings(900)], 1..60)
        .prop_map(|map| map.into_iter().collect())
}

/// The blocks' content put together again, as a reader of the whole index sees it.
fn unpacked(blocks: &[Packed]) -> BTreeMap<String, Vec<Posting>> {
    let mut all: BTreeMap<String, Vec<Posting>> = BTreeMap::new();
    for block in blocks {
        for (lexeme, postings) in Block::open(&block.bytes).unwrap().unpack().unwrap() {
            all.entry(lexeme).or_default().extend(postings);
        }
    }
    all
}

proptest! {
    #[test]
    fn what_is_packed_comes_back(entries in entries()) {
        let blocks = pack(&entries);
        prop_assert_eq!(unpacked(&blocks), entries.iter().cloned().collect::<BTreeMap<_, _>>());
        prop_assert_eq!(blocks.iter().map(|block| block.posting_count).sum::<usize>(), entries.iter().map(|(_, p)| p.len()).sum::<usize>());
        for block in &blocks {
            prop_assert!(block.bytes.len() <= LARGEST_BYTES, "{} bytes", block.bytes.len());
            let content = Block::open(&block.bytes).unwrap().unpack().unwrap();
            prop_assert_eq!((&content[0].0, content[0].1[0].chunk_no), (&block.first_lexeme, block.first_chunk_no));
        }
        let keys: Vec<_> = blocks.iter().map(|block| (&block.first_lexeme, block.first_chunk_no)).collect();
        prop_assert!(keys.is_sorted_by(|a, b| a < b), "each block has a key of its own, in order");
    }

    #[test]
    fn a_lexeme_is_found_where_it_is_and_nowhere_else(entries in entries(), other in "\\PC{1,5}") {
        let known: BTreeMap<_, _> = entries.iter().cloned().collect();
        let blocks = pack(&entries);
        for lexeme in known.keys().chain([&other]) {
            let mut found = Vec::new();
            for block in &blocks {
                if let Some(list) = Block::open(&block.bytes).unwrap().find(lexeme).unwrap() {
                    found.extend(list.to_vec().unwrap());
                }
            }
            prop_assert_eq!(found, known.get(lexeme).cloned().unwrap_or_default());
        }
    }

    #[test]
    fn no_damage_goes_unnoticed(entries in entries(), at in any::<prop::sample::Index>(), bit in 0..8_u32, cut in any::<prop::sample::Index>()) {
        let bytes = pack(&entries).swap_remove(0).bytes;
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= 1 << bit;
        prop_assert!(Block::open(&flipped).is_err());
        prop_assert!(Block::open(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn hostile_bytes_with_a_right_checksum_end_in_an_answer_or_an_error(
        content in prop_oneof![prop::collection::vec(any::<u8>(), 0..300), prop::collection::vec(0..6_u8, 0..300)],
        damaged in prop::option::of((any::<prop::sample::Index>(), any::<u8>())), entries in entries(),
    ) {
        // Either any bytes, or a true block in which one byte differs.
        let mut content = match damaged {
            None => content,
            Some(_) => pack(&entries).swap_remove(0).bytes.split_off(HEADER_BYTES),
        };
        if let Some((at, byte)) = damaged {
            let at = at.index(content.len());
            content[at] = byte;
        }
        let mut bytes = vec![VERSION];
        bytes.extend(crc32fast::hash(&content).to_le_bytes());
        bytes.extend(content);
        let block = Block::open(&bytes).unwrap();
        let _ = block.find("a");
        let _ = block.lexemes();
        if let Ok(all) = block.unpack() {
            // Whatever passes for a block holds what a block may hold.
            prop_assert!(all.is_sorted_by(|a, b| a.0 < b.0));
            for (_, postings) in all {
                prop_assert!(!postings.is_empty() && postings.is_sorted_by(|a, b| a.chunk_no < b.chunk_no));
                prop_assert!(postings.iter().all(|p| p.tf > 0 && p.ordinal >= 0 && p.ordinal <= p.chunk_no));
            }
        }
    }
}

#[test]
fn a_common_posting_takes_two_bytes_and_a_rare_lexeme_few_more() {
    let common = pack(&[entry("common", (0..1_500).map(posting).collect())]);
    assert!(common.len() == 1 && common[0].bytes.len() < 3_050, "{}", common[0].bytes.len());
    let rare: Vec<_> = (0..200).map(|n| entry(&format!("lexeme{n:04}"), vec![posting(n)])).collect();
    let rare = pack(&rare);
    assert!(rare.len() == 1 && rare[0].bytes.len() < 200 * 10, "{}", rare[0].bytes.len());
}

#[test]
fn a_block_that_grows_too_large_is_halved() {
    let one: Vec<Posting> = (0..1_940).map(posting).collect();
    assert_eq!(pack(&[entry("a", one.clone())]).len(), 1);
    let mut more = one;
    more.extend((1_940..2_000).map(posting));
    let sizes: Vec<usize> = pack(&[entry("a", more)]).iter().map(|block| block.bytes.len()).collect();
    assert!(sizes.len() == 2 && sizes.iter().all(|bytes| (1_500..2_600).contains(bytes)), "{sizes:?}");
}

#[test]
fn nothing_packs_to_nothing() {
    assert_eq!(pack(&[]), []);
    assert_eq!(Block::open(&[]).unwrap_err(), Damaged("a block ends in its header"));
    assert!(Block::open(&[2, 0, 0, 0, 0]).is_err());
}
