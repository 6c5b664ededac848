use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use super::trail::Trail;
use crate::harness::Process;

async fn bailiwick(trail: &Trail, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = command(trail).await.args(arguments).output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The real binary with the trail's key and heads.
async fn command(trail: &Trail) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command
        .env("BAILIWICK_DATABASE_URL", trail.database.url("bailiwick_app").await)
        .env("BAILIWICK_ADMIN_DATABASE_URL", trail.database.url("postgres").await)
        .env("BAILIWICK_AUDIT_KEY", trail.folder.path().join("signing-key.pem"))
        .env("BAILIWICK_AUDIT_HEADS", trail.folder.path().join("heads.jsonl"))
        .env("BAILIWICK_TENANT", "demo");
    command
}

/// Calls wait for the transactions of other tests' databases, too.
async fn maintain_until_sealed(trail: &Trail) {
    loop {
        let (code, out, err) = bailiwick(trail, &["maintain", "--json"]).await;
        let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}"));
        if report["sealed_rows"] != json!(0) {
            assert_eq!(code, Some(0), "{out}{err}");
            return;
        }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_trail_is_sealed_verified_archived_and_retired() {
    let trail = Trail::create().await;
    trail.partition("2026-08").await;
    trail.add(12, "2026-08-02").await;
    let (code, out, _) = bailiwick(&trail, &["doctor", "--json"]).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["unsealed_calls"]), (Some(1), &json!(12)), "{out}");
    maintain_until_sealed(&trail).await;
    let (code, out, _) = bailiwick(&trail, &["doctor"]).await;
    assert!(code == Some(0) && !out.contains("audit trail"), "{out}");

    let (code, out, err) = bailiwick(&trail, &["audit", "verify"]).await;
    assert!(
        code == Some(0) && out.starts_with("audit trail: 12 rows under 1 seals: as sealed\nsealed until "),
        "{out}{err}"
    );
    assert!(out.contains("; 0 rows not sealed yet; signatures checked; 1 heads from outside"), "{out}");
    let head = trail.database.value::<String>("SELECT encode(head, 'hex') FROM audit_seals").await;
    let (code, out, _) = bailiwick(&trail, &["audit", "verify", "--head", &head, "--json"]).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["sound"], &report["trail"]["heads_checked"]), (Some(0), &json!(true), &json!(2)));
    let (code, out, _) = bailiwick(&trail, &["audit", "verify", "--head", &head.replace('a', "b")]).await;
    assert!(code == Some(1) && out.contains("no seal has the head"), "{out}");

    let file = trail.folder.path().join("2026-08.jsonl");
    let (code, out, err) = bailiwick(&trail, &["audit", "export", "--month", "2026-08", path(&file)]).await;
    assert!(code == Some(0) && out.ends_with("12 rows of 2026-08 and 1 seals\n"), "{out}{err}");
    let (code, out, _) = bailiwick(&trail, &["audit", "verify", "--offline", "--archive", path(&file)]).await;
    assert!(
        code == Some(0) && out.ends_with("12 rows of 2026-08 and 1 seals, signatures checked: as sealed\n"),
        "{out}"
    );
    let (code, _, err) = bailiwick(&trail, &["audit", "retire", "--before", "2026-09"]).await;
    assert!(code == Some(1) && err.contains("no archive of 2026-08 was given"), "{err}");
    let (code, out, err) =
        bailiwick(&trail, &["audit", "retire", "--before", "2026-09", "--archive", path(&file)]).await;
    assert_eq!((code, out.as_str()), (Some(0), "retired 12 rows (audit_logs_2026_08); seal 2 says so\n"), "{err}");
    let (code, out, _) = bailiwick(&trail, &["audit", "verify", "--archive", path(&file)]).await;
    assert!(code == Some(0) && out.contains("rows of calls from before 2026-09-01T00:00:00Z were retired"), "{out}");

    trail.add(3, "2026-11-02").await;
    maintain_until_sealed(&trail).await;
    trail.database.execute("UPDATE audit_logs SET user_id = 'nobody'").await;
    let (code, out, _) = bailiwick(&trail, &["audit", "verify"]).await;
    assert!(code == Some(1) && out.contains(": 3 faults\n  row ") && out.contains("is not as it was sealed"), "{out}");
}

