//! Each step goes up and down while calls go on: nobody waits for long, and what the schema at hand can serve is served.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bailiwick::migrations::{Direction, Migrations, Progress, RunOptions, Runner};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use super::samples::quiet;
use crate::harness::{Process, TestDatabase};

/// Calls a second, over one connection that stays.
const RATE: u64 = 20;
/// The longest that anybody may be made to wait by a migration.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// A call's of ten seconds, and what its row may take.
const DEADLINE: Duration = Duration::from_secs(12);

/// The longest that a call may take that is served: on a machine with nothing else to do (`BAILIWICK_SERVED_WITHIN_S`) that of a wait for a lock.
fn served_within() -> Duration {
    let named = std::env::var("BAILIWICK_SERVED_WITHIN_S").ok();
    named.map_or(DEADLINE, |seconds| Duration::from_secs(seconds.parse().unwrap()))
}
/// From this version on a call can be served: it has a trail to be recorded in.
const SERVES_FROM: i64 = 10;
/// From this version on tenants and their keys stay as they are.
const KEEPS_TENANTS_FROM: usize = 2;

/// A call's outcome, and how long its caller waited.
#[derive(Debug, Clone)]
struct Call {
    took: Duration,
    failure: Option<String>,
}

/// The real server on stdio, called again and again, while another connection looks who waits for a lock.
struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<Mutex<Vec<Call>>>,
    asked: Arc<AtomicU64>,
    longest_lock_wait_us: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
    _child: tokio::process::Child,
}

fn arguments(number: u64) -> (&'static str, Value) {
    match number % 4 {
        0 => (
            "insert_document",
            json!({ "title": format!("Machine {number}"), "content": "The coffee machine is descaled." }),
        ),
        1 => (
            "record_usage",
            json!({ "provider": "openai", "model_name": "gpt-4o", "input_tokens": 1, "output_tokens": 0 }),
        ),
        2 => ("list_documents", json!({ "limit": 1 })),
        _ => ("hybrid_search", json!({ "query": "coffee machine" })),
    }
}

