//! One tenant out of a backup.

use serde_json::json;

use super::{backup, refused, remains, told, world};
use crate::harness::{Session, TestDatabase};

/// Titles and contents of a tenant's documents.
async fn documents(database: &TestDatabase, slug: &str) -> Vec<String> {
    let sql = "SELECT d.title || ': ' || d.content FROM documents d JOIN tenants t ON t.id = d.tenant_id WHERE t.slug = $1 ORDER BY 1";
    database.connect_admin().await.query(sql, &[&slug]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_tenant_comes_back_beside_all_others() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let (before, enterprise) = (documents(&database, "demo").await, documents(&database, "enterprise").await);
    let demo = database.tenant("demo").await;
    let session = Session::open(&database, &demo).await;
    let listed = session.ok("list_documents", json!({ "limit": 50 })).await;
    for document in listed["documents"].as_array().unwrap() {
        session.ok("delete_document", json!({ "document_id": document["document_id"] })).await;
    }
    session.ok("insert_document", json!({ "title": "After", "content": "Written after the backup." })).await;

    let said = refused(&database, &["restore", "--tenant", "demo", &file]).await;
    assert!(said.contains("is not overwritten") && said.contains("--as"), "{said}");
    let said = refused(&database, &["restore", "--tenant", "nobody", &file]).await;
    assert!(said.contains("demo, enterprise, gone, paused"), "{said}");

    let restored = told(&database, &["restore", "--json", "--tenant", "demo", "--as", "demo-before", &file]).await;
    assert_eq!(restored["restored"]["documents"], 6, "{restored}");
    assert_eq!(documents(&database, "demo-before").await, before);
    assert_eq!(documents(&database, "demo").await, ["After: Written after the backup."]);
    assert_eq!(documents(&database, "enterprise").await, enterprise);
    let session = Session::open(&database, &database.tenant("demo-before").await).await;
    let titles = session.titles(json!({ "query": "descaled", "query_embedding": [1, 3, 0, 0] })).await;
    assert_eq!(titles.len(), 5, "{titles:?}");

    // A deleted tenant gives its name free.
    told(&database, &["tenant", "delete", "demo", "--json"]).await;
    let restored = told(&database, &["restore", "--json", "--tenant", "demo", &file]).await;
    let aside = restored["restored"]["stepped_aside"].as_str().unwrap().to_owned();
    assert_eq!(documents(&database, "demo").await, before);
    assert_eq!(documents(&database, &aside).await, ["After: Written after the backup."]);
    let told_of: i64 = database
        .value(&format!(
            "SELECT count(*) FROM audit_logs WHERE tenant_id = '{}' AND details ->> 'slug' = '{aside}'",
            demo.id
        ))
        .await;
    assert_eq!((told_of, remains(&database).await), (1, Vec::new()));
    let output = super::bailiwick(&database, &["tenant", "restore", &aside]).await;
    assert!(output.status.success(), "{}", super::both(&output));
}

#[tokio::test]
async fn a_tenant_that_does_not_fit_leaves_nothing() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let other = TestDatabase::of_dimensions(8).await;
    told(&other, &["tenant", "delete", "demo", "--json"]).await;
    let names = "SELECT string_agg(slug || ' ' || status, ', ' ORDER BY slug) FROM tenants";
    let before: String = other.value(names).await;
    let said = refused(&other, &["restore", "--tenant", "demo", &file]).await;
    assert!(said.contains("4 dimensions") && said.contains("of this database 8"), "{said}");
    assert_eq!((other.value::<String>(names).await, remains(&other).await), (before, Vec::new()));
    let said = refused(&database, &["restore", "--tenant", "demo", "--as", "Not A Slug", &file]).await;
    assert!(said.contains("a slug has"), "{said}");
    assert_eq!(remains(&database).await, [""; 0]);
}
