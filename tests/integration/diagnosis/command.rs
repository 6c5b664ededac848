use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::TestDatabase;

async fn doctor(database: &TestDatabase, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.arg("doctor").args(arguments).env("NO_COLOR", "1");
    command.env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await);
    let output = command.output().await.unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn checks(report: &str) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(report).unwrap();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    findings.map(|finding| (text(finding, "severity"), text(finding, "check"))).collect()
}

#[tokio::test]
async fn faults_fail_and_warnings_do_not() {
    let database = TestDatabase::create().await;
    database.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await;
    let (code, out) = doctor(&database, &["--json"]).await;
    // The server of the tests is somebody's own for the program, and older than the newest release.
    let other = checks(&out).into_iter().find(|(_, check)| check != "server_version");
    assert_eq!((code, other), (Some(0), None), "{out}");

    database.execute("ALTER TABLE documents SET (autovacuum_enabled = false)").await;
    let (code, out) = doctor(&database, &["--json", "--quick"]).await;
    assert!(checks(&out).contains(&("warning".to_owned(), "autovacuum".to_owned())), "{out}");
    assert_eq!(code, Some(0), "a warning is no fault");

    database.execute("ALTER TABLE documents NO FORCE ROW LEVEL SECURITY").await;
    let (code, out) = doctor(&database, &["--json", "--quick"]).await;
    assert_eq!(
        (code, &checks(&out)[0]),
        (Some(1), &("fault".to_owned(), "forced_isolation".to_owned())),
        "the worst first"
    );
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["sound"], &report["findings"][0]["subject"]), (&json!(false), &json!("documents")));
    let (code, out) = doctor(&database, &["--quick"]).await;
    assert!(code == Some(1) && out.contains("fault  documents: row-level security is not forced"), "{out}");
    assert!(out.contains("(forced_isolation)") && out.contains("1 faults, "), "{out}");
}

#[tokio::test]
async fn a_schema_that_is_not_this_programs_is_told_and_no_error() {
    let database = TestDatabase::create().await;
    database.execute("DELETE FROM bailiwick_migrations; UPDATE schema_migrations SET version = 4").await;
    let (code, out) = doctor(&database, &["--json"]).await;
    assert_eq!(code, Some(1), "{out}");
    let pending = checks(&out).into_iter().filter(|(severity, check)| severity == "fault" && check == "migrations");
    assert!(pending.count() >= 3, "{out}");
}