#[tokio::test]
async fn a_server_seals_by_itself() {
    let trail = Trail::create().await;
    let mut server = Process::spawn(command(&trail).await);
    server.initialize().await;
    trail.add(4, "2026-11-02").await;
    let started = std::time::Instant::now();
    while trail.database.value::<i64>("SELECT coalesce(sum(row_count), 0)::bigint FROM audit_seals").await < 4 {
        assert!(started.elapsed().as_secs() < 30, "nothing was sealed");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let (code, _, stderr) = server.finish().await;
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("audit trail sealed"), "{stderr}");
    let found = trail.assert_sound().await;
    assert_eq!((found.rows_checked, found.heads_checked as u64), (4, found.seals_checked));
}

async fn rows_not_sealed(trail: &Trail) -> i64 {
    let sql = "SELECT count(*) FROM audit_logs WHERE id > (SELECT coalesce(max(last_id), 0) FROM audit_seals)";
    trail.database.value(sql).await
}

/// A client that asks one thing and goes: nobody else may come for days.
#[tokio::test]
async fn the_last_calls_of_a_server_are_sealed_before_it_ends() {
    let trail = Trail::create().await;
    for round in 1..=20 {
        let mut server = Process::spawn(command(&trail).await);
        server.initialize().await;
        let search = json!({ "name": "hybrid_search", "arguments": { "query": "leave" } });
        server.send(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": search })).await;
        let (code, messages, stderr) = server.finish().await;
        assert_eq!((code, messages.len()), (Some(0), 1), "{stderr}");
        let rows: i64 = trail.database.value("SELECT count(*) FROM audit_logs").await;
        assert_eq!(rows, round, "{stderr}");
        // Transactions of other tests may be in the way for longer than it waits.
        if rows_not_sealed(&trail).await == 0 {
            trail.assert_sound().await;
            return;
        }
    }
    panic!("the last call was never sealed");
}

#[tokio::test]
async fn maintain_fails_where_it_cannot_seal() {
    let trail = Trail::create().await;
    trail.add(3, "2026-11-02").await;
    maintain_until_sealed(&trail).await;
    trail.add(2, "2026-11-03").await;
    let without = async |arguments: &[&str]| {
        let mut command = command(&trail).await;
        let output = command.env_remove("BAILIWICK_AUDIT_KEY").args(arguments).output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, told) = without(&["maintain"]).await;
    assert!(code == Some(1) && told.contains("BAILIWICK_AUDIT_KEY is not set"), "{code:?} {told}");
    let (code, told) = without(&["maintain", "--json"]).await;
    let report: Value = serde_json::from_str(&told).unwrap();
    assert!(code == Some(1) && report["not_sealed"].as_str().unwrap().contains("BAILIWICK_AUDIT_KEY"), "{told}");
    assert_eq!(report["sealed_rows"], 0);
    maintain_until_sealed(&trail).await;

    // A transaction in the way is none of its faults for ten minutes, and then it is.
    let other = trail.database.connect_admin().await;
    other.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.unwrap();
    let recent = "SELECT pg_current_xact_id();
        INSERT INTO audit_logs (\"timestamp\", tenant_id, user_id, call_id, action, outcome, success)
        SELECT now(), id, 'u', gen_random_uuid(), 'search', 'ok', true FROM tenants WHERE slug = 'demo'";
    trail.database.execute(recent).await;
    let (code, told, err) = bailiwick(&trail, &["maintain"]).await;
    assert!(code == Some(0) && told.contains("has not ended"), "{code:?} {told}{err}");
    trail.add(1, "2026-11-04").await;
    let (code, told, err) = bailiwick(&trail, &["maintain"]).await;
    assert!(code == Some(1) && told.contains("has not ended"), "{code:?} {told}{err}");
    other.batch_execute("COMMIT").await.unwrap();
    maintain_until_sealed(&trail).await;
}

/// What docs/operations.md says of a signing key that leaked, or that somebody had who left.
#[tokio::test]
async fn a_trail_goes_over_to_another_key_and_what_the_old_one_signed_stays_believed() {
    let trail = Trail::create().await;
    trail.partition("2026-08").await;
    trail.add(6, "2026-08-02").await;
    maintain_until_sealed(&trail).await;
    // The old key's public half is kept, and another signs.
    let (key, before) = (trail.folder.path().join("signing-key.pem"), trail.folder.path().join("trusted"));
    std::fs::create_dir(&before).unwrap();
    std::fs::rename(trail.folder.path().join("signing-key.pub.pem"), before.join("2026-08.pem")).unwrap();
    std::fs::remove_file(&key).unwrap();
    bailiwick::audit::SealKey::load_or_create(&key).unwrap();
    trail.add(6, "2026-11-02").await;
    maintain_until_sealed(&trail).await;
    let keys: i64 = trail.database.value("SELECT count(DISTINCT key_id) FROM audit_seals").await;
    assert_eq!(keys, 2);

    let file = trail.folder.path().join("whole.backup");
    let run = async |with: Option<&Path>, arguments: &[&str]| {
        let mut command = command(&trail).await;
        command
            .args(arguments)
            .env("BAILIWICK_PG_BIN", crate::harness::server().await.bin_dir())
            .env("BAILIWICK_DATA_DIR", crate::harness::data_dir())
            .env("BAILIWICK_KEEP_AUDIT_MONTHS", "1")
            .env("BAILIWICK_RETENTION_DIR", trail.folder.path());
        if let Some(folder) = with {
            command.env("BAILIWICK_AUDIT_TRUSTED_KEYS", folder);
        }
        let output = command.output().await.unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, told) = run(None, &["backup", path(&file)]).await;
    assert_eq!(code, Some(0), "{told}");
    let restore = ["restore", "--replace", path(&file)];
    for (arguments, problem) in [
        (&["audit", "verify"][..], "none of those trusted"),
        // Months from before it are not retired.
        (&["maintain"], "retention of the trail"),
        (&restore, "none of those trusted"),
    ] {
        let (code, told) = run(None, arguments).await;
        assert!(code == Some(1) && told.contains(problem), "{arguments:?}: {code:?} {told}");
    }
    for arguments in [&["audit", "verify"][..], &restore, &["maintain"], &["audit", "verify"]] {
        let (code, told) = run(Some(&before), arguments).await;
        assert_eq!(code, Some(0), "{arguments:?}: {told}");
        if arguments[0] == "audit" {
            assert!(told.contains("signatures checked"), "{told}");
        }
    }
    let left: i64 = trail.database.value("SELECT count(*) FROM audit_logs WHERE \"timestamp\" < '2026-09-01'").await;
    assert_eq!(left, 0, "retired");
}

/// On the program's own PostgreSQL the folder has its place beside the key.
#[test]
fn keys_that_signed_before_are_found_beside_the_key() {
    use bailiwick::audit::{SealKey, trusted_keys};
    use bailiwick::configuration::AuditArguments;
    let data = tempfile::tempdir().unwrap();
    let audit = data.path().join("audit");
    let (old, new) = (
        SealKey::load_or_create(&data.path().join("old.pem")).unwrap(),
        SealKey::load_or_create(&audit.join("signing-key.pem")).unwrap(),
    );
    let believed = || trusted_keys(&AuditArguments::default(), Some(data.path()), &[]);
    assert!(!believed().unwrap().know(old.key_id()));
    std::fs::create_dir(audit.join("trusted")).unwrap();
    std::fs::copy(data.path().join("old.pub.pem"), audit.join("trusted").join("2026.pem")).unwrap();
    // What is no key by its name is not looked into.
    std::fs::write(audit.join("trusted").join("README"), "keys that signed before").unwrap();
    let trusted = believed().unwrap();
    assert!(trusted.know(old.key_id()) && trusted.know(new.key_id()));
    // What is one by its name and is none is told, and so is a folder that is not there.
    std::fs::write(audit.join("trusted").join("x.pem"), "no key").unwrap();
    assert!(believed().unwrap_err().to_string().contains("x.pem"));
    let named = AuditArguments { audit_trusted_keys: Some(data.path().join("nowhere")), ..AuditArguments::default() };
    assert!(trusted_keys(&named, None, &[]).unwrap_err().to_string().contains("nowhere"));
}
