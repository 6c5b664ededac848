//! What a kill, a crash or a power failure leaves behind, heals.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use bailiwick::embedded::EmbeddedServer;

use crate::support::{DataDir, Participant, connect, connect_with, eventually, kill9, runs, text};

async fn rows(server: &EmbeddedServer) -> String {
    text(&connect(server).await, "select count(*)::text from kept").await
}

async fn fill(server: &EmbeddedServer) {
    let client = connect(server).await;
    client.batch_execute("create table kept as select generate_series(1, 1000)").await.unwrap();
}

#[tokio::test]
async fn what_was_committed_survives_the_kill_of_the_server() {
    let data = DataDir::new();
    let server = data.start().await;
    fill(&server).await;
    kill9(data.postmaster().unwrap());
    let again = data.start().await;
    assert!(again.started_here());
    assert_eq!(rows(&again).await, "1000");
}

#[tokio::test]
async fn the_kill_of_server_keeper_and_participant_at_once_heals() {
    let data = DataDir::new();
    let one = Participant::start(data.path(), 60_000).await;
    let client = connect_with(one.config()).await;
    client.batch_execute("create table kept as select generate_series(1, 1000)").await.unwrap();
    let (keeper, postmaster) = (data.keeper().unwrap(), data.postmaster().unwrap());
    kill9(keeper);
    kill9(postmaster);
    one.kill9();
    let again = data.start().await;
    assert_eq!(rows(&again).await, "1000");
}

#[tokio::test]
async fn a_query_that_outlives_a_killed_server_does_not_keep_the_next_from_starting() {
    let data = DataDir::new();
    let server = data.start().await;
    fill(&server).await;
    let client = connect(&server).await;
    let endless = "select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b";
    let query = tokio::spawn(async move { client.batch_execute(endless).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    kill9(data.postmaster().unwrap());
    let again = data.start().await;
    assert_eq!(rows(&again).await, "1000");
    assert!(query.await.unwrap().is_err());
}

#[tokio::test]
async fn a_pid_file_that_names_a_stranger_does_not_keep_the_server_from_starting() {
    let data = DataDir::new();
    let server = data.start().await;
    fill(&server).await;
    let postmaster = data.postmaster().unwrap();
    kill9(postmaster);
    assert!(eventually(|| !runs(postmaster)).await);
    let mut stranger = Command::new("sleep")
        .arg("60")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let path = data.path().join("cluster/postmaster.pid");
    let stale = fs::read_to_string(&path).unwrap().replace(&postmaster.to_string(), &stranger.id().to_string());
    fs::write(&path, stale).unwrap();
    let again = data.start().await;
    assert_eq!(rows(&again).await, "1000");
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger must be left alone");
    drop(again);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn an_empty_or_garbled_pid_file_does_not_keep_the_server_from_starting() {
    let data = DataDir::new();
    drop(data.start().await);
    for left in ["", "\0\0\0\0", "garbage\n"] {
        fs::write(data.path().join("cluster/postmaster.pid"), left).unwrap();
        assert!(data.start().await.started_here(), "{left:?}");
    }
}

#[tokio::test]
async fn a_cluster_that_was_half_made_is_made_anew() {
    let data = DataDir::new();
    let half = data.path().join("cluster.partial.4711");
    fs::create_dir(&half).unwrap();
    fs::write(half.join("PG_VERSION"), "18\n").unwrap();
    fs::create_dir(data.path().join("cluster")).unwrap();
    if crate::support::is_root() {
        // It is not empty any more, so its mode is the test's business.
        fs::set_permissions(data.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    }
    let server = data.start().await;
    assert!(server.started_here() && !half.exists());
}

#[tokio::test]
async fn the_kill_of_a_first_start_at_any_moment_heals() {
    let data = DataDir::new();
    for milliseconds in [5, 60, 250, 500, 800, 1000] {
        let child =
            Participant::spawn(crate::support::participant(data.path(), Some(&crate::support::pg_bin().await), 300));
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        kill9(i32::try_from(child.id()).unwrap());
        let mut child = child;
        child.wait().unwrap();
    }
    let one = Participant::start(data.path(), 100).await;
    one.leave();
    assert!(data.stops().await);
}

#[tokio::test]
async fn a_server_that_is_killed_under_a_watching_participant_comes_back() {
    let data = DataDir::new();
    let server = data.start().await;
    fill(&server).await;
    let watch = server.watch(data.options().await);
    let killed = data.postmaster().unwrap();
    kill9(killed);
    let is_another = || data.postmaster().is_some_and(|postmaster| postmaster != killed && runs(postmaster));
    assert!(eventually(is_another).await);
    let mut tries = 0;
    let count = loop {
        let config = server.config("postgres", "postgres");
        match bailiwick::db::admin::connect(&config).await {
            Ok(client) => break text(&client, "select count(*)::text from kept").await,
            Err(error) => assert!(tries < 200, "{error}"),
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(count, "1000");
    watch.abort();
}
