use serde_json::{Value, json};
use tokio::process::Command;

use super::{PLANTED_TO, ids, oracle, planted};
use crate::harness::TestDatabase;

/// `bailiwick report audit` as the administrator who is no superuser: exit code, stdout and stderr.
async fn report(database: &TestDatabase, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bailiwick"))
        .args(["report", "audit"])
        .args(arguments)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("bailiwick_maintenance").await)
        .output()
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn json_of(database: &TestDatabase, arguments: &[&str]) -> Value {
    let (code, out, err) = report(database, arguments).await;
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

#[tokio::test]
async fn json_is_what_the_tool_answers() {
    let (database, demo, session) = planted(120).await;
    let none = json!({ "to": "2020-01-01" });
    let flags = ["--tenant", "demo", "--json", "--to", "2020-01-01"];
    assert_eq!(json_of(&database, &flags).await, session.ok("search_audit_log", none).await);
    let filters = json!({ "to": PLANTED_TO, "success": false, "action": "search", "limit": 3 });
    let mut flags = vec!["--tenant", "demo", "--json", "--to", PLANTED_TO, "--success", "false", "--action", "search"];
    flags.extend(["--limit", "3"]);
    let first = json_of(&database, &flags).await;
    assert_eq!(first, session.ok("search_audit_log", filters.clone()).await);
    let mut next = filters;
    next["cursor"] = first["next_cursor"].clone();
    flags.extend(["--cursor", next["cursor"].as_str().unwrap()]);
    assert_eq!(json_of(&database, &flags).await, session.ok("search_audit_log", next).await);
    let named = oracle(&database, &demo, "outcome = 'denied'").await[0].clone();
    let found = json_of(&database, &["--tenant", "demo", "--json", "--call-id", &named]).await;
    assert_eq!(ids(&[found]), [named]);
}

#[tokio::test]
async fn all_pages_are_printed_with_stable_columns_and_no_formula() {
    let (database, demo, _session) = planted(2_345).await;
    let wanted = oracle(&database, &demo, "true").await;
    let whole = json_of(&database, &["--tenant", "demo", "--all", "--json"]).await;
    assert_eq!(ids(std::slice::from_ref(&whole)), wanted);
    let (code, out, err) = report(&database, &["--tenant", "demo", "--all", "--csv"]).await;
    assert_eq!(code, Some(0), "{err}");
    let mut reader = csv::Reader::from_reader(out.as_bytes());
    let columns = "call_id started_at completed_at user action resource resource_id outcome error details client ip_address duration_ms";
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(" "), columns);
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    for (record, row) in records.iter().zip(whole["rows"].as_array().unwrap()) {
        assert!(record.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@'])), "{record:?}");
        for (column, cell) in columns.split(' ').zip(record) {
            let told = match &row[column] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(cell.strip_prefix('\'').unwrap_or(cell), told, "{column}");
        }
    }
    assert_eq!(records.len(), wanted.len());
    assert!(records.iter().any(|record| &record[10] == "'=HYPERLINK(\"x\",\"y\")"));
    let (_, header, _) = report(&database, &["--tenant", "demo", "--csv", "--user", "nobody"]).await;
    assert_eq!(header, out.lines().next().unwrap().to_owned() + "\n");
    let most = json_of(&database, &["--tenant", "demo", "--limit", "1500", "--json"]).await;
    assert_eq!(ids(&[most]), wanted[..1_500]);
}

#[tokio::test]
async fn a_person_reads_a_table() {
    let (database, demo, _session) = planted(30).await;
    let (code, out, err) = report(&database, &["--tenant", "demo", "--limit", "2"]).await;
    assert_eq!(code, Some(0), "{err}");
    let newest = &oracle(&database, &demo, "true").await[0];
    assert!(out.contains("outcome") && out.contains(newest), "{out}");
    assert!(out.contains("--all shows them") && out.contains("Nothing is sealed yet."), "{out}");
    let (_, out, _) = report(&database, &["--tenant", "demo", "--user", "nobody"]).await;
    assert_eq!(out, "no call passes\n");
}

#[tokio::test]
async fn what_cannot_be_reported_is_said() {
    let (database, _, _session) = planted(0).await;
    for (arguments, code, words) in [
        (&[][..], 1, "no tenant was named: give --tenant SLUG"),
        (&["--tenant", "nobody"], 1, "there is no tenant \"nobody\""),
        (&["--tenant", "demo", "--from", "2026-03-01", "--to", "2026-02-01"], 1, "`from` is not before to"),
        (&["--tenant", "demo", "--cursor", "x"], 1, "`cursor` is not a cursor of this trail"),
        (&["--tenant", "demo", "--action", "look"], 2, "invalid value 'look'"),
        (&["--tenant", "demo", "--all", "--limit", "3"], 2, "cannot be used with"),
        (&["--tenant", "demo", "--csv", "--json"], 2, "cannot be used with"),
    ] {
        let (exit, out, err) = report(&database, arguments).await;
        assert!(exit == Some(code) && out.is_empty() && err.contains(words), "{arguments:?}: {exit:?} {out} {err}");
    }
}
