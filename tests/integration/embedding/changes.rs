//! What a changed document is embedded anew of.

use serde_json::{Value, json};

use super::setup::{Embedding, FakeService};
use crate::harness::{Session, TestDatabase};

/// Paragraphs of which each fills a passage.
fn paragraphs(count: usize) -> String {
    let of = |n: usize| format!("Paragraph {n} tells of leave, and of little else. ").repeat(20);
    (0..count).map(of).collect::<Vec<_>>().join("\n\n")
}

async fn change(session: &Session, id: &Value, change: Value) -> Value {
    let mut arguments = change;
    arguments["document_id"] = id.clone();
    session.ok("update_document", arguments).await
}

#[tokio::test]
async fn passages_are_embedded_with_the_title_that_their_document_has() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let service = FakeService::start(Vec::new()).await;
    let embedding = Embedding::on(&database, &service.embedder()).await;
    let session = embedding.session(&demo).await;
    let text = paragraphs(6);
    let id = session.ok("insert_document", json!({ "title": "Leave", "content": text })).await["document_id"].clone();
    embedding.work().await.unwrap();
    let passages = async || -> usize {
        let count: i64 = database.value("SELECT count(*) FROM document_chunks").await;
        usize::try_from(count).unwrap()
    };
    let first = passages().await;
    assert!(first > 3 && service.texts().len() == first, "{first}");

    // The text alone: what was there before keeps its vector.
    let longer = format!("{text}\n\nA last word.");
    change(&session, &id, json!({ "content": longer })).await;
    embedding.work().await.unwrap();
    let again = service.texts().len() - first;
    assert!(again < passages().await, "{again} of {} are embedded anew", passages().await);

    // With a new title, or with that alone, every passage is another text.
    for (title, change_of) in [
        ("Holidays", json!({ "title": "Holidays", "content": format!("{longer}\n\nAnd another.") })),
        ("Time off", json!({ "title": "Time off" })),
    ] {
        let before = service.texts().len();
        let changed = change(&session, &id, change_of).await;
        assert_eq!(changed["embedding_status"], "pending", "{changed}");
        embedding.work().await.unwrap();
        let texts = service.texts().split_off(before);
        assert_eq!(texts.len(), passages().await, "{title}");
        assert!(texts.iter().all(|text| text.starts_with(&format!("{title}. "))), "{texts:?}");
    }

    // So it is where the document is replaced by its source.
    let of = |title: &str, text: &str| json!({ "title": title, "content": text, "source": "s", "replace": true });
    session.ok("insert_document", of("Old name", &text)).await;
    embedding.work().await.unwrap();
    let before = service.texts().len();
    session.ok("insert_document", of("New name", &longer)).await;
    embedding.work().await.unwrap();
    let texts = service.texts().split_off(before);
    assert!(texts.len() > 3 && texts.iter().all(|text| text.starts_with("New name. ")), "{texts:?}");
}