impl Load {
    async fn start(database: &TestDatabase) -> Self {
        let mut server = Process::serve(database, "demo").await;
        server.initialize().await;
        let Process { child, stdin, mut stdout, stderr } = server;
        let (mut stdin, mut stderr) = (stdin.unwrap(), stderr.unwrap());
        // It has much to say of what is missing, and must not wait for somebody to read it.
        tokio::spawn(async move { while let Ok(Some(_)) = stderr.next_line().await {} });
        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (asked, longest_lock_wait_us) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let open = Arc::new(Mutex::new(HashMap::<u64, Instant>::new()));
        let writer = tokio::spawn({
            let (stop, asked, open) = (Arc::clone(&stop), Arc::clone(&asked), Arc::clone(&open));
            async move {
                let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / RATE));
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                for number in 0_u64.. {
                    ticks.tick().await;
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (tool, arguments) = arguments(number);
                    let call = crate::http::tool_call(i64::try_from(number).unwrap(), tool, &arguments);
                    open.lock().unwrap().insert(number, Instant::now());
                    stdin.write_all(format!("{call}\n").as_bytes()).await.unwrap();
                    stdin.flush().await.unwrap();
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                // Whoever closes it lets the server end, once all have their answers.
                drop(stdin);
            }
        });
        let reader = tokio::spawn({
            let (calls, open) = (Arc::clone(&calls), Arc::clone(&open));
            async move {
                while let Some(line) = stdout.next_line().await.unwrap() {
                    let message: Value = serde_json::from_str(&line).unwrap();
                    let Some(number) = message["id"].as_u64() else { continue };
                    let asked = open.lock().unwrap().remove(&number).unwrap();
                    let is_good = message["result"]["isError"] != true && message["error"].is_null();
                    let failure = (!is_good).then(|| format!("{number}: {message}"));
                    calls.lock().unwrap().push(Call { took: asked.elapsed(), failure });
                }
            }
        });
        let watch = tokio::spawn({
            let (stop, longest) = (Arc::clone(&stop), Arc::clone(&longest_lock_wait_us));
            let client = database.connect_admin().await;
            async move {
                // Of the application's own sessions; the migration's waits are its own.
                let sql = "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)) * 1000000, 0)::int8
                           FROM pg_locks l JOIN pg_database d ON d.oid = l.database JOIN pg_stat_activity a USING (pid)
                           WHERE NOT l.granted AND d.datname = current_database() AND a.usename = 'bailiwick_app'";
                while !stop.load(Ordering::Relaxed) {
                    let waited: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
                    longest.fetch_max(waited.unsigned_abs(), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
        Self { stop, calls, asked, longest_lock_wait_us, tasks: vec![writer, reader, watch], _child: child }
    }

    /// Lets so many more calls be asked and waits for as many answers.
    async fn go_on(&self, more: usize) {
        let (asked, answered) = (self.asked.load(Ordering::Relaxed), self.calls.lock().unwrap().len());
        let more_asked = asked + more as u64;
        let waited = async {
            while self.asked.load(Ordering::Relaxed) < more_asked || self.calls.lock().unwrap().len() < answered + more
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waited).await.expect("calls are answered");
    }

    /// Waits until calls are served again, all of them.
    async fn recovers(&self) {
        let begun = Instant::now();
        loop {
            let from = self.calls.lock().unwrap().len();
            self.go_on(8).await;
            let failures = self.failures_since(from);
            if failures.is_empty() {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "calls are not served again: {failures:?}");
        }
    }

    fn failures_since(&self, from: usize) -> Vec<String> {
        self.calls.lock().unwrap()[from..].iter().filter_map(|call| call.failure.clone()).collect()
    }

    fn answered(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// Ends it: every call was answered. The longest that a caller waited, and the longest wait for a lock.
    async fn end(self) -> (Vec<Call>, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            tokio::time::timeout(Duration::from_secs(60), task).await.expect("the server ends").unwrap();
        }
        let calls = self.calls.lock().unwrap().clone();
        assert_eq!(calls.len() as u64, self.asked.load(Ordering::Relaxed), "every call has its answer");
        (calls, Duration::from_micros(self.longest_lock_wait_us.load(Ordering::Relaxed)))
    }
}

/// Nobody waited for a lock for longer than is allowed, which the database itself says, and every call had its answer within its
/// deadline. How long it took besides is a matter of the machine; one that is refused for want of a table may take a second more,
/// for which it is tried to keep its row of the trail.
fn assert_nobody_waited(calls: &[Call], lock_wait: Duration) {
    let slowest = |is_served: bool| {
        calls.iter().filter(|call| call.failure.is_none() == is_served).map(|call| call.took).max().unwrap_or_default()
    };
    eprintln!(
        "{} calls; the slowest that was served {:?}, that was refused {:?}; the longest wait for a lock {lock_wait:?}",
        calls.len(),
        slowest(true),
        slowest(false)
    );
    assert!(lock_wait <= LONGEST_WAIT, "somebody waited {lock_wait:?} for a lock");
    assert!(slowest(true) <= served_within() && slowest(false) <= DEADLINE);
}

/// Nothing disturbs the first calls.
async fn is_calm(load: &Load) {
    load.go_on(8).await;
    assert_eq!(load.failures_since(0), [""; 0]);
}

/// While a step's tables are not there, what needs them is refused, at once and in words; what does not is served. Once all are
/// there again so is everything, to the same server over the same connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_goes_down_and_up_under_calls_and_nobody_waits_for_long() {
    let database = TestDatabase::create().await;
    let list = Migrations::embedded().unwrap();
    let (mut client, newest) = (database.connect_admin().await, list.newest());
    let dimensions = RunOptions { embedding_dimensions: Some(4), ..RunOptions::default() };
    let runner = Runner::new(&list, dimensions);
    let load = Load::start(&database).await;
    is_calm(&load).await;
    let steps = list.iter().count() - KEEPS_TENANTS_FROM;
    for direction in [Direction::Down, Direction::Up] {
        for step in 1..=steps {
            let step = i64::try_from(step).unwrap();
            let lowest = match direction {
                Direction::Down => newest - step,
                Direction::Up => newest - i64::try_from(steps).unwrap() + step - 1,
            };
            if lowest >= SERVES_FROM {
                load.recovers().await;
            }
            let from = load.answered();
            let done = match direction {
                Direction::Down => runner.down(&mut client, 1, quiet).await,
                Direction::Up => runner.up(&mut client, Some(1), quiet).await,
            };
            assert_eq!(done.unwrap().len(), 1);
            load.go_on(8).await;
            if lowest >= SERVES_FROM {
                assert_eq!(load.failures_since(from), [""; 0], "{direction} between {lowest} and the version above");
            }
        }
    }
    load.recovers().await;
    let (calls, lock_wait) = load.end().await;
    assert!(calls.iter().any(|call| call.failure.is_some()), "some versions can serve nobody");
    assert_nobody_waited(&calls, lock_wait);

    // The first steps take the tenants away, and with them whoever this server serves.
    let load = Load::start(&database).await;
    load.go_on(8).await;
    let all = list.iter().count();
    for _ in 0..all {
        runner.down(&mut client, 1, quiet).await.unwrap();
        load.go_on(2).await;
    }
    for _ in 0..all {
        runner.up(&mut client, Some(1), quiet).await.unwrap();
        load.go_on(2).await;
    }
    let (calls, lock_wait) = load.end().await;
    assert_nobody_waited(&calls, lock_wait);
    let load = Load::start(&database).await;
    load.go_on(8).await;
    let (calls, _) = load.end().await;
    assert!(calls.iter().all(|call| call.failure.is_none()), "{calls:?}");
}

/// Somebody's report reads a table for seconds. A migration that waited for it would have every call wait behind itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_gives_way_to_a_long_transaction_and_calls_go_on() {
    let database = TestDatabase::create().await;
    let embedded = Migrations::embedded().unwrap();
    let mut files: Vec<_> = embedded
        .iter()
        .flat_map(|one| [Direction::Up, Direction::Down].map(|to| (one.file(to), one.sql(to).to_owned())))
        .collect();
    let next = embedded.newest() + 1;
    files.push((format!("{next:06}_more.up.sql"), "ALTER TABLE documents ADD COLUMN note text;".to_owned()));
    files.push((format!("{next:06}_more.down.sql"), "ALTER TABLE documents DROP COLUMN note;".to_owned()));
    let list = Migrations::from_files(files).unwrap();
    let (mut client, report) = (database.connect_admin().await, database.connect_admin().await);
    let load = Load::start(&database).await;
    is_calm(&load).await;

    report.batch_execute("BEGIN; LOCK TABLE documents IN ACCESS SHARE MODE").await.unwrap();
    let yielded = Arc::new(AtomicU64::new(0));
    let run = tokio::spawn({
        let yielded = Arc::clone(&yielded);
        async move {
            let tell = |progress: Progress<'_>| {
                yielded.fetch_add(u64::from(matches!(progress, Progress::Yielding { .. })), Ordering::Relaxed);
            };
            Runner::new(&list, RunOptions::default()).up(&mut client, None, tell).await.map(|done| done.len())
        }
    });
    // For longer than a call may wait.
    tokio::time::sleep(LONGEST_WAIT * 2).await;
    assert!(!run.is_finished(), "the report is not over");
    report.batch_execute("COMMIT").await.unwrap();
    assert_eq!(run.await.unwrap().unwrap(), 1);
    load.go_on(8).await;
    let (calls, lock_wait) = load.end().await;
    assert_eq!(yielded.load(Ordering::Relaxed), 1);
    let failures: Vec<_> = calls.iter().filter_map(|call| call.failure.as_ref()).collect();
    assert!(failures.is_empty(), "{failures:?}");
    assert_nobody_waited(&calls, lock_wait);
}
