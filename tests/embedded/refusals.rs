//! What cannot work is refused, with the reason and a way out.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use bailiwick::embedded::{EmbeddedError, EmbeddedServer, Options, explain};

use crate::support::{DataDir, is_root, pg_bin};

async fn refusal(options: Options) -> (EmbeddedError, String) {
    let error = EmbeddedServer::start(options).await.expect_err("a refusal");
    let text = explain(&error);
    (error, text)
}

/// A build made of scripts that print the given answers.
fn fake_build(folder: &Path, version: &str) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let share = folder.join("share");
    for (name, answer) in
        [("postgres", version), ("pg_config", share.to_str().unwrap()), ("initdb", ""), ("pg_ctl", "")]
    {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{answer}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[tokio::test]
async fn a_named_build_that_cannot_serve_is_refused_with_the_reason() {
    let data = DataDir::new();
    let fake = tempfile::tempdir().unwrap();
    let options = |bin: &Path| Options { pg_bin: Some(bin.into()), ..Options::new(data.path()) };

    let (_, said) = refusal(options(Path::new("/nonexistent/bin"))).await;
    assert!(said.contains("/nonexistent/bin") && said.contains("its postgres does not run"), "{said}");

    fake_build(fake.path(), "postgres (PostgreSQL) 15.18 (Debian)");
    let (_, said) = refusal(options(fake.path())).await;
    assert!(said.contains("it is version 15, and 16 is the oldest supported"), "{said}");

    fake_build(fake.path(), "postgres (PostgreSQL) 17.1");
    let (error, said) = refusal(options(fake.path())).await;
    assert!(matches!(error, EmbeddedError::UnusableBuild { .. }));
    assert!(said.contains("it has no pgvector") && said.contains("BAILIWICK_DATABASE_URL"), "{said}");
}

#[tokio::test]
async fn data_of_another_major_version_are_left_alone() {
    let data = DataDir::new();
    drop(data.start().await);
    fs::write(data.path().join("cluster/PG_VERSION"), "17\n").unwrap();
    for pg_bin in [Some(pg_bin().await), None] {
        let (error, said) = refusal(Options { pg_bin, ..Options::new(data.path()) }).await;
        assert!(matches!(error, EmbeddedError::OtherMajor { cluster_major: 17, .. }), "{said}");
        assert!(said.contains("BAILIWICK_PG_BIN"), "{said}");
    }
}

#[tokio::test]
async fn under_root_a_data_folder_in_a_private_home_is_refused_with_a_way_out() {
    if !is_root() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let (_, said) = refusal(Options::new(home.path().join("data"))).await;
    assert!(said.contains("cannot enter") && said.contains("/var/lib/bailiwick"), "{said}");
    assert!(said.contains(&format!("chmod o+x {}", home.path().display())), "{said}");
}

#[tokio::test]
async fn a_socket_folder_that_somebody_else_made_is_refused() {
    if !is_root() {
        return;
    }
    let data = DataDir::new();
    let deep = data.path().join("d".repeat(120));
    fs::create_dir(&deep).unwrap();
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let socket_dir = {
        let options = Options { pg_bin: Some(pg_bin().await), ..Options::new(&deep) };
        let server = EmbeddedServer::start(options).await.unwrap();
        server.socket_dir().to_path_buf()
    };
    fs::remove_dir_all(&socket_dir).unwrap();
    fs::create_dir(&socket_dir).unwrap();
    std::os::unix::fs::chown(&socket_dir, Some(4242), Some(4242)).unwrap();
    let (error, said) = refusal(Options::new(&deep)).await;
    fs::remove_dir_all(&socket_dir).unwrap();
    assert!(matches!(error, EmbeddedError::UnusablePath { .. }) && said.contains("another user"), "{said}");
}

#[tokio::test]
async fn a_broken_setting_shows_the_server_s_own_words() {
    let data = DataDir::new();
    drop(data.start().await);
    fs::write(data.path().join("cluster/postgresql.auto.conf"), "max_connections = 'many'\n").unwrap();
    let (error, said) = refusal(data.options().await).await;
    assert!(matches!(error, EmbeddedError::NotStarted { .. }), "{said}");
    assert!(said.contains("max_connections"), "{said}");
}
