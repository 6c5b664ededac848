//! The tools over MCP, in process.

use serde_json::json;

use crate::harness::{Session, TestDatabase};

#[tokio::test]
async fn a_document_is_found_by_its_own_tenant_alone() {
    let database = TestDatabase::create().await;
    let (demo, enterprise) = (database.tenant("demo").await, database.tenant("enterprise").await);
    let (ours, theirs) = (Session::open(&database, &demo).await, Session::open(&database, &enterprise).await);
    let stored = ours
        .ok("insert_document", json!({ "title": "Annual leave", "content": "Everybody has 25 days of paid leave." }))
        .await;
    assert_eq!(stored["chunk_count"], 1);
    assert_eq!(ours.titles(json!({ "query": "How many days of leave do I have?" })).await, ["Annual leave"]);
    assert_eq!(theirs.titles(json!({ "query": "How many days of leave do I have?" })).await, [""; 0]);
}
