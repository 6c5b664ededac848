use bailiwick::maintenance::{self, Scope};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{Process, TestDatabase};

async fn bailiwick(database: &TestDatabase, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bailiwick"))
        .args(arguments)
        .env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await)
        .output()
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn load(database: &TestDatabase, count: usize) {
    let demo = database.tenant("demo").await;
    let load = format!(
        "INSERT INTO documents (tenant_id, title, content) SELECT current_tenant_id(), 'n' || n, 'word number ' || n FROM generate_series(1, {count}) AS n"
    );
    database.execute(&format!("SET app.current_tenant_id = '{}'; {load}", demo.id)).await;
}

#[tokio::test]
async fn maintain_and_doctor_say_what_they_did_and_found() {
    let database = TestDatabase::create().await;
    load(&database, 40).await;
    let (code, out, _) = bailiwick(&database, &["maintain", "--tenant", "demo", "--json"]).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &report["tenants"][0]["slug"], &report["tenants"][0]["merged_chunks"]),
        (Some(0), &json!("demo"), &json!(40))
    );
    let (code, out, _) = bailiwick(&database, &["maintain"]).await;
    assert_eq!((code, out.as_str()), (Some(0), "nothing was left to do\n"));
    let (code, out, _) = bailiwick(&database, &["doctor", "--json"]).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["sound"]), (Some(0), &json!(true)), "{out}");
    database.execute("DELETE FROM posting_blocks").await;
    let (code, out, _) = bailiwick(&database, &["doctor"]).await;
    assert!(code == Some(1) && out.contains("demo: chunk 1 has 0 postings") && out.contains("--rebuild"), "{out}");
    let (code, _, err) = bailiwick(&database, &["maintain", "--tenant", "nobody"]).await;
    assert!(code == Some(1) && err.contains("there is no tenant \"nobody\""), "{err}");
}

/// What a bulk load needed for a while is given back, unless somebody writes just then.
#[tokio::test]
async fn the_index_of_fresh_postings_shrinks_when_they_are_merged() {
    let database = TestDatabase::create().await;
    let size = async || database.value::<i64>("SELECT pg_indexes_size('fresh_postings')").await;
    load(&database, 3_500).await;
    let (admin, writer) = (database.connect_admin().await, database.connect_admin().await);
    assert!(size().await > 131_072, "{}", size().await);
    let writing = "BEGIN; LOCK TABLE fresh_postings IN ROW EXCLUSIVE MODE";
    writer.batch_execute(writing).await.unwrap();
    maintenance::run(&admin, None, Scope::Everything, None).await.unwrap();
    assert!(size().await > 131_072, "nobody is waited for");
    assert!(!bailiwick::db::admin::shrink_fresh_index(&admin).await.unwrap());
    writer.batch_execute("ROLLBACK").await.unwrap();
    assert!(bailiwick::db::admin::shrink_fresh_index(&admin).await.unwrap());
    assert!(size().await <= 16_384, "{}", size().await);
    assert!(!bailiwick::db::admin::shrink_fresh_index(&admin).await.unwrap(), "once is enough");
    let valid = "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 'fresh_postings'::regclass";
    assert!(database.value::<bool>(valid).await);
    // And by the pass itself.
    let more = "INSERT INTO documents (tenant_id, title, content) SELECT current_tenant_id(), 'm' || n, 'more' FROM generate_series(1, 3500) AS n";
    let id: uuid::Uuid = database.value("SELECT id FROM tenants WHERE slug = 'demo'").await;
    database.execute(&format!("SET app.current_tenant_id = '{id}'; {more}")).await;
    maintenance::run(&admin, None, Scope::Everything, None).await.unwrap();
    assert!(size().await <= 16_384, "{}", size().await);
}

#[tokio::test]
async fn a_server_merges_by_itself() {
    let database = TestDatabase::create().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command
        .env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await)
        .env("BAILIWICK_TENANT", "demo");
    let mut server = Process::spawn(command);
    server.initialize().await;
    load(&database, 300).await;
    let started = std::time::Instant::now();
    while database.value::<i64>("SELECT count(*) FROM fresh_postings").await > 0 {
        assert!(started.elapsed().as_secs() < 30, "nothing was merged");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let (code, _, stderr) = server.finish().await;
    assert_eq!(code, Some(0), "{stderr}");
}
