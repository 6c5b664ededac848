use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::TestDatabase;

/// What the command said.
pub struct Told {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
    /// With `--json`.
    pub findings: Vec<Value>,
}

pub async fn doctor_with(database: &TestDatabase, arguments: &[&str], arrange: impl FnOnce(&mut Command)) -> Told {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.arg("doctor").args(arguments).env("NO_COLOR", "1");
    command.env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await);
    arrange(&mut command);
    let output = command.output().await.unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let report: Value = serde_json::from_str(&out).unwrap_or_default();
    let findings = report["findings"].as_array().cloned().unwrap_or_default();
    Told { code: output.status.code(), out, err, findings }
}

async fn doctor(database: &TestDatabase, arguments: &[&str]) -> (Option<i32>, String) {
    let told = doctor_with(database, arguments, |_| ()).await;
    (told.code, told.out)
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
    // Other tests of it kill restores.
    let not_ours = ["server_version", "restore_remains"];
    let other = checks(&out).into_iter().find(|(_, check)| !not_ours.contains(&check.as_str()));
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

/// Whatever stands against the schema, what can be asked of it is asked.
#[tokio::test]
async fn a_finding_about_the_schema_hides_no_other() {
    let database = TestDatabase::create().await;
    database
        .execute("UPDATE bailiwick_migrations SET checksum = repeat('0', length(checksum)) WHERE version = 1")
        .await;
    database
        .execute(
            "INSERT INTO audit_logs (\"timestamp\", tenant_id, user_id, call_id, action, outcome, success)
             SELECT '2020-01-01', id, 'u', gen_random_uuid(), 'search', 'ok', true FROM tenants WHERE slug = 'demo'",
        )
        .await;
    let told = doctor_with(&database, &["--json", "--tenant", "demo"], |_| ()).await;
    let found: Vec<_> = told.findings.iter().map(|finding| finding["check"].as_str().unwrap()).collect();
    assert!(found.contains(&"migrations") && found.contains(&"stray_rows"), "{}", told.out);
    let report: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(report["tenants"][0]["slug"], "demo", "its index was compared: {report}");
    let told = doctor_with(&database, &["--json", "--tenant", "nobody"], |_| ()).await;
    assert!(told.code == Some(2) && told.err.contains("there is no tenant \"nobody\""), "{}{}", told.out, told.err);

    // Of a schema that has no tenants yet it is told that they could not be looked at.
    let database = TestDatabase::empty().await;
    let mut client = database.connect_admin().await;
    let list = bailiwick::migrations::Migrations::embedded().unwrap();
    let runner = bailiwick::migrations::Runner::new(&list, bailiwick::migrations::RunOptions::default());
    runner.up(&mut client, Some(1), |_| ()).await.unwrap();
    let told = doctor_with(&database, &["--json", "--tenant", "demo"], |_| ()).await;
    let notes: Vec<_> = told.findings.iter().filter(|finding| finding["severity"] == "note").collect();
    for check in ["seals", "stray_rows", "embeddings", "word_index"] {
        let note = notes.iter().find(|note| note["check"] == check).unwrap_or_else(|| panic!("{check}: {}", told.out));
        assert!(note["detail"].as_str().unwrap().starts_with("could not look"), "{note}");
    }
    assert_eq!(told.code, Some(1));
}
