//! One server for many processes, from the first to after the last.

use std::{collections::BTreeSet, time::Duration};

use crate::support::{
    DataDir, Participant, connect, connect_with, eventually, kill9, participant, pg_bin, runs, session, text,
};

#[tokio::test]
async fn eight_processes_started_at_once_share_one_server() {
    let (data, bin) = (DataDir::new(), pg_bin().await);
    let children: Vec<_> = (0..8).map(|_| Participant::spawn(participant(data.path(), Some(&bin), 200))).collect();
    let participants: Vec<_> = children.into_iter().map(|child| Participant::attached(child).unwrap()).collect();
    for key in ["system_identifier", "postmaster_start_time", "postmaster_pid", "bin_dir"] {
        let values: BTreeSet<_> = participants.iter().map(|participant| participant.get(key)).collect();
        assert_eq!(values.len(), 1, "{key}: {values:?}");
    }
    let starters = participants.iter().filter(|participant| participant.get("started_here") == "true").count();
    assert_eq!(starters, 1);
    participants.into_iter().for_each(Participant::leave);
    assert!(data.stops().await);
}

#[tokio::test]
async fn the_kill_of_the_process_that_started_the_server_loses_nothing() {
    let data = DataDir::new();
    let starter = Participant::start(data.path(), 200).await;
    let other = Participant::start(data.path(), 200).await;
    assert_eq!((starter.get("started_here"), other.get("started_here")), ("true".into(), "false".into()));
    let client = connect_with(other.config()).await;
    client.batch_execute("create table kept (id int); insert into kept values (1)").await.unwrap();
    starter.kill9();
    // Longer than the grace: the lease of the other must hold the server.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(text(&client, "select count(*)::text from kept").await, "1");
    let third = Participant::start(data.path(), 200).await;
    assert_eq!(third.get("postmaster_pid"), other.get("postmaster_pid"));
    drop(client);
    other.leave();
    third.leave();
    assert!(data.stops().await);
}

#[tokio::test]
async fn the_server_stops_once_the_last_has_been_gone_for_the_grace_and_the_keeper_with_it() {
    let data = DataDir::new();
    // Time enough for a loaded machine to start the next one in.
    let one = Participant::start(data.path(), 5_000).await;
    let keeper = data.keeper().expect("a keeper");
    let postmaster = data.postmaster().expect("a server");
    one.leave();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let two = Participant::start(data.path(), 5_000).await;
    assert_eq!(two.get("postmaster_pid"), postmaster.to_string(), "it must live through the grace");
    tokio::time::sleep(Duration::from_millis(6_000)).await;
    assert_eq!(data.postmaster(), Some(postmaster), "it must live while it is held");
    two.kill9();
    assert!(data.stops().await);
    assert!(eventually(|| !runs(keeper)).await);
    assert!(!runs(postmaster));
}

#[tokio::test]
async fn a_killed_keeper_is_replaced_by_the_next_participant() {
    let data = DataDir::new();
    let one = Participant::start(data.path(), 200).await;
    let keeper = data.keeper().expect("a keeper");
    kill9(keeper);
    assert!(eventually(|| !runs(keeper)).await);
    let two = Participant::start(data.path(), 200).await;
    assert!(data.keeper().is_some_and(|new| new != keeper));
    one.leave();
    two.leave();
    assert!(data.stops().await);
}

#[tokio::test]
async fn server_and_keeper_have_sessions_of_their_own() {
    let data = DataDir::new();
    let one = Participant::start(data.path(), 200).await;
    let (server, keeper) = (data.postmaster().unwrap(), data.keeper().unwrap());
    assert_eq!(session(server), server);
    assert_eq!(session(keeper), keeper);
    one.leave();
}

#[tokio::test]
async fn ctrl_c_in_the_terminal_of_the_client_that_started_the_server_reaches_neither_it_nor_the_keeper() {
    let data = DataDir::new();
    let mut command = participant(data.path(), Some(&pg_bin().await), 10_000);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let starter = Participant::attached(Participant::spawn(command)).unwrap();
    // At once, while `pg_ctl` may still be waiting.
    starter.interrupt_group();
    let next = Participant::start(data.path(), 10_000).await;
    assert_eq!(next.get("postmaster_pid"), starter.get("postmaster_pid"));
    assert!(data.keeper().is_some());
    next.leave();
    starter.kill9();
    assert!(data.stops().await);
}

#[tokio::test]
async fn without_a_keeper_the_last_one_out_stops_the_server() {
    let data = DataDir::new();
    let one = data.start().await;
    let two = data.start().await;
    assert!(one.started_here() && !two.started_here());
    drop(one);
    assert_eq!(text(&connect(&two).await, "select 'served'").await, "served");
    drop(two);
    assert_eq!(data.postmaster(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_participant_that_comes_while_the_server_stops_gets_a_server_all_the_same() {
    let data = DataDir::new();
    data.start().await;
    let path = data.path().to_path_buf();
    // With next to no grace, each start meets a stop at another moment.
    let clients = (0..3u64).map(|number| {
        let path = path.clone();
        tokio::spawn(async move {
            for round in 0..8 {
                let one = Participant::start(&path, 0).await;
                let client = connect_with(one.config()).await;
                assert_eq!(text(&client, "select pg_sleep(0.02)::text || 'served'").await, "served");
                one.leave();
                tokio::time::sleep(std::time::Duration::from_millis(number * 17 + round * 9)).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    assert!(data.stops().await);
}

#[tokio::test]
async fn a_data_folder_is_the_same_by_whatever_path_it_is_reached() {
    let (data, other) = (DataDir::new(), tempfile::tempdir().unwrap());
    let link = other.path().join("link");
    std::os::unix::fs::symlink(data.path(), &link).unwrap();
    let one = Participant::start(data.path(), 0).await;
    let two = Participant::start(&link, 0).await;
    assert_eq!(one.get("postmaster_pid"), two.get("postmaster_pid"));
    one.leave();
    two.leave();
    assert!(data.stops().await);
}
