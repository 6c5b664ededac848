//! `bailiwick report statistics`, as the administrator who is no superuser.

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{Session, TestDatabase};

async fn report(database: &TestDatabase, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_bailiwick"))
        .args(["report", "statistics"])
        .args(arguments)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("bailiwick_maintenance").await)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn json_of(database: &TestDatabase, arguments: &[&str]) -> Value {
    serde_json::from_str(&report(database, &[arguments, &["--json"]].concat()).await).unwrap()
}

#[tokio::test]
async fn each_tenant_is_told_as_it_was_last_counted() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    database.tenant("enterprise").await;
    let session = Session::open(&database, &demo).await;
    for n in 0..3 {
        session.ok("insert_document", json!({ "title": format!("=Leave {n}"), "content": "x".repeat(524_288) })).await;
    }
    let usage = json!({ "provider": "openai", "model_name": "gpt-4", "input_tokens": 1_000_000, "output_tokens": 0 });
    session.ok("record_usage", usage).await;
    assert!(report(&database, &[]).await.contains("--refresh counts"));
    let counted = json_of(&database, &["--refresh"]).await;
    let demo = &counted["tenants"][0];
    assert_eq!(
        (&demo["tenant"], &demo["name"], &demo["status"]),
        (&json!("demo"), &json!("Demo Tenant"), &json!("active"))
    );
    assert_eq!((&demo["document_count"], &demo["embedded_documents"]), (&json!(3), &json!(0)));
    assert_eq!((&demo["total_size_mb"], &demo["monthly_cost_usd"]), (&json!("1.5"), &json!("30")));
    let enterprise = &counted["tenants"][1];
    assert_eq!((&enterprise["document_count"], &enterprise["last_document_created"]), (&json!(0), &json!(null)));
    // What came since is not in it, until it is counted anew; a tenant that is not active is not counted, but named.
    session.ok("insert_document", json!({ "title": "Another", "content": "One more." })).await;
    assert_eq!(json_of(&database, &[]).await["tenants"][0], *demo);
    database.execute("UPDATE tenants SET status = 'suspended' WHERE slug = 'enterprise'").await;
    let counted = json_of(&database, &["--refresh"]).await;
    assert_eq!(counted["tenants"][0]["document_count"], 4);
    assert_eq!(
        counted["tenants"][1],
        json!({ "tenant": "enterprise", "name": "Enterprise Tenant", "status": "suspended" })
    );
}

#[tokio::test]
async fn csv_has_stable_columns_and_no_formula() {
    let database = TestDatabase::create().await;
    database.tenant("demo").await;
    database.execute("UPDATE tenants SET name = '=1+1'").await;
    let text = report(&database, &["--refresh", "--csv"]).await;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = "tenant name status document_count embedded_documents total_size_mb last_document_created monthly_cost_usd as_of";
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(" "), columns);
    let record = reader.records().next().unwrap().unwrap();
    assert_eq!(record.iter().take(5).collect::<Vec<_>>(), ["demo", "'=1+1", "active", "0", "0"]);
    let text = report(&database, &["--tables", "--csv"]).await;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let columns = "table partitions rows_estimate dead_rows table_bytes index_bytes";
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(" "), columns);
}

/// Every table is told once, its partitions with it, and what they take is what PostgreSQL says.
#[tokio::test]
async fn tables_are_told_by_size() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    Session::open(&database, &demo).await.ok("insert_document", json!({ "title": "T", "content": "Something." })).await;
    database.execute("VACUUM ANALYZE document_chunks").await;
    let told = json_of(&database, &["--tables"]).await;
    assert!(told["tenants"].is_null(), "{told}");
    let tables = told["tables"].as_array().unwrap();
    let bytes = |table: &Value| table["table_bytes"].as_i64().unwrap() + table["index_bytes"].as_i64().unwrap();
    assert!(tables.is_sorted_by(|a, b| bytes(a) >= bytes(b)), "{told}");
    let whole = "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm')";
    assert_eq!(tables.iter().map(bytes).sum::<i64>(), database.value::<i64>(whole).await);
    assert!(told["database_bytes"].as_i64().unwrap() > tables.iter().map(bytes).sum::<i64>());
    let chunks: Vec<_> = tables.iter().filter(|table| table["table"] == "document_chunks").collect();
    let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'document_chunks'::regclass";
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks[0]["partitions"], database.value::<i64>(partitions).await);
    assert_eq!(chunks[0]["rows_estimate"], 1);
    assert!(!tables.iter().any(|table| table["table"].as_str().unwrap().starts_with("document_chunks_p")), "{told}");
}
