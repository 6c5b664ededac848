//! Passages and what the model reads of them.

use bailiwick::embedding::http::{Http, HttpOptions};
use bailiwick::embedding::{Embedder, Languages, Model, Prompts};
use serde_json::json;

use super::local::embedder;
use super::setup::{Embedding, FakeService, minilm, plant};
use crate::harness::TestDatabase;

/// Prose, a table and words that weigh more than they look.
fn mixed() -> String {
    let prose =
        "The organisation grants its employees thirty days of annual leave, five of which may be carried over. ";
    let table: String = (0..60).map(|n| format!("| {n} | {}.{n} | 0x{:06x} |\n", n * 7, n * 7_919)).collect();
    let heavy = "Pseudopseudohypoparathyroidism, floccinaucinihilipilification; antidisestablishmentarianism! ";
    format!("{}\n\n{table}\n{}\n\n{}", prose.repeat(30), heavy.repeat(25), prose.repeat(10))
}

#[tokio::test]
async fn no_passage_is_longer_than_the_model_reads_however_it_came_in() {
    let Some(folder) = minilm().await else { return };
    let embedder = embedder(&folder);
    embedder.ready().await.unwrap();
    let database = TestDatabase::of_dimensions(384).await;
    let demo = database.tenant("demo").await;
    let embedding = Embedding::on(&database, &embedder).await;
    let session = embedding.session(&demo).await;
    let title = "A title that goes on and on about ".repeat(14);
    let inserted = session.ok("insert_document", json!({ "title": title, "content": mixed() })).await;
    assert!(inserted["chunk_count"].as_u64().unwrap() > 5, "{inserted}");
    let change = json!({ "document_id": inserted["document_id"], "content": mixed().replace("thirty", "forty") });
    session.ok("update_document", change).await;
    plant(&database, &demo, "Planted", &"The organisation grants its employees thirty days of leave. ".repeat(100))
        .await;
    let all = async |what: &str| -> Vec<String> {
        let of = "FROM document_chunks c JOIN documents d ON d.id = c.document_id";
        database.value(&format!("SELECT array_agg({what} ORDER BY c.chunk_no) {of}")).await
    };
    let titles = all("d.title").await;
    let passages = all("substr(d.content, c.char_start + 1, c.char_end - c.char_start)").await;
    assert!(passages.len() > 12, "{}", passages.len());
    let cutting = embedder.cutting();
    for (title, passage) in titles.iter().zip(&passages) {
        let text = cutting.passage_text(title, passage);
        assert!(text.ends_with(passage), "{text}");
        // Two are the marks at its ends.
        let tokens = embedder.count_tokens(&text).unwrap();
        assert!(tokens + 2 <= 256, "{tokens} tokens: {text}");
    }
    // Nothing of the text is left out.
    let gaps = r"SELECT count(*) FROM (
        SELECT document_id, char_start, lag(char_end, 1, 0) OVER (PARTITION BY document_id ORDER BY ordinal) AS until FROM document_chunks
    ) AS c JOIN documents d ON d.id = c.document_id
    WHERE substr(d.content, c.until + 1, greatest(c.char_start - c.until, 0)) ~ '\S'";
    assert_eq!(database.value::<i64>(gaps).await, 0);
}

#[tokio::test]
async fn a_service_whose_model_reads_little_gets_shorter_passages() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    let model = |name: &str, longest_tokens| Model {
        name: name.to_owned(),
        provider: "fake".to_owned(),
        dimensions: 4,
        languages: Languages::Any,
        prompts: Prompts::default(),
        longest_tokens,
    };
    let http = |model| {
        let options = HttpOptions::new(service.url().parse().unwrap(), "fake-model".to_owned());
        Embedder::http(Http::new(model, options).unwrap())
    };
    let embedding = Embedding::on(&database, &http(model("fake-model", Some(64)))).await;
    let session = embedding.session(&demo).await;
    let text = "This sentence is one of many that all say the same. ".repeat(40);
    let inserted = session.ok("insert_document", json!({ "title": "Leave", "content": text })).await;
    plant(&database, &demo, "Planted", &text).await;
    let longest = "SELECT max(char_end - char_start) FROM document_chunks";
    // 64 tokens are at least 48 by estimate, of which 38 are left for the passage, at four characters each.
    assert!(database.value::<i32>(longest).await <= 160, "{}", database.value::<i32>(longest).await);
    assert!(inserted["chunk_count"].as_u64().unwrap() >= 13, "{inserted}");
}
