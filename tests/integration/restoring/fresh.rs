//! A server of one's own that knows none of the roles, lets nobody in without a password, and ends sessions that idle.

use std::process::Output;
use std::time::Duration;

use bailiwick::db::admin;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use super::interrupted::stopping;
use super::planted::forged;
use super::{backup, both};
use crate::harness::{TestDatabase, server, until};
use crate::reach::Cluster;

/// A database's sessions are given five seconds to leave it in one statement, which is longer than one may take here.
async fn fresh() -> Cluster {
    let mut settings =
        "fsync = on\nmax_prepared_transactions = 4\nidle_session_timeout = 1s\nstatement_timeout = 3s\n".to_owned();
    let postgres = admin::connect(&server().await.config("postgres", "postgres")).await.unwrap();
    let known = "SELECT count(*) FROM pg_settings WHERE name = 'transaction_timeout'";
    if postgres.query_one(known, &[]).await.unwrap().get::<_, i64>(0) == 1 {
        settings.push_str("transaction_timeout = 3s\n");
    }
    let cluster = Cluster::create(server().await.bin_dir(), &settings).await;
    cluster.allow("host all bailiwick_app 127.0.0.1/32 scram-sha-256\n");
    cluster.start();
    cluster
}

async fn restore(cluster: &Cluster, programs: &std::path::Path, file: &str, more: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.arg("restore").args(more).arg(file).env_remove("DATABASE_URL").env("NO_COLOR", "1");
    command.env("BAILIWICK_ADMIN_DATABASE_URL", format!("postgresql://postgres@{}/bw", cluster.host()));
    command
        .env("BAILIWICK_DATABASE_URL", format!("postgresql://bailiwick_app:hunter2@127.0.0.1:{}/bw", cluster.port()));
    command.env("BAILIWICK_PG_BIN", programs).env("BAILIWICK_NO_EMBEDDINGS", "true");
    command.kill_on_drop(true).output().await.unwrap()
}

#[tokio::test]
async fn roles_that_had_to_be_made_are_whole_whatever_became_of_the_restore_that_made_them() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let (written, file) = (backup(&database, folder.path()).await, folder.path().join("forged").display().to_string());
    forged(&written, &file, |manifest| {
        let settings = manifest["database"]["settings"].as_array_mut().unwrap();
        settings.push(json!({ "role": "bailiwick_app", "of_database": false, "name": "work_mem", "value": "9MB" }));
        manifest["server_settings"] = json!([["work_mem", "123MB"]]);
    });
    let cluster = fresh().await;

    // The first try fails when the roles are there.
    let broken = folder.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    let (real, script) = (server().await.bin_dir().join("pg_restore"), broken.join("pg_restore"));
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && exec {} --version\necho 'pg_restore: error: broken' >&2; exit 1\n",
        real.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let output = restore(&cluster, &broken, &file, &["--json"]).await;
    let said = both(&output);
    assert!(!output.status.success() && said.contains("bailiwick_maintenance was made and has no password"), "{said}");

    // The second waits in the middle for longer than a session may idle.
    let (programs, reached) = stopping(folder.path(), "pg_restore", "").await;
    let go_on = folder.path().join("pg_restore-go-on");
    let waiting = async {
        until("it is in the middle of its work", async || reached.exists()).await;
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        std::fs::write(go_on, "").unwrap();
    };
    let (output, ()) = tokio::join!(restore(&cluster, &programs, &file, &["--json"]), waiting);
    assert!(output.status.success(), "{}", both(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let notes = told["notes"].to_string();
    assert!(!notes.contains("cannot log in") && told["sound"] == true, "{told}");
    assert!(
        notes.contains("ALTER SYSTEM had set otherwise") && notes.contains("work_mem") && !notes.contains("123MB"),
        "{notes}"
    );
    let way = format!("host=127.0.0.1 port={} user=bailiwick_app password=hunter2 dbname=bw", cluster.port());
    let (app, connection) = tokio_postgres::connect(&way, NoTls).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(app.query_one("SHOW work_mem", &[]).await.unwrap().get::<_, String>(0), "9MB");
    drop(app);

    // Where a role has another password than the program knows, that is told.
    cluster.connect("postgres").await.batch_execute("ALTER ROLE bailiwick_app PASSWORD 'another'").await.unwrap();
    let output = restore(&cluster, server().await.bin_dir(), &file, &["--json", "--replace"]).await;
    assert!(output.status.success() && both(&output).contains("bailiwick_app cannot log in"), "{}", both(&output));

    // What nothing but its end moves out of the way is told at once.
    let inside = cluster.connect("bw").await;
    inside.batch_execute("BEGIN; CREATE TABLE waiting (id int); PREPARE TRANSACTION 'left over'").await.unwrap();
    let output = restore(&cluster, server().await.bin_dir(), &file, &["--json", "--replace"]).await;
    assert!(!output.status.success() && both(&output).contains("left over"), "{}", both(&output));

    // And waited for, if it comes later.
    let (client, observer) = (cluster.connect("postgres").await, cluster.connect("postgres").await);
    admin::have_time(&client).await.unwrap();
    admin::have_time(&observer).await.unwrap();
    client.batch_execute("CREATE DATABASE new").await.unwrap();
    let end = async {
        tokio::time::sleep(Duration::from_millis(5_500)).await;
        cluster.connect("bw").await.batch_execute("ROLLBACK PREPARED 'left over'").await.unwrap();
    };
    let (placed, ()) = tokio::join!(admin::put_in_place(&client, &observer, "new", "bw", Some("old")), end);
    placed.unwrap();
    let names = client
        .query("SELECT datname::text FROM pg_database WHERE datname IN ('new', 'bw', 'old') ORDER BY 1", &[])
        .await;
    assert_eq!(names.unwrap().iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["bw", "old"]);
}

/// What may hold a password does not go into a backup.
#[tokio::test]
async fn of_a_servers_settings_only_plain_ones_are_written_down() {
    let cluster = Cluster::create(server().await.bin_dir(), "archive_mode = on\n").await;
    cluster.start();
    let client = cluster.connect("postgres").await;
    let settings = ["archive_command = 'curl ftp://ada:secret@host'", "work_mem = '5MB'", "theirs.key = 'secret'"];
    for (setting, at) in settings.into_iter().zip(0..) {
        let set = client.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await;
        // PostgreSQL 16 takes no setting that nobody has defined.
        assert!(set.is_ok() || at == 2, "{setting}: {set:?}");
    }
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let sql = include_str!("../../../sql/queries/backup/server_settings.sql");
    let mut found = String::new();
    for _ in 0..50 {
        let rows = client.query(sql, &[]).await.unwrap();
        found = rows.iter().map(|row| format!("{}={} ", row.get::<_, String>(0), row.get::<_, String>(1))).collect();
        if !found.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(found, "work_mem=5MB ");
}
