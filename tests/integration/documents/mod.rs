//! The life cycle of documents through the tools: reading, listing, changing, replacing, deleting.

mod batches;
mod listing;
mod reading;
mod resources;
mod updates;
mod upserts;

use serde_json::{Value, json};

use crate::harness::{Session, TestDatabase};

async fn session() -> (TestDatabase, Session) {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    (database, session)
}

/// Stores a document and returns its id.
async fn stored(session: &Session, document: Value) -> String {
    session.ok("insert_document", document).await["document_id"].as_str().unwrap().to_owned()
}

async fn read(session: &Session, id: &str) -> Value {
    session.ok("get_document", json!({ "document_id": id })).await
}

/// A text of numbered paragraphs, long enough for several passages.
fn paragraphs(count: usize) -> String {
    (0..count)
        .map(|at| {
            format!("Paragraph {at} tells of matter number {at}. {}\n\n", "It goes on for quite a while. ".repeat(12))
        })
        .collect()
}
