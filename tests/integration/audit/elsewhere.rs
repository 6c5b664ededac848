//! Rows that a dead server left on disk, where the next one reaches the database by another way, or is another's.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{Process, TestDatabase, until};

const PLANT: &str =
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
                     CREATE TRIGGER refuse BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION refuse()";

fn server(url: &str, data: &Path) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(["serve", "--no-embeddings"]).env("BAILIWICK_DATABASE_URL", url).env("BAILIWICK_TENANT", "demo");
    command.env("BAILIWICK_DATA_DIR", data);
    Process::spawn(command)
}

/// What doctor says of rows that wait.
async fn doctor(database: &TestDatabase, data: &std::path::Path) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.args(["doctor", "--quick", "--json"]).env("BAILIWICK_DATA_DIR", data);
    command.env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await);
    command.env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await);
    let output = command.output().await.unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let findings = told["findings"].as_array().unwrap().iter();
    findings.filter(|finding| finding["check"] == "audit_spool").cloned().collect()
}

/// A server that fails a call whose row the database does not take, and is killed; where it has left the row.
async fn dead_server(database: &TestDatabase, url: &str, data: &Path) -> PathBuf {
    let mut process = server(url, data);
    process.initialize().await;
    database.execute(PLANT).await;
    let params = json!({ "name": "hybrid_search", "arguments": { "query": "canary" } });
    process.send(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })).await;
    assert_eq!(process.receive().await.unwrap()["result"]["isError"], true);
    process.child.kill().await.unwrap();
    database.execute("DROP TRIGGER refuse ON audit_logs; DROP FUNCTION refuse()").await;
    let folder = std::fs::read_dir(data.join("spool")).unwrap().next().unwrap().unwrap().path();
    let segment = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    assert!(segment.extension().is_some_and(|extension| extension == "jsonl"), "{segment:?}");
    segment
}

/// Who may not ask which cluster it is keeps rows by the way to it, until he may.
#[tokio::test]
async fn rows_that_were_kept_by_the_way_to_a_database_are_its_own_once_it_says_which_it_is() {
    let database = TestDatabase::create().await;
    let data = tempfile::tempdir().unwrap();
    let url = database.url("bailiwick_app").await;
    database.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC").await;
    let segment = dead_server(&database, &url, data.path()).await;
    let folder = segment.parent().unwrap();
    // Where another database was that is gone: nobody here knows its tenant.
    let gone = folder.join("gone.jsonl");
    let demo = database.tenant("demo").await.id.to_string();
    let (copy, text) = (data.path().join("copy"), std::fs::read_to_string(&segment).unwrap());
    assert!(text.contains(&demo), "{text}");
    std::fs::copy(&segment, &copy).unwrap();
    let plant = || std::fs::write(&gone, text.replace(&demo, "6c2f41a6-59a7-4c55-9a6b-2f0a4d6a1c11")).unwrap();
    plant();

    // As long as he may not, the next one looks there by itself.
    let mut process = server(&url, data.path());
    process.initialize().await;
    let rows = "SELECT count(*) FROM audit_logs WHERE resource = 'tools/hybrid_search' AND NOT success";
    until("the row is in the trail", async || database.value::<i64>(rows).await == 1).await;
    until("it waits no longer", async || !segment.exists()).await;
    let (code, _, told) = process.finish().await;
    assert!(code == Some(0) && told.contains("does not say which one it is"), "{told}");
    assert!(told.contains("wait on disk for another database") && told.contains("-of-others"), "{told}");
    assert_eq!(database.value::<i64>(rows).await, 1, "another database's row came into the trail: {told}");

    let others = folder.with_file_name(format!("{}-of-others", folder.file_name().unwrap().to_str().unwrap()));
    let aside = others.join("ours.jsonl");
    std::fs::copy(&copy, &aside).unwrap();
    std::fs::rename(&copy, &segment).unwrap();
    plant();
    database.execute("DELETE FROM audit_logs; GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC").await;
    let mut process = server(&url, data.path());
    process.initialize().await;
    until("the row is in the trail", async || database.value::<i64>(rows).await == 1).await;
    let (code, _, told) = process.finish().await;
    assert!(code == Some(0) && told.contains("are sorted out"), "{told}");
    let name = folder.file_name().unwrap().to_str().unwrap();
    assert!(told.contains("wait on disk for another database") && told.contains(name), "{told}");
    assert_eq!((segment.exists(), aside.exists()), (false, false), "what is ours is taken from both");
    assert_eq!((gone.exists(), others.join("gone.jsonl").exists()), (true, true), "it is nobody's to send");
    assert_eq!(database.value::<i64>(rows).await, 1, "another database's row came into the trail: {told}");
}

#[tokio::test]
async fn rows_are_sent_by_the_next_server_of_the_database_whatever_its_url_and_others_are_told_of() {
    let database = TestDatabase::create().await;
    let data = tempfile::tempdir().unwrap();
    let url = database.url("bailiwick_app").await;
    let segment = dead_server(&database, &url, data.path()).await;
    let spool = data.path().join("spool");
    let folder = segment.parent().unwrap();
    // No server is there to send it.
    let found = doctor(&database, data.path()).await;
    assert!(found.len() == 1 && found[0]["subject"] == folder.display().to_string(), "{found:?}");
    let detail = found[0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("1 audit rows") && detail.ends_with("the next server of this database"), "{detail}");
    // What another database's server left.
    let foreign = spool.join("another-7");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::copy(&segment, foreign.join("left.jsonl")).unwrap();

    // The same server by another name.
    let socket_dir = database.app().get_hosts().iter().find_map(|host| match host {
        tokio_postgres::config::Host::Unix(folder) => Some(folder.clone()),
        tokio_postgres::config::Host::Tcp(_) => None,
    });
    let socket_dir = socket_dir.unwrap();
    let other = data.path().join("s");
    std::os::unix::fs::symlink(&socket_dir, &other).unwrap();
    let in_url = |folder: &Path| folder.display().to_string().replace('/', "%2F");
    let another = url.replace(&in_url(&socket_dir), &in_url(&other));
    assert_ne!(url, another);
    let mut process = server(&another, data.path());
    process.initialize().await;
    let rows = "SELECT count(*) FROM audit_logs WHERE resource = 'tools/hybrid_search' AND NOT success";
    until("the row is in the trail", async || database.value::<i64>(rows).await == 1).await;
    until("it waits no longer", async || !segment.exists()).await;
    let (code, _, told) = process.finish().await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("wait on disk for another database") && told.contains("another-7"), "{told}");
    assert!(foreign.join("left.jsonl").exists(), "it is nobody's to send");

    let found = doctor(&database, data.path()).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let found = &found[0];
    assert!(found["subject"].as_str().unwrap().ends_with("another-7"), "{found}");
    assert!(found["detail"].as_str().unwrap().starts_with("1 audit rows"), "{found}");
    assert!(found["remedy"].as_str().unwrap().contains(&folder.display().to_string()), "{found}");
}
