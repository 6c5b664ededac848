//! Weighted reciprocal rank fusion of the two sides of a hybrid search.
//!
//! Cormack, Clarke and Büttcher, Reciprocal Rank Fusion outperforms Condorcet and individual Rank
//! Learning Methods (2009): a document's score is `Σ weight / (60 + rank)` over the sides that found
//! it, ranks from 1. Only ranks count, so that the scores of the sides need no common scale.

use std::collections::HashMap;

use super::bm25::RankedDocument;

/// The constant of Cormack et al., which keeps the first few ranks from deciding everything.
pub const RANK_CONSTANT: f64 = 60.0;

/// How much each side counts. A side of weight 0 (or below, or not a number) proposes no document,
/// and is only reported for those that the other side found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Of the full-text side.
    pub bm25: f64,
    /// Of the vector side.
    pub vector: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { bm25: 0.5, vector: 0.5 }
    }
}

/// A document's place in one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// From 1.
    pub rank: u32,
    /// The side's own score.
    pub score: f64,
    /// The chunk that spoke for the document.
    pub chunk_no: i32,
}

/// A document in the order of both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FusedDocument {
    /// The number of the document's first chunk, which identifies it within the tenant.
    pub first_chunk_no: i32,
    /// The chunk to show: that of the side which contributes more, the full-text side's of equals.
    pub chunk_no: i32,
    /// `Σ weight / (60 + rank)`.
    pub combined_score: f64,
    /// Its place in the full-text side, if that found it.
    pub bm25: Option<Place>,
    /// Its place in the vector side, if that found it.
    pub vector: Option<Place>,
}

/// The fused order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fusion {
    /// Best first; of equals the lower first chunk number.
    pub documents: Vec<FusedDocument>,
    /// Distinct documents that the sides proposed: the length of `documents`.
    pub total_candidates: usize,
}

/// Fuses the two sides. A document that a side lists twice counts by its first entry.
pub fn fuse(bm25: &[RankedDocument], vector: &[RankedDocument], weights: Weights) -> Fusion {
    let mut places: HashMap<i32, (Option<Place>, Option<Place>)> = HashMap::with_capacity(bm25.len() + vector.len());
    for document in bm25 {
        let (place, _) = places.entry(document.first_chunk_no).or_default();
        place.get_or_insert(Place::of(document));
    }
    for document in vector {
        let (_, place) = places.entry(document.first_chunk_no).or_default();
        place.get_or_insert(Place::of(document));
    }
    let mut documents: Vec<FusedDocument> = places
        .into_iter()
        .filter_map(|(first_chunk_no, (bm25, vector))| fused(first_chunk_no, bm25, vector, weights))
        .collect();
    documents.sort_unstable_by(|a, b| {
        b.combined_score.total_cmp(&a.combined_score).then(a.first_chunk_no.cmp(&b.first_chunk_no))
    });
    Fusion { total_candidates: documents.len(), documents }
}

impl Place {
    fn of(document: &RankedDocument) -> Self {
        Self { rank: document.rank, score: document.score, chunk_no: document.chunk_no }
    }
}

fn fused(first_chunk_no: i32, bm25: Option<Place>, vector: Option<Place>, weights: Weights) -> Option<FusedDocument> {
    let by_bm25 = contribution(bm25, weights.bm25);
    let by_vector = contribution(vector, weights.vector);
    let combined_score = by_bm25 + by_vector;
    let shown = if by_vector > by_bm25 { vector } else { bm25 };
    (combined_score > 0.0).then_some(())?;
    Some(FusedDocument { first_chunk_no, chunk_no: shown?.chunk_no, combined_score, bm25, vector })
}

