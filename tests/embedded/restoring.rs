//! A backup of the program's own PostgreSQL, there and in a new one.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::support::{DataDir, PROGRAM, pg_bin};

/// What the program prints on the server of that data folder.
async fn told(data_dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM)
        .args(arguments)
        .env("BAILIWICK_DATA_DIR", data_dir)
        .env("BAILIWICK_PG_BIN", pg_bin().await)
        .env("BAILIWICK_NO_EMBEDDINGS", "true")
        .env_remove("BAILIWICK_DATABASE_URL")
        .env_remove("BAILIWICK_ADMIN_DATABASE_URL")
        .env_remove("DATABASE_URL")
        .output()
        .await
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}{stderr}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn a_backup_restores_into_a_server_that_knows_none_of_its_roles() {
    let (one, other) = (DataDir::new(), DataDir::new());
    let folder = tempfile::tempdir().unwrap();
    let (file, note) = (folder.path().join("backup").display().to_string(), folder.path().join("note.txt"));
    std::fs::write(&note, "The coffee machine is descaled on Fridays.").unwrap();
    told(one.path(), &["tenant", "create", "acme"]).await;
    told(one.path(), &["ingest", "--tenant", "acme", &note.display().to_string()]).await;
    told(one.path(), &["maintain"]).await;
    told(one.path(), &["backup", &file]).await;

    let restored = json(&told(other.path(), &["restore", "--json", &file]).await);
    assert_eq!((&restored["sound"], &restored["restore"]["replaced"]), (&true.into(), &false.into()), "{restored}");
    // Nothing of its own is left to say whose keys were revoked since.
    let notes = restored["notes"].as_array().unwrap();
    assert!(notes.len() == 1 && notes[0].as_str().unwrap().contains("there was nothing to compare with"), "{notes:?}");
    let found = |text: &str| {
        json(text)["tenants"].as_array().unwrap().iter().map(|tenant| tenant["slug"].to_string()).collect::<Vec<_>>()
    };
    let tenants = found(&told(one.path(), &["tenant", "list", "--json"]).await);
    assert_eq!(tenants, found(&told(other.path(), &["tenant", "list", "--json"]).await));
    assert_eq!(json(&told(other.path(), &["doctor", "--json"]).await)["sound"], true);
    told(other.path(), &["audit", "verify"]).await;

    // Where seals were made since, their heads were kept: they are set aside, or nothing would be sealed any more.
    told(one.path(), &["tenant", "create", "later"]).await;
    told(one.path(), &["maintain"]).await;
    let restored = json(&told(one.path(), &["restore", "--replace", "--json", &file]).await);
    assert_eq!(restored["sound"], true, "{restored}");
    assert!(restored["notes"].to_string().contains("heads.jsonl.before-restore-"), "{restored}");
    told(one.path(), &["tenant", "create", "again"]).await;
    let sealed = json(&told(one.path(), &["maintain", "--json"]).await);
    assert_eq!(sealed["sealed_rows"], 1, "{sealed}");
    told(one.path(), &["audit", "verify"]).await;
}
