//! What the trail holds of queries.

use serde_json::json;

use crate::harness::{Session, TestDatabase};

#[tokio::test]
async fn a_query_stands_as_its_hmac_under_its_tenants_key() {
    let database = TestDatabase::create().await;
    let (demo, enterprise) = (database.tenant("demo").await, database.tenant("enterprise").await);
    for tenant in [&demo, &enterprise] {
        let session = Session::open(&database, tenant).await;
        for query in ["secret plans", "secret plans", "other plans"] {
            session.ok("hybrid_search", json!({ "query": query })).await;
        }
    }
    let hmacs = "SELECT string_agg(DISTINCT details->>'query_hmac', ' ') FROM audit_logs";
    let hmacs: String = database.value(hmacs).await;
    assert_eq!(hmacs.split(' ').count(), 4, "two queries, told apart by tenant: {hmacs}");
    assert!(hmacs.split(' ').all(|hmac| hmac.len() == 32), "{hmacs}");
    let own = "SELECT count(*) FROM audit_logs a JOIN tenants t ON t.id = a.tenant_id WHERE a.details ? 'query'";
    assert_eq!(database.value::<i64>(own).await, 0);
}

#[tokio::test]
async fn a_tenant_that_must_keep_queries_keeps_them() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    database.execute(r#"UPDATE tenants SET settings = '{"audit": {"query_text": "plain"}}' WHERE slug = 'demo'"#).await;
    let session = Session::open(&database, &tenant).await;
    session.ok("hybrid_search", json!({ "query": "kept as it is" })).await;
    assert_eq!(database.value::<String>("SELECT details->>'query' FROM audit_logs").await, "kept as it is");
}
