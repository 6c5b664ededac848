//! Measures of a ranked list against relevance judgements. A grade above zero is relevant. A document listed twice
//! counts once, at its first place; the repeat still takes up a rank.

use std::collections::{HashMap, HashSet};

/// Means over the queries that have at least one relevant document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Mean nDCG of the first 10, linear gain.
    pub ndcg_at_10: f64,
    /// Mean share of the relevant documents among the first 100.
    pub recall_at_100: f64,
    /// Mean reciprocal rank of the first relevant document among the first 10.
    pub mrr_at_10: f64,
}

impl Quality {
    /// Averages over (found, judged) pairs, one a query; `None` if no query has a relevant document.
    pub fn average<'a>(runs: impl IntoIterator<Item = (&'a [String], &'a HashMap<String, f64>)>) -> Option<Self> {
        let (mut ndcg, mut recall, mut reciprocal, mut queries) = (0.0, 0.0, 0.0, 0.0);
        for (found, judged) in runs {
            if !judged.values().any(|grade| *grade > 0.0) {
                continue;
            }
            ndcg += ndcg_at(found, judged, 10);
            recall += recall_at(found, judged, 100);
            reciprocal += reciprocal_rank_at(found, judged, 10);
            queries += 1.0;
        }
        (queries > 0.0).then(|| Self {
            ndcg_at_10: ndcg / queries,
            recall_at_100: recall / queries,
            mrr_at_10: reciprocal / queries,
        })
    }
}

/// nDCG of the first `k`: gain the grade itself, discount log2(rank + 1), as trec_eval; 0 if none is relevant.
pub fn ndcg_at(found: &[String], judged: &HashMap<String, f64>, k: usize) -> f64 {
    let mut ideal: Vec<f64> = judged.values().copied().filter(|grade| *grade > 0.0).collect();
    ideal.sort_by(|a, b| b.total_cmp(a));
    let best = discounted(ideal.into_iter().take(k));
    if best > 0.0 { discounted(gains(found, judged, k)) / best } else { 0.0 }
}

/// Share of all relevant documents that are among the first `k`; 0 if none is relevant.
pub fn recall_at(found: &[String], judged: &HashMap<String, f64>, k: usize) -> f64 {
    let relevant = judged.values().filter(|grade| **grade > 0.0).count();
    let hits = gains(found, judged, k).filter(|gain| *gain > 0.0).count();
    if relevant > 0 { hits as f64 / relevant as f64 } else { 0.0 }
}

/// One over the rank of the first relevant document among the first `k`; 0 if there is none.
pub fn reciprocal_rank_at(found: &[String], judged: &HashMap<String, f64>, k: usize) -> f64 {
    gains(found, judged, k).position(|gain| gain > 0.0).map_or(0.0, |place| 1.0 / (place + 1) as f64)
}

fn gains<'a>(found: &'a [String], judged: &'a HashMap<String, f64>, k: usize) -> impl Iterator<Item = f64> + 'a {
    let mut seen = HashSet::new();
    found.iter().take(k).map(move |id| {
        let first = seen.insert(id.as_str());
        judged.get(id).copied().filter(|grade| first && *grade > 0.0).unwrap_or(0.0)
    })
}

fn discounted(gains: impl Iterator<Item = f64>) -> f64 {
    gains.enumerate().map(|(place, gain)| gain / (place as f64 + 2.0).log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| id.to_string()).collect()
    }

    fn judged(grades: &[(&str, f64)]) -> HashMap<String, f64> {
        grades.iter().map(|(id, grade)| (id.to_string(), *grade)).collect()
    }

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-4, "{left} is not {right}");
    }

    #[test]
    fn ndcg_has_linear_gain_and_log2_discount() {
        let judged = judged(&[("a", 4.0), ("b", 2.0), ("c", 1.0), ("n", 0.0), ("m", -1.0)]);
        // Ideal: 4/1 + 2/1.58496 + 1/2 = 5.76186. Found: 0 + 2/1.58496 + 0 + 4/2.32193 = 2.98456.
        close(ndcg_at(&found(&["x", "b", "n", "a"]), &judged, 10), 0.51799);
        // At 2 the ideal is 4 + 1.26186 = 5.26186 and the found 1.26186.
        close(ndcg_at(&found(&["x", "b", "n", "a"]), &judged, 2), 0.23981);
        close(ndcg_at(&found(&["a", "b", "c"]), &judged, 10), 1.0);
        // A negative grade neither adds nor takes away: (0 + 4/1.58496) / 5.76186.
        close(ndcg_at(&found(&["m", "a"]), &judged, 10), 0.43800);
    }

    #[test]
    fn a_repeated_document_counts_once_and_takes_a_rank() {
        let judged = judged(&[("a", 1.0), ("b", 1.0)]);
        // Ideal 1 + 0.63093 = 1.63093; found 1 + 0 + 1/2 = 1.5.
        close(ndcg_at(&found(&["a", "a", "b"]), &judged, 10), 0.91972);
        close(recall_at(&found(&["a", "a"]), &judged, 10), 0.5);
    }

    #[test]
    fn recall_is_of_all_relevant_documents() {
        let judged = judged(&[("a", 4.0), ("b", 1.0), ("c", 2.0), ("d", 3.0), ("n", 0.0)]);
        let list = found(&["n", "b", "x", "a"]);
        close(recall_at(&list, &judged, 100), 0.5);
        close(recall_at(&list, &judged, 3), 0.25);
        close(recall_at(&list, &judged, 1), 0.0);
    }

    #[test]
    fn reciprocal_rank_stops_at_k() {
        let judged = judged(&[("a", 1.0), ("n", 0.0)]);
        let list = found(&["n", "x", "a"]);
        close(reciprocal_rank_at(&list, &judged, 10), 0.33333);
        close(reciprocal_rank_at(&list, &judged, 2), 0.0);
    }

    #[test]
    fn nothing_found_or_judged_scores_zero() {
        let (one, none) = (judged(&[("a", 1.0)]), judged(&[("a", 0.0)]));
        for (list, judged) in [(found(&[]), &one), (found(&["a"]), &none), (found(&["a"]), &HashMap::new())] {
            assert_eq!(ndcg_at(&list, judged, 10), 0.0);
            assert_eq!(recall_at(&list, judged, 10), 0.0);
            assert_eq!(reciprocal_rank_at(&list, judged, 10), 0.0);
        }
        assert_eq!(ndcg_at(&found(&["a"]), &one, 0), 0.0);
    }

    #[test]
    fn averages_only_queries_with_a_relevant_document() {
        let (one, two, none) = (judged(&[("a", 1.0)]), judged(&[("b", 2.0), ("c", 2.0)]), judged(&[("a", 0.0)]));
        let (first, second) = (found(&["a"]), found(&["x", "b"]));
        let runs = [(&first[..], &one), (&second[..], &two), (&first[..], &none)];
        let quality = Quality::average(runs).expect("two queries count");
        // First query 1, 1, 1; second (1.26186 / 3.26186 = 0.38685), 1/2, 1/2.
        close(quality.ndcg_at_10, 0.69343);
        close(quality.recall_at_100, 0.75);
        close(quality.mrr_at_10, 0.75);
        assert_eq!(Quality::average([(&first[..], &none)]), None);
    }
}
