//! Puts postings into blocks as keys go into the leaves of a B-tree.

use std::collections::BTreeMap;

use crate::search::postings::Posting;

/// Postings by lexeme, in order of chunk number.
pub(super) type Entries = Vec<(String, Vec<Posting>)>;

/// A block's key: its first lexeme, and that one's first chunk.
pub(super) type Key = (String, i32);

/// For each block that gets new postings its place among `keys` and what it gets, in order.
///
/// A block holds what lies from its own key to the next one's; what lies before the first goes into the first. `keys`
/// are in order.
pub(super) fn route(keys: &[Key], new: BTreeMap<String, Vec<Posting>>) -> Vec<(usize, Entries)> {
    let mut routed: Vec<(usize, Entries)> = Vec::new();
    let mut at = 0;
    for (lexeme, postings) in new {
        for posting in postings {
            while keys
                .get(at + 1)
                .is_some_and(|(first, chunk_no)| (first.as_str(), *chunk_no) <= (&lexeme, posting.chunk_no))
            {
                at += 1;
            }
            if routed.last().is_none_or(|(block, _)| *block != at) {
                routed.push((at, Vec::new()));
            }
            // The entry before is of the same lexeme, or this one begins another.
            if let Some((_, entries)) = routed.last_mut() {
                match entries.last_mut() {
                    Some((last, list)) if *last == lexeme => list.push(posting),
                    _ => entries.push((lexeme.clone(), vec![posting])),
                }
            }
        }
    }
    routed
}

/// Both together; of two postings of one lexeme and chunk the second side's stays.
pub(super) fn merged(old: Entries, new: Entries) -> Entries {
    let mut all = Vec::with_capacity(old.len() + new.len());
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return all,
        };
        match order {
            std::cmp::Ordering::Less => all.extend(old.next()),
            std::cmp::Ordering::Greater => all.extend(new.next()),
            std::cmp::Ordering::Equal => {
                let pair = old.next().zip(new.next());
                all.extend(pair.map(|((lexeme, a), (_, b))| (lexeme, merged_lists(a, b))));
            }
        }
    }
}

fn merged_lists(mut old: Vec<Posting>, new: Vec<Posting>) -> Vec<Posting> {
    let appends = old.last().zip(new.first()).is_none_or(|(last, first)| last.chunk_no < first.chunk_no);
    if appends {
        old.extend(new);
        return old;
    }
    let mut by_chunk: BTreeMap<i32, Posting> = old.into_iter().map(|posting| (posting.chunk_no, posting)).collect();
    by_chunk.extend(new.into_iter().map(|posting| (posting.chunk_no, posting)));
    by_chunk.into_values().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::search::postings::block::{Block, Packed, pack};

    /// Lexemes' postings, many enough for several blocks.
    fn batch() -> impl Strategy<Value = BTreeMap<String, Vec<Posting>>> {
        let posting = |chunk_no: i32| Posting { chunk_no, ordinal: 0, tf: 1, length: 9 };
        let chunks = prop::collection::btree_set(0..5_000_i32, 1..1_500);
        let lexeme = prop_oneof!["[a-b]{1,3}", "[a-z]{1,9}"];
        prop::collection::btree_map(lexeme, chunks, 1..12).prop_map(move |map| {
            map.into_iter().map(|(lexeme, chunks)| (lexeme, chunks.into_iter().map(posting).collect())).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn blocks_hold_every_batch_in_any_order(batches in prop::collection::vec(batch(), 1..5)) {
            let mut blocks: BTreeMap<Key, Packed> = BTreeMap::new();
            let mut whole: BTreeMap<(String, i32), Posting> = BTreeMap::new();
            for batch in batches {
                for (lexeme, postings) in &batch {
                    whole.extend(postings.iter().map(|posting| ((lexeme.clone(), posting.chunk_no), *posting)));
                }
                let keys: Vec<Key> = blocks.keys().cloned().collect();
                for (at, new) in route(&keys, batch) {
                    let old = keys.get(at).and_then(|key| blocks.remove(key));
                    let old = old.map(|block| Block::open(&block.bytes).unwrap().unpack().unwrap()).unwrap_or_default();
                    for packed in pack(&merged(old, new)) {
                        blocks.insert((packed.first_lexeme.clone(), packed.first_chunk_no), packed);
                    }
                }
            }
            let mut found = Vec::new();
            for block in blocks.values() {
                for (lexeme, postings) in Block::open(&block.bytes).unwrap().unpack().unwrap() {
                    found.extend(postings.into_iter().map(|posting| ((lexeme.clone(), posting.chunk_no), posting)));
                }
            }
            prop_assert!(found.is_sorted_by(|a, b| a.0 < b.0), "blocks lie side by side");
            prop_assert_eq!(found, whole.into_iter().collect::<Vec<_>>());
        }
    }
}
