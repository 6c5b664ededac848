use serde_json::{Value, json};

use super::oracle::{Document, Expected, rank};
use crate::harness::{Session, Tenant, TestDatabase};

const WORDS: [&str; 24] = [
    "running", "rivers", "bank", "policy", "holiday", "leave", "printer", "paper", "green", "energy", "invoice",
    "supplier", "training", "budget", "backup", "restore", "password", "account", "visitor", "badge", "fire", "alarm",
    "parking", "bicycle",
];

/// Numbers that look random and are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    /// A word; the first ones come up most.
    fn word(&mut self) -> &'static str {
        let most = self.roll(WORDS.len()) + 1;
        WORDS[self.roll(most)]
    }

    pub fn vector(&mut self) -> [f32; 4] {
        // Halves are exact in half precision once scaled alike; near-ties would hang on rounding.
        std::array::from_fn(|_| self.roll(17) as f32 - 8.0 + 0.25)
    }
}

pub fn corpus(seed: u64, count: usize) -> Vec<Document> {
    let mut dice = Dice(seed);
    (0..count)
        .map(|number| {
            let length = 3 + dice.roll(40);
            let content = (0..length).map(|_| dice.word()).collect::<Vec<_>>().join(" ");
            let embedding = (dice.roll(3) > 0).then(|| dice.vector());
            Document { title: format!("{} {} n{number}", dice.word(), dice.word()), content, embedding }
        })
        .collect()
}

pub async fn store(session: &Session, documents: &[Document]) {
    for Document { title, content, embedding } in documents {
        let mut document = json!({ "title": title, "content": content, "language": "en" });
        if let Some(vector) = embedding {
            document["embedding"] = json!(vector);
        }
        session.ok("insert_document", document).await;
    }
}

fn place(row: &Value, side: &str) -> Option<(u32, f64)> {
    let rank = u32::try_from(row[format!("{side}_rank")].as_u64()?).unwrap();
    Some((rank, row[format!("{side}_score")].as_f64().unwrap()))
}

pub fn agree(found: &[Value], expected: &[Expected], context: &str) {
    assert_eq!(found.len(), expected.len(), "{context}");
    for (row, wanted) in found.iter().zip(expected) {
        assert_eq!(row["title"], wanted.title, "{context}: {row} against {wanted:?}");
        assert!(
            (row["combined_score"].as_f64().unwrap() - wanted.combined).abs() < 1e-12,
            "{context}: {row} {wanted:?}"
        );
        let close = |a: Option<(u32, f64)>, b: Option<(u32, f64)>, tolerance: f64| match (a, b) {
            (Some(a), Some(b)) => a.0 == b.0 && (a.1 - b.1).abs() < tolerance,
            (a, b) => a.is_none() && b.is_none(),
        };
        assert!(close(place(row, "bm25"), wanted.bm25, 1e-6), "{context}: {row} {wanted:?}");
        // Vectors are kept in half precision.
        assert!(close(place(row, "vector"), wanted.vector, 2e-3), "{context}: {row} {wanted:?}");
    }
}

pub async fn two_tenants() -> (TestDatabase, Tenant, Tenant) {
    let database = TestDatabase::create().await;
    let (demo, enterprise) = (database.tenant("demo").await, database.tenant("enterprise").await);
    (database, demo, enterprise)
}

#[tokio::test]
async fn searches_rank_as_the_oracle_does() {
    let (database, demo, enterprise) = two_tenants().await;
    let (session, other) = (Session::open(&database, &demo).await, Session::open(&database, &enterprise).await);
    let documents = corpus(7, 130);
    store(&other, &corpus(8, 40)).await;
    store(&session, &documents).await;
    let admin = database.connect_admin().await;
    let mut dice = Dice(9);
    for query in
        ["holiday leave", "running rivers bank running", "fire alarm parking bicycle visitor", "budget", "quux"]
    {
        for weights in [(0.5, 0.5), (1.0, 0.0), (0.0, 1.0), (0.2, 0.9)] {
            for limit in [3, 50] {
                let vector = dice.vector();
                let arguments = json!({
                    "query": query, "query_embedding": vector, "limit": limit, "bm25_weight": weights.0, "vector_weight": weights.1,
                });
                let answer = session.ok("hybrid_search", arguments).await;
                let expected = rank(&admin, &documents, query, Some(vector), weights).await;
                let context = format!("{query:?} {weights:?}");
                agree(answer["results"].as_array().unwrap(), &expected[..expected.len().min(limit)], &context);
                assert_eq!(answer["total_candidates"], expected.len(), "{context}");
            }
        }
    }
}

#[tokio::test]
async fn the_sql_function_ranks_as_the_tool_does() {
    let (database, demo, _) = two_tenants().await;
    let session = Session::open(&database, &demo).await;
    store(&session, &corpus(11, 60)).await;
    let app = database.connect_app().await;
    app.batch_execute(&format!("SET app.current_tenant_id = '{}'", demo.id)).await.unwrap();
    for query in ["holiday leave policy", "printer paper", "the green energy of an invoice"] {
        let vector = [0.5_f32, -2.0, 1.0, 3.0];
        let answer =
            session.ok("hybrid_search", json!({ "query": query, "query_embedding": vector, "limit": 50 })).await;
        let sql = "SELECT id::text, combined_score, bm25_score, vector_score FROM hybrid_search($1::text::uuid, $2, '[0.5,-2,1,3]', 50)";
        let rows = app.query(sql, &[&demo.id.to_string(), &query]).await.unwrap();
        let found = answer["results"].as_array().unwrap();
        assert_eq!(found.len(), rows.len());
        for (one, other) in found.iter().zip(&rows) {
            assert_eq!(one["document_id"], other.get::<_, String>(0), "{query}");
            for (column, name) in [(1, "combined_score"), (2, "bm25_score"), (3, "vector_score")] {
                let (a, b) = (one[name].as_f64(), other.get::<_, Option<f64>>(column));
                assert_eq!(a.is_some(), b.is_some(), "{query} {name}");
                assert!((a.unwrap_or(0.0) - b.unwrap_or(0.0)).abs() < 1e-9, "{query} {name}: {a:?} {b:?}");
            }
        }
    }
}

#[tokio::test]
async fn another_tenants_documents_move_no_score() {
    let (database, demo, enterprise) = two_tenants().await;
    let (ours, theirs) = (Session::open(&database, &demo).await, Session::open(&database, &enterprise).await);
    store(&ours, &corpus(3, 30)).await;
    let ask = async || {
        let mut answers = Vec::new();
        for query in ["holiday leave", "bank", "fire alarm"] {
            let mut answer =
                ours.ok("hybrid_search", json!({ "query": query, "query_embedding": [1, 2, 3, 4], "limit": 50 })).await;
            answer["duration_ms"] = Value::Null;
            answers.push(answer);
        }
        answers
    };
    let before = ask().await;
    store(&theirs, &corpus(3, 30)).await;
    store(&theirs, &corpus(4, 30)).await;
    assert_eq!(ask().await, before);
}
