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
        assert_eq!(code, Some(0), "{err}");
        if report["sealed_rows"] != json!(0) {
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