fn contribution(place: Option<Place>, weight: f64) -> f64 {
    // Not `weight <= 0.0`, which lets NaN through.
    let weight = if weight > 0.0 { weight } else { 0.0 };
    place.map_or(0.0, |place| weight / (RANK_CONSTANT + f64::from(place.rank)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A side that lists these documents in order; `offset` tells its chunks from the other side's.
    fn side(documents: &[i32], offset: i32) -> Vec<RankedDocument> {
        (1..)
            .zip(documents)
            .map(|(rank, first)| RankedDocument {
                first_chunk_no: *first,
                chunk_no: first + offset,
                score: 1.0 / f64::from(rank),
                rank,
            })
            .collect()
    }

    #[test]
    fn both_sides_add_up_and_a_missing_side_adds_nothing() {
        let fusion = fuse(&side(&[10, 20], 0), &side(&[20, 30], 1), Weights::default());
        let order: Vec<i32> = fusion.documents.iter().map(|document| document.first_chunk_no).collect();
        assert_eq!(order, [20, 10, 30]);
        assert_eq!(fusion.total_candidates, 3);
        let first = fusion.documents[0];
        assert!((first.combined_score - (0.5 / 62.0 + 0.5 / 61.0)).abs() < 1e-15);
        assert_eq!((first.bm25.map(|p| p.rank), first.vector.map(|p| p.rank)), (Some(2), Some(1)));
        assert_eq!(first.chunk_no, 21, "the vector side contributes more");
        assert_eq!(fusion.documents[1].vector, None);
    }

    #[test]
    fn ties_go_to_the_lower_document_and_the_full_text_chunk() {
        let fusion = fuse(&side(&[9, 5], 0), &side(&[5, 9], 1), Weights::default());
        assert_eq!(fusion.documents[0].first_chunk_no, 5);
        let same = fuse(&side(&[7], 0), &side(&[7], 1), Weights::default());
        assert_eq!(same.documents[0].chunk_no, 7);
    }

    #[test]
    fn a_side_without_weight_proposes_nothing() {
        for weight in [0.0, -1.0, f64::NAN] {
            let weights = Weights { bm25: 1.0, vector: weight };
            let fusion = fuse(&side(&[1, 2], 0), &side(&[3, 2], 1), weights);
            let order: Vec<i32> = fusion.documents.iter().map(|d| d.first_chunk_no).collect();
            assert_eq!(order, [1, 2]);
            assert_eq!(fusion.documents[1].vector.map(|place| place.rank), Some(2));
        }
        assert_eq!(fuse(&side(&[1], 0), &[], Weights { bm25: 0.0, vector: 0.0 }), Fusion::default());
        assert_eq!(fuse(&[], &[], Weights::default()), Fusion::default());
    }

    fn documents() -> impl Strategy<Value = Vec<i32>> {
        prop::collection::btree_set(0_i32..40, 0..20).prop_map(|set| set.into_iter().collect::<Vec<_>>()).prop_shuffle()
    }

    proptest! {
        #[test]
        fn the_sides_may_change_places(a in documents(), b in documents(), x in 0.0..2.0, y in 0.0..2.0) {
            let one = fuse(&side(&a, 0), &side(&b, 0), Weights { bm25: x, vector: y });
            let mut other = fuse(&side(&b, 0), &side(&a, 0), Weights { bm25: y, vector: x });
            for document in &mut other.documents {
                std::mem::swap(&mut document.bm25, &mut document.vector);
            }
            prop_assert_eq!(one, other);
        }

        #[test]
        fn a_better_rank_never_lowers_a_document(a in documents(), b in documents(), at in any::<prop::sample::Index>()) {
            let at = 1 + at.index(a.len().max(2) - 1);
            prop_assume!(at < a.len());
            let weights = Weights::default();
            let score = |fusion: &Fusion, first: i32| {
                let found = fusion.documents.iter().position(|d| d.first_chunk_no == first).unwrap();
                (found, fusion.documents[found].combined_score)
            };
            let before = score(&fuse(&side(&a, 0), &side(&b, 1), weights), a[at]);
            let mut raised = a.clone();
            raised.swap(at - 1, at);
            let after = score(&fuse(&side(&raised, 0), &side(&b, 1), weights), a[at]);
            prop_assert!(after.1 > before.1 && after.0 <= before.0);
        }

        #[test]
        fn every_candidate_appears_once_in_order(a in documents(), b in documents()) {
            let fusion = fuse(&side(&a, 0), &side(&b, 1), Weights::default());
            let mut distinct: Vec<i32> = a.iter().chain(&b).copied().collect();
            distinct.sort_unstable();
            distinct.dedup();
            let mut found: Vec<i32> = fusion.documents.iter().map(|d| d.first_chunk_no).collect();
            found.sort_unstable();
            prop_assert_eq!(found, distinct);
            let in_order = fusion.documents.is_sorted_by(|x, y| {
                x.combined_score > y.combined_score
                    || (x.combined_score == y.combined_score && x.first_chunk_no < y.first_chunk_no)
            });
            prop_assert!(in_order);
            prop_assert_eq!(&fusion, &fuse(&side(&a, 0), &side(&b, 1), Weights::default()));
            for document in &fusion.documents {
                prop_assert!(document.bm25.is_some() || document.vector.is_some());
            }
        }
    }
}
