//! The cluster is durable, private, and sorts the same for ever.

use std::{fs, os::unix::fs::PermissionsExt, os::unix::process::CommandExt, path::Path};

use bailiwick::embedded::{EmbeddedServer, Options};

use crate::support::{DataDir, Participant, connect, is_root, participant, pg_bin, text};

#[tokio::test]
async fn the_server_is_durable_and_sorts_by_the_builtin_collation() {
    let data = DataDir::new();
    let server = data.start().await;
    let client = connect(&server).await;
    for (setting, value) in [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("jit", "off"),
        ("server_encoding", "UTF8"),
        ("timezone", "UTC"),
        ("listen_addresses", ""),
        ("unix_socket_permissions", "0700"),
        ("shared_preload_libraries", "pg_stat_statements"),
        ("idle_in_transaction_session_timeout", "0"),
    ] {
        assert_eq!(text(&client, &format!("show {setting}")).await, value, "{setting}");
    }
    let collation = "select datlocprovider::text || ' ' || datlocale from pg_database where datname = 'template1'";
    assert_eq!(text(&client, collation).await, "b C.UTF-8");
}

#[tokio::test]
async fn the_extensions_are_there_and_letters_beyond_ascii_are_letters() {
    let data = DataDir::new();
    let server = data.start().await;
    let client = connect(&server).await;
    client
        .batch_execute("create extension vector; create extension pg_trgm; create extension pg_stat_statements")
        .await
        .unwrap();
    assert_eq!(text(&client, "select ('[1,2]'::vector <-> '[1,2]')::text").await, "0");
    assert_eq!(text(&client, "select lower('ÉÜ') || similarity('日本語', '日本語')::text").await, "éü1");
    assert_eq!(text(&client, "select to_tsvector('simple', 'ÉCOLE “naïve”')::text").await, "'naïve':2 'école':1");
}

#[tokio::test]
async fn the_socket_is_the_only_way_in_and_its_folder_is_private() {
    let data = DataDir::new();
    let server = data.start().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(server.socket_dir()), 0o700);
    assert_eq!(mode(&data.path().join("cluster")), 0o700);
    assert_eq!(mode(&data.path().join("locks")), 0o700);
    assert_eq!(listening_tcp_sockets(data.postmaster().unwrap()), 0);
}

/// How many of a process's sockets are in the system's tables of TCP sockets.
fn listening_tcp_sockets(pid: i32) -> usize {
    let tables =
        ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default());
    let inodes: Vec<&str> =
        tables.iter().flat_map(|table| table.lines()).filter_map(|line| line.split_whitespace().nth(9)).collect();
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let targets = files.filter_map(|file| Some(fs::read_link(file.path()).ok()?.display().to_string()));
    targets.filter(|target| inodes.iter().any(|inode| *target == format!("socket:[{inode}]"))).count()
}

#[tokio::test]
async fn long_and_odd_folder_names_work() {
    let data = DataDir::new();
    let parent = data.path().join("it's, \u{e9} %s odd 'place'");
    let long = parent.join("long".repeat(30)).join("name".repeat(30));
    fs::create_dir_all(&long).unwrap();
    fs::set_permissions(data.path(), fs::Permissions::from_mode(0o711)).unwrap();
    for place in [parent.join("here"), long] {
        let options = Options { pg_bin: Some(pg_bin().await), ..Options::new(&place) };
        let server = EmbeddedServer::start(options).await.unwrap_or_else(|error| panic!("{error:?}"));
        assert!(server.socket_dir().as_os_str().len() < 100);
        assert_eq!(fs::metadata(server.socket_dir()).unwrap().permissions().mode() & 0o777, 0o700);
        let cluster = place.canonicalize().unwrap().join("cluster");
        assert_eq!(text(&connect(&server).await, "show data_directory").await, cluster.display().to_string());
        if !server.socket_dir().starts_with(data.path()) {
            let outside = server.socket_dir().to_path_buf();
            drop(server);
            fs::remove_dir(outside).unwrap();
        }
    }
}

#[tokio::test]
async fn an_ordinary_user_is_served_alike_and_root_may_help_out_in_their_folder() {
    if !is_root() {
        return;
    }
    const NOBODY: u32 = 65_534;
    let data = DataDir::new();
    std::os::unix::fs::chown(data.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    for uid in [0, NOBODY, 0, NOBODY] {
        let mut command = participant(data.path(), Some(&pg_bin().await), 0);
        command.uid(uid).gid(uid).env("HOME", "/nonexistent");
        let one = Participant::attached(Participant::spawn(command)).unwrap_or_else(|said| panic!("{uid}: {said}"));
        let postmaster = data.postmaster().unwrap();
        let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{postmaster}")).unwrap());
        assert_eq!(owner, NOBODY);
        assert!(data.keeper().is_some(), "{uid} has no keeper");
        one.leave();
        assert!(data.stops().await);
    }
}
