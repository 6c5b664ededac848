use std::collections::{BTreeMap, HashMap};

use tokio_postgres::Client;

/// A document of a test's corpus, short enough for one chunk.
#[derive(Debug, Clone)]
pub struct Document {
    pub title: String,
    pub content: String,
    pub embedding: Option<[f32; 4]>,
}

/// What a search should return for one document.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    pub title: String,
    pub combined: f64,
    pub bm25: Option<(u32, f64)>,
    pub vector: Option<(u32, f64)>,
}

/// Terms with their counts, as the index counts them: the one thing that the oracle takes from the database.
async fn terms(client: &Client, title: &str, content: &str) -> HashMap<String, f64> {
    let rows =
        client.query("SELECT lexeme, frequency FROM chunk_terms('en', $1, $2)", &[&title, &content]).await.unwrap();
    rows.iter().map(|row| (row.get("lexeme"), f64::from(row.get::<_, i32>("frequency")))).collect()
}

/// Ranks a tenant's documents, all of one chunk and in order of insertion, by definition rather than by index.
pub async fn rank(
    client: &Client,
    documents: &[Document],
    query: &str,
    embedding: Option<[f32; 4]>,
    weights: (f64, f64),
) -> Vec<Expected> {
    let mut bags = Vec::new();
    for document in documents {
        bags.push(terms(client, &document.title, &document.content).await);
    }
    let asked: HashMap<String, f64> = {
        let rows = client.query("SELECT lexeme, frequency FROM text_terms('en', $1)", &[&query]).await.unwrap();
        rows.iter().map(|row| (row.get("lexeme"), f64::from(row.get::<_, i32>("frequency")))).collect()
    };
    let count = bags.len() as f64;
    let lengths: Vec<f64> = bags.iter().map(|bag| bag.values().sum()).collect();
    let mean = lengths.iter().sum::<f64>() / count;
    let bm25 = |index: usize| {
        asked
            .iter()
            .filter_map(|(term, times)| {
                let frequency = *bags[index].get(term)?;
                let holders = bags.iter().filter(|bag| bag.contains_key(term)).count() as f64;
                let idf = (1.0 + (count - holders + 0.5) / (holders + 0.5)).ln();
                Some(times * idf * frequency / (frequency + 1.2 * (0.25 + 0.75 * lengths[index] / mean)))
            })
            .sum::<f64>()
    };
    let cosine = |a: [f32; 4], b: [f32; 4]| {
        let dot = |a: [f32; 4], b: [f32; 4]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(y)).sum::<f64>();
        dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
    };
    let words: Vec<(usize, f64)> = (0..documents.len())
        .map(|index| (index, bm25(index)))
        .filter(|(_, score)| *score > 0.0 && weights.0 > 0.0)
        .collect();
    let mut near = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        if let (Some(ours), Some(theirs)) = (document.embedding, embedding.filter(|_| weights.1 > 0.0)) {
            near.push((index, cosine(halved(client, ours).await, halved(client, theirs).await)));
        }
    }
    let (words, near) = (ranked(words, 200), ranked(near, 100));
    let mut fused: Vec<Expected> = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let (bm25, vector) = (words.get(&index).copied(), near.get(&index).copied());
        if bm25.is_none() && vector.is_none() {
            continue;
        }
        let share =
            |weight: f64, place: Option<(u32, f64)>| place.map_or(0.0, |(rank, _)| weight / (60.0 + f64::from(rank)));
        let combined = share(weights.0, bm25) + share(weights.1, vector);
        fused.push(Expected { title: document.title.clone(), combined, bm25, vector });
    }
    // Stable: ties stay in order of insertion.
    fused.sort_by(|a, b| b.combined.total_cmp(&a.combined));
    fused
}

/// A vector's direction as it is kept, in half precision: what is nearer by less than that is nobody's promise.
async fn halved(client: &Client, vector: [f32; 4]) -> [f32; 4] {
    let sql = "SELECT (l2_normalize($1::real[]::vector)::halfvec)::vector::real[]";
    let kept: Vec<f32> = client.query_one(sql, &[&vector.to_vec()]).await.unwrap().get(0);
    kept.try_into().unwrap()
}

/// The best with rank and score; ties in order of insertion.
fn ranked(mut scored: Vec<(usize, f64)>, depth: usize) -> BTreeMap<usize, (u32, f64)> {
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    scored.into_iter().take(depth).zip(1..).map(|((index, score), rank)| (index, (rank, score))).collect()
}
