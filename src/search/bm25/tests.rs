mod pruning;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::search::postings::block::{Block, Packed, pack};

fn posting(chunk_no: i32, ordinal: i32, tf: u32, length: u32) -> Posting {
    Posting { chunk_no, ordinal, tf, length }
}

fn term(postings: Vec<Posting>) -> TermPostings<'static> {
    TermPostings { term: "term".into(), query_weight: 1.0, merged: Vec::new(), fresh: postings }
}

/// Scores with every document to be found.
fn score(statistics: Statistics, parameters: Parameters, terms: &[TermPostings<'_>]) -> Vec<ScoredChunk> {
    super::score(statistics, parameters, terms, &Selection::default()).unwrap()
}

#[test]
fn a_hand_worked_example_holds() {
    let statistics = Statistics { chunk_count: 4, total_length: 40 };
    let chunks = score(statistics, Parameters::default(), &[term(vec![posting(0, 0, 2, 10), posting(7, 0, 1, 20)])]);
    let idf = 2.0_f64.ln();
    assert!((chunks[0].score - idf * 2.0 / 3.2).abs() < 1e-12);
    assert!((chunks[1].score - idf / (1.0 + 1.2 * 1.75)).abs() < 1e-12);
}

#[test]
fn an_empty_collection_or_query_scores_nothing() {
    let none = score(Statistics::default(), Parameters::default(), &[term(vec![])]);
    assert_eq!(none, []);
    assert_eq!(best_per_document(&none, 100), []);
    assert_eq!(score(Statistics::default(), Parameters::default(), &[]), []);
}

#[test]
fn lengths_of_zero_and_stale_statistics_give_finite_scores() {
    for statistics in [
        Statistics::default(),
        Statistics { chunk_count: 3, total_length: 0 },
        Statistics { chunk_count: 0, total_length: 9 },
    ] {
        let postings = (0..5).map(|chunk_no| posting(chunk_no, 0, 1, 0)).collect();
        let chunks = score(statistics, Parameters::default(), &[term(postings)]);
        assert_eq!(chunks.len(), 5);
        assert!(chunks.iter().all(|chunk| chunk.score.is_finite() && chunk.score > 0.0));
    }
}

#[test]
fn what_may_not_be_found_counts_for_df_alone_and_the_dead_for_nothing() {
    let statistics = Statistics { chunk_count: 10, total_length: 100 };
    let blocks = pack(&[("term".to_owned(), vec![posting(1, 0, 1, 10), posting(2, 0, 1, 10), posting(3, 1, 1, 10)])]);
    let list = Block::open(&blocks[0].bytes).unwrap().find("term").unwrap().unwrap();
    let terms = [TermPostings { merged: vec![list], ..term(vec![posting(4, 0, 1, 10)]) }];
    let found = |selection: &Selection| super::score(statistics, Parameters::default(), &terms, selection).unwrap();
    let all = found(&Selection::default());
    assert_eq!(all.len(), 4);
    let filtered = found(&Selection { passing: Some([2, 3].into_iter().collect()), ..Selection::default() });
    assert_eq!(filtered, all[1..3]);
    let without_dead = found(&Selection { dead: [1, 77].into_iter().collect(), ..Selection::default() });
    let afresh = score(
        statistics,
        Parameters::default(),
        &[term(vec![posting(2, 0, 1, 10), posting(3, 1, 1, 10), posting(4, 0, 1, 10)])],
    );
    assert_eq!(without_dead, afresh);
    assert!(without_dead[0].score > all[1].score, "a rarer term weighs more");
}

#[test]
fn blocks_that_overlap_are_an_error() {
    let block = |chunk_no| pack(&[("term".to_owned(), vec![posting(chunk_no, 0, 1, 1)])]).swap_remove(0).bytes;
    let (one, other) = (block(5), block(5));
    let list = |bytes| Block::open(bytes).unwrap().find("term").unwrap().unwrap();
    let terms = [TermPostings { merged: vec![list(&one), list(&other)], ..term(vec![]) }];
    let scored = super::score(Statistics::default(), Parameters::default(), &terms, &Selection::default());
    assert!(scored.is_err());
}

#[test]
fn the_extremes_of_chunk_numbers_are_kept() {
    let postings = vec![posting(i32::MAX, 3, 1, 1), posting(0, 0, 1, 1), posting(2048, 1, 1, 1)];
    let statistics = Statistics { chunk_count: 3, total_length: 3 };
    let chunks = score(statistics, Parameters::default(), &[term(postings)]);
    let numbers: Vec<i32> = chunks.iter().map(|chunk| chunk.chunk_no).collect();
    assert_eq!(numbers, [0, 2048, i32::MAX]);
    let documents = best_per_document(&chunks, 9);
    assert_eq!(documents[2].first_chunk_no, i32::MAX - 3);
}

#[test]
fn the_best_chunk_speaks_for_its_document_and_ties_go_to_the_lower() {
    let chunk = |chunk_no, ordinal, score| ScoredChunk { chunk_no, ordinal, score };
    let chunks = [chunk(3, 0, 1.0), chunk(4, 1, 2.0), chunk(5, 2, 2.0), chunk(9, 0, 2.0), chunk(11, 1, 5.0)];
    let ranked = best_per_document(&chunks, 2);
    let document = |first_chunk_no, chunk_no, score, rank| RankedDocument { first_chunk_no, chunk_no, score, rank };
    assert_eq!(ranked, [document(10, 11, 5.0, 1), document(3, 4, 2.0, 2)]);
    assert_eq!(best_per_document(&chunks, 0), []);
    assert_eq!(best_per_document(&chunks, 9).len(), 3);
}

/// Chunk numbers with gaps between documents, as deletions leave them, over several pages.
fn numbered(document: usize, number: usize) -> i32 {
    i32::try_from(number + 700 * document).unwrap()
}

/// The chunks of the documents to be found.
fn kept(documents: &[Vec<Vec<u8>>], keep: impl Fn(usize) -> bool) -> ChunkSet {
    let places = documents.iter().enumerate().flat_map(|(place, document)| std::iter::repeat_n(place, document.len()));
    places.enumerate().filter(|(_, place)| keep(*place)).map(|(number, place)| numbered(place, number)).collect()
}

/// BM25 straight from the texts, with none of the code above: documents of chunks of words.
fn naive(documents: &[Vec<Vec<u8>>], query: &[u8], keep: impl Fn(usize) -> bool) -> Vec<(i32, f64)> {
    let chunks: Vec<&Vec<u8>> = documents.iter().flatten().collect();
    let count = |words: &[u8], word: u8| words.iter().filter(|other| **other == word).count() as f64;
    let average = chunks.iter().map(|words| words.len()).sum::<usize>() as f64 / chunks.len() as f64;
    let mut number = 0;
    let mut best = Vec::new();
    for (place, document) in documents.iter().enumerate() {
        let first = numbered(place, number);
        let mut top: Option<(i32, f64)> = None;
        for words in document {
            let mut sum = 0.0;
            for word in query {
                let df = chunks.iter().filter(|chunk| chunk.contains(word)).count() as f64;
                let idf = (1.0 + (chunks.len() as f64 - df + 0.5) / (df + 0.5)).ln();
                let tf = count(words, *word);
                let norm = if average == 0.0 { 1.0 } else { words.len() as f64 / average };
                sum += idf * tf / (tf + 1.2 * (0.25 + 0.75 * norm));
            }
            if sum > 0.0 && keep(place) && top.is_none_or(|(_, most)| sum > most) {
                top = Some((first, sum));
            }
            number += 1;
        }
        best.extend(top);
    }
    best.sort_by(|a, b| b.1.total_cmp(&a.1));
    best
}

/// A word, how often the query says it, its blocks and its fresh postings.
type Indexed = (u8, u32, Vec<Packed>, Vec<Posting>);

/// The postings of each word of the query, the first `merged` chunks' in blocks and the others' fresh.
fn index(documents: &[Vec<Vec<u8>>], query: &[u8], merged: usize) -> (Statistics, Vec<Indexed>) {
    let mut query_counts = BTreeMap::new();
    for word in query {
        *query_counts.entry(*word).or_insert(0) += 1;
    }
    let chunks: Vec<(usize, usize, &Vec<u8>)> = documents
        .iter()
        .enumerate()
        .flat_map(|(place, document)| document.iter().enumerate().map(move |(ordinal, words)| (place, ordinal, words)))
        .collect();
    let statistics = Statistics {
        chunk_count: chunks.len() as u64,
        total_length: chunks.iter().map(|(_, _, words)| words.len() as u64).sum(),
    };
    let terms = query_counts
        .into_iter()
        .map(|(word, query_count)| {
            let postings: Vec<Posting> = chunks
                .iter()
                .enumerate()
                .filter(|(_, (_, _, words))| words.contains(&word))
                .map(|(number, (place, ordinal, words))| Posting {
                    chunk_no: numbered(*place, number),
                    ordinal: *ordinal as i32,
                    tf: words.iter().filter(|other| **other == word).count() as u32,
                    length: words.len() as u32,
                })
                .collect();
            let (merged, fresh): (Vec<_>, Vec<_>) =
                postings.into_iter().partition(|p| p.chunk_no < numbered(0, merged));
            let blocks = if merged.is_empty() { Vec::new() } else { pack(&[(word.to_string(), merged)]) };
            (word, query_count, blocks, fresh.into_iter().rev().collect())
        })
        .collect();
    (statistics, terms)
}

proptest! {
    #[test]
    fn scores_are_those_of_a_naive_implementation(
        documents in prop::collection::vec(prop::collection::vec(prop::collection::vec(0_u8..12, 0..9), 1..5), 1..30),
        query in prop::collection::vec(0_u8..14, 0..6),
        modulus in 1_usize..4,
        merged in 0_usize..9_000,
    ) {
        let keep = |number: usize| number.is_multiple_of(modulus);
        let expected = naive(&documents, &query, keep);
        let (statistics, index) = index(&documents, &query, merged);
        let terms: Vec<TermPostings<'_>> = index
            .iter()
            .map(|(word, query_count, blocks, fresh)| TermPostings {
                term: word.to_string(),
                query_weight: f64::from(*query_count),
                merged: blocks.iter().map(|block| Block::open(&block.bytes).unwrap().find(&word.to_string()).unwrap().unwrap()).collect(),
                fresh: fresh.clone(),
            })
            .collect();
        let selection = Selection { passing: Some(kept(&documents, keep)), ..Selection::default() };
        let chunks = super::score(statistics, Parameters::default(), &terms, &selection).unwrap();
        prop_assert!(chunks.is_sorted_by(|a, b| a.chunk_no < b.chunk_no));
        let ranked = best_per_document(&chunks, usize::MAX);
        prop_assert_eq!(ranked.len(), expected.len());
        // Scores equal but for the order of addition may change places: compare place by place
        // the scores, and by document everything else.
        let mut by_document: BTreeMap<i32, &RankedDocument> = BTreeMap::new();
        for (place, document) in ranked.iter().enumerate() {
            prop_assert!((document.score - expected[place].1).abs() < 1e-9);
            prop_assert_eq!(document.rank as usize, place + 1);
            by_document.insert(document.first_chunk_no, document);
        }
        for (first, best) in &expected {
            let document = by_document[first];
            prop_assert!((document.score - best).abs() < 1e-9);
        }
        let depth = 3.min(ranked.len());
        prop_assert_eq!(&best_per_document(&chunks, depth)[..], &ranked[..depth]);
    }
}
