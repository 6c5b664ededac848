//! A process that migrates is killed, at any statement: whoever comes next ends what it began.

use std::process::Stdio;
use std::time::Duration;

use bailiwick::migrations::{Migrations, RunOptions, Runner, status};
use tokio::process::{Child, Command};
use tokio_postgres::Client;

use super::real::difference;
use super::samples::{catalog, quiet, value};
use crate::harness::TestDatabase;

/// Counts what changes the schema, and stops before the statement whose number is in `watch.held`.
const WATCH: &str = "CREATE SCHEMA watch;
    CREATE SEQUENCE watch.seen;
    CREATE TABLE watch.held (statement bigint);
    CREATE FUNCTION watch.look() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
        v_statement bigint := nextval('watch.seen');
    BEGIN
        WHILE EXISTS (SELECT FROM watch.held h WHERE h.statement = v_statement) LOOP
            PERFORM pg_sleep(0.01);
        END LOOP;
    END
    $$;
    CREATE EVENT TRIGGER watching ON ddl_command_start EXECUTE FUNCTION watch.look()";
const UNWATCH: &str = "DROP EVENT TRIGGER watching; DROP SCHEMA watch CASCADE";
const SEEN: &str = "SELECT (CASE WHEN is_called THEN last_value ELSE 0 END)::text FROM watch.seen";

/// `BAILIWICK_KILLS=400` for every statement there is, up and down.
fn kills() -> u64 {
    std::env::var("BAILIWICK_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(6)
}

async fn migrate(database: &TestDatabase, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command.arg("migrate").args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await).kill_on_drop(true);
    command
}

async fn seen(client: &Client) -> u64 {
    value(client, SEEN).await.unwrap().parse().unwrap()
}

/// How many statements one run sees, when nobody disturbs it.
async fn count(client: &Client, database: &TestDatabase, arguments: &[&str]) -> u64 {
    client.batch_execute(WATCH).await.unwrap();
    let output = migrate(database, arguments).await.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen = seen(client).await;
    client.batch_execute(UNWATCH).await.unwrap();
    seen
}

/// Waits until the run has come to that statement, where it is held.
async fn arrives(client: &Client, run: &mut Child, statement: u64) {
    while seen(client).await < statement {
        assert!(run.try_wait().unwrap().is_none(), "it ended before statement {statement}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn whoever_comes_after_a_killed_run_ends_what_it_began() {
    let list = Migrations::embedded().unwrap();
    let steps = list.iter().count().to_string();
    let whole = TestDatabase::empty().await;
    let client = whole.connect_admin().await;
    let (up, down) = (vec!["up"], vec!["down", &steps]);
    let counts = [count(&client, &whole, &up).await, count(&client, &whole, &down).await];
    assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
    let output = migrate(&whole, &up).await.output().await.unwrap();
    assert!(output.status.success());
    let expected = catalog(&client).await;

    let kills = kills();
    for kill in 0..kills {
        let database = TestDatabase::empty().await;
        let mut client = database.connect_admin().await;
        let goes_down = kill % 2 == 1;
        let (arguments, of) = if goes_down { (&down, counts[1]) } else { (&up, counts[0]) };
        if goes_down {
            Runner::new(&list, RunOptions::default()).up(&mut client, None, quiet).await.unwrap();
        }
        // Spread over all of them, each time others.
        let statement = 1 + (of - 1) * kill / kills.max(2).next_multiple_of(2);
        client.batch_execute(WATCH).await.unwrap();
        client.batch_execute(&format!("INSERT INTO watch.held VALUES ({statement})")).await.unwrap();
        let mut run = migrate(&database, arguments).await.spawn().unwrap();
        arrives(&client, &mut run, statement).await;
        run.kill().await.unwrap();
        // What it sent the server goes on with, until it finds that nobody is there for whom to commit it.
        client.batch_execute("DELETE FROM watch.held").await.unwrap();

        let again = migrate(&database, &up).await.output().await.unwrap();
        let told = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(again.status.success(), "{arguments:?} killed at {statement} of {of}: {told}");
        client.batch_execute(UNWATCH).await.unwrap();
        let found = status(&client, &list).await.unwrap();
        assert_eq!((found.pending(), found.dirty), (0, false), "{arguments:?} killed at {statement} of {of}");
        let found = catalog(&client).await;
        assert_eq!(difference(&expected, &found), [""; 0], "{arguments:?} killed at {statement} of {of}");
    }
}

/// At any moment, not only before a statement: while it connects, waits for the lock, or commits.
#[tokio::test]
async fn it_may_be_killed_at_any_moment() {
    let list = Migrations::embedded().unwrap();
    let database = TestDatabase::empty().await;
    let client = database.connect_admin().await;
    let started = std::time::Instant::now();
    assert!(migrate(&database, &["up"]).await.output().await.unwrap().status.success());
    let (took, expected) = (started.elapsed(), catalog(&client).await);
    let kills = u32::try_from(kills()).unwrap();
    for kill in 0..kills {
        let database = TestDatabase::empty().await;
        let mut run = migrate(&database, &["up"]).await.spawn().unwrap();
        tokio::time::sleep(took * (kill + 1) / (kills + 1)).await;
        // It may have been faster this time.
        run.kill().await.ok();
        let again = migrate(&database, &["up"]).await.output().await.unwrap();
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
        let client = database.connect_admin().await;
        assert_eq!(status(&client, &list).await.unwrap().pending(), 0);
        assert_eq!(difference(&expected, &catalog(&client).await), [""; 0]);
    }
}
