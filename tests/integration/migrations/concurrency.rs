use std::time::Duration;

use bailiwick::migrations::{MigrationError, Progress, RunOptions, Runner, status};
use tokio::time::timeout;
use tokio_postgres::Client;

use super::database::Database;
use super::samples::{list, migrations, quiet, up, value, with_more};

const SLOW: &str = "create table public.more ();
    select pg_sleep(coalesce(nullif(current_setting('test.sleep', true), ''), '0')::float);";

fn impatient() -> RunOptions {
    RunOptions { lock_wait: Duration::from_millis(300), lock_poll: Duration::from_millis(20), ..RunOptions::default() }
}

async fn advisory_locks(client: &Client) -> Option<String> {
    let sql = "select count(*)::text from pg_locks where locktype = 'advisory'
        and database = (select oid from pg_database where datname = current_database())";
    value(client, sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn of_four_runners_started_at_once_each_migration_is_run_by_one() {
    let database = Database::create().await;
    let list = migrations(&database);
    let mut runners = Vec::new();
    for _ in 0..4 {
        let (mut client, list) = (database.admin().await, list.clone());
        let options = RunOptions { lock_poll: Duration::from_millis(5), ..RunOptions::default() };
        runners.push(tokio::spawn(async move {
            Runner::new(&list, options).up(&mut client, None, quiet).await.unwrap().len()
        }));
    }
    let mut done = Vec::new();
    for runner in runners {
        done.push(runner.await.unwrap());
    }
    done.sort_unstable();
    assert_eq!(done, [0, 0, 0, 3]);
    assert_eq!(advisory_locks(&database.admin().await).await.as_deref(), Some("0"));
}

#[tokio::test]
async fn the_wait_for_another_runner_is_bounded_and_names_it() {
    let database = Database::create().await;
    let list = with_more(&database, SLOW);
    let mut holder = database.admin().await;
    holder.batch_execute("set application_name = 'the other'; set test.sleep = '6'").await.unwrap();
    let other = list.clone();
    let (started, wait) = tokio::sync::oneshot::channel::<()>();
    let working = tokio::spawn(async move {
        let mut started = Some(started);
        let tell = |_: Progress<'_>| drop(started.take());
        Runner::new(&other, RunOptions::default()).up(&mut holder, None, tell).await
    });
    wait.await.unwrap_err();

    let mut client = database.admin().await;
    let mut told = 0;
    let tell =
        |progress: Progress<'_>| told += usize::from(matches!(progress, Progress::WaitingForLock { holder: Some(_) }));
    let error = Runner::new(&list, impatient()).up(&mut client, None, tell).await.unwrap_err();
    assert_eq!(told, 1);
    let text = error.to_string();
    assert!(matches!(error, MigrationError::LockWait { .. }), "{text}");
    assert!(text.contains("within 300ms, held by server process ") && text.contains("application the other"), "{text}");
    assert_eq!(working.await.unwrap().unwrap().len(), 4);
}

#[tokio::test]
async fn the_lock_is_free_after_success_refusal_and_failure() {
    let database = Database::create().await;
    let mut client = database.admin().await;
    let good = migrations(&database);
    up(&mut client, &good).await.unwrap();
    assert_eq!(advisory_locks(&client).await.as_deref(), Some("0"));
    up(&mut client, &with_more(&database, "select 1/0;")).await.unwrap_err();
    assert_eq!(advisory_locks(&client).await.as_deref(), Some("0"));
    let older = list(super::samples::files(&database).into_iter().take(2).collect());
    up(&mut client, &older).await.unwrap_err();
    assert_eq!(advisory_locks(&client).await.as_deref(), Some("0"));
}

#[tokio::test]
async fn a_cancelled_run_rolls_back_and_frees_the_lock_though_its_connection_lives() {
    let database = Database::create().await;
    let list = with_more(&database, SLOW);
    let mut client = database.admin().await;
    // All but the slow one, so that what is cut is in the middle of it or before.
    up(&mut client, &migrations(&database)).await.unwrap();
    client.batch_execute("set test.sleep = '3'").await.unwrap();
    let cut = timeout(Duration::from_millis(1_500), up(&mut client, &list)).await;
    assert!(cut.is_err());

    // The server finishes the statement, then rolls back; another runner has only to wait.
    let mut other = database.admin().await;
    assert_eq!(up(&mut other, &list).await.unwrap().len(), 1);
    assert_eq!(status(&client, &list).await.unwrap().current, Some(4));
    assert_eq!(advisory_locks(&client).await.as_deref(), Some("0"));
}

#[tokio::test]
async fn a_wait_for_a_table_is_bounded_too() {
    let database = Database::create().await;
    let list = with_more(&database, "create table public.more ();\nalter table notes.notes add column more text;");
    let (mut client, reader) = (database.admin().await, database.admin().await);
    up(&mut client, &migrations(&database)).await.unwrap();
    reader.batch_execute("begin; lock table notes.notes in access share mode").await.unwrap();
    let lock_timeout = Duration::from_millis(50);
    let options = RunOptions { lock_timeout, lock_patience: Duration::from_millis(800), ..impatient() };
    let mut yielded = 0;
    let tell = |progress: Progress<'_>| yielded += usize::from(matches!(progress, Progress::Yielding { .. }));
    let error = Runner::new(&list, options).up(&mut client, None, tell).await.unwrap_err();
    let text = error.to_string();
    let MigrationError::Locked { failure, tries, .. } = error else { panic!("{text}") };
    assert_eq!((failure.sqlstate.as_str(), failure.completed, yielded), ("55P03", Some(1), 1));
    assert!(tries >= 2 && text.contains("000004_more.up.sql, statement 2") && text.contains("doctor"), "{text}");

    // Whoever holds the table lets go of it while the migration is tried again.
    let patient = RunOptions { lock_patience: Duration::from_secs(30), ..options };
    let (waiting, wait) = tokio::sync::oneshot::channel::<()>();
    let run = tokio::spawn(async move {
        let mut waiting = Some(waiting);
        let tell = |progress: Progress<'_>| {
            if matches!(progress, Progress::Yielding { .. }) {
                drop(waiting.take());
            }
        };
        Runner::new(&list, patient).up(&mut client, None, tell).await
    });
    wait.await.unwrap_err();
    reader.batch_execute("commit").await.unwrap();
    assert_eq!(run.await.unwrap().unwrap().len(), 1);
}
