//! Calls that their client takes back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bailiwick::call::{CallOptions, Calls, Client, FailureCode};
use bailiwick::db::PoolOptions;
use bailiwick::http::{HttpOptions, Listener};
use bailiwick::identity::{Caller, Scopes, UserId};
use bailiwick::mcp::{Server, Toolbox};
use rmcp::ServiceExt;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, WriteHalf};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::tools::Ending;
use crate::harness::{ASLEEP, Tenant, TestDatabase, asleep, under_way, until};
use crate::http::{ALL_SCOPES, HttpServer, key};

fn arguments(end: &str) -> serde_json::Map<String, Value> {
    let Value::Object(arguments) = json!({ "end": end }) else { unreachable!() };
    arguments
}

fn caller(tenant: &Tenant) -> Caller {
    Caller { tenant_id: tenant.id, user_id: UserId::parse("canceller").unwrap(), scopes: Scopes::all() }
}

/// Statements of calls that run, looked at by one connection: every other millisecond.
async fn sleeping(admin: &tokio_postgres::Client) -> i64 {
    admin.query_one(ASLEEP, &[]).await.unwrap().get(0)
}

/// A cheap stand-in for chance: spread evenly, the same at each run.
fn spread(index: u64, bound: u64) -> u64 {
    index.wrapping_mul(0x9e37_79b9_7f4a_7c15) % bound
}

/// A client that takes calls back. None of rmcp's: it would not tell of an answer that comes all the same.
enum Taker {
    /// By `notifications/cancelled`.
    Pipe { to_server: WriteHalf<DuplexStream>, answered: Arc<Mutex<Vec<Value>>> },
    /// By closing the call's connection.
    Http {
        server: Box<HttpServer>,
        key: String,
        running: HashMap<u64, JoinHandle<()>>,
        answered: Arc<Mutex<Vec<Value>>>,
    },
}

impl Taker {
    async fn over_pipe(server: Server) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move { server.serve(theirs).await.unwrap().waiting().await });
        let (from_server, to_server) = tokio::io::split(ours);
        let answered = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&answered);
        tokio::spawn(async move {
            let mut lines = BufReader::new(from_server).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                heard.lock().unwrap().push(serde_json::from_str::<Value>(&line).unwrap());
            }
        });
        let mut taker = Self::Pipe { to_server, answered };
        let client = json!({ "name": "raw", "version": "1" });
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
        taker.send(json!({ "jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params })).await;
        taker.send(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        taker
    }

    async fn send(&mut self, message: Value) {
        if let Self::Pipe { to_server, .. } = self {
            to_server.write_all(format!("{message}\n").as_bytes()).await.unwrap();
        }
    }

    async fn begin(&mut self, index: u64) {
        let params = json!({ "name": "ending", "arguments": { "end": "slow statement" } });
        let message = json!({ "jsonrpc": "2.0", "id": index, "method": "tools/call", "params": params });
        match self {
            Self::Pipe { .. } => self.send(message).await,
            Self::Http { server, key, running, answered } => {
                // A connection of its own, so that closing it takes back nothing else.
                let asked = server.post(&reqwest::Client::new(), key).json(&message).send();
                let heard = Arc::clone(answered);
                let task = tokio::spawn(async move {
                    let answer = asked.await.unwrap().text().await.unwrap();
                    heard.lock().unwrap().push(answer.into());
                });
                running.insert(index, task);
            }
        }
    }

    async fn take_back(&mut self, index: u64) {
        let params = json!({ "requestId": index, "reason": "taken back" });
        match self {
            Self::Pipe { .. } => {
                self.send(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params })).await;
            }
            Self::Http { running, .. } => running.remove(&index).unwrap().abort(),
        }
    }

    /// Answers that came to calls that were taken back.
    fn answers(&self) -> Vec<Value> {
        let (Self::Pipe { answered, .. } | Self::Http { answered, .. }) = self;
        answered.lock().unwrap().iter().filter(|answer| answer["id"] != "init").cloned().collect()
    }
}

#[tokio::test]
async fn a_cancelled_call_stops_its_statement_tells_nothing_and_leaves_its_row() {
    take_back_again_and_again(async |_, calls, tenant| {
        Taker::over_pipe(Server::new(Arc::new(Toolbox::empty().with(Ending)), calls, caller(tenant))).await
    })
    .await;
}

#[tokio::test]
async fn so_does_a_call_whose_connection_is_closed() {
    take_back_again_and_again(async |database, calls, _| {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let options = HttpOptions { requests_per_minute: 0, ..HttpOptions::default() };
        let toolbox = Toolbox::empty().with(Ending);
        let server = Box::new(HttpServer::over(listener, database, calls, options, toolbox, None).await);
        let key = key(database, "demo", "canceller", ALL_SCOPES).await;
        Taker::Http { server, key, running: HashMap::new(), answered: Arc::default() }
    })
    .await;
}

async fn take_back_again_and_again(taker: impl AsyncFnOnce(&TestDatabase, Calls, &Tenant) -> Taker) {
    let count: u64 = std::env::var("BAILIWICK_CANCELLATIONS").map_or(40, |count| count.parse().unwrap());
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let options = CallOptions { pool: PoolOptions { size: 4, ..PoolOptions::default() }, ..database.call_options() };
    let calls = Calls::open(database.app(), &options).unwrap();
    let mut taker = taker(&database, calls.clone(), &tenant).await;

    // A neighbour whose statements must not be hit.
    let (stop, neighbour) = (CancellationToken::new(), calls.clone());
    let (stopped, beside) = (stop.clone(), caller(&database.tenant("enterprise").await));
    let neighbour = tokio::spawn(async move {
        let (mut done, tool, never) = (0, Arc::new(Ending), CancellationToken::new());
        while !stopped.is_cancelled() {
            neighbour.run(&tool, &beside, Client::default(), arguments("short statement"), &never).await.unwrap();
            done += 1;
        }
        done
    });

    let admin = database.connect_admin().await;
    let (mut slowest, mut running) = (Duration::ZERO, 0);
    for index in 0..count {
        taker.begin(index).await;
        tokio::time::sleep(Duration::from_millis(spread(index, 60))).await;
        // A loaded machine may begin none in that time.
        let mut runs = sleeping(&admin).await;
        while index % 8 == 7 && runs == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            runs = sleeping(&admin).await;
        }
        running += runs;
        let begun = Instant::now();
        taker.take_back(index).await;
        // Long enough for the notification to arrive, should the statement not have begun yet.
        tokio::time::sleep(Duration::from_millis(2)).await;
        while sleeping(&admin).await > 0 {
            assert!(begun.elapsed() < Duration::from_secs(5), "the statement still runs");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        slowest = slowest.max(begun.elapsed());
    }
    stop.cancel();
    let unharmed = neighbour.await.unwrap();
    calls.drain(Duration::from_secs(5)).await;
    eprintln!(
        "{count} calls taken back: statements gone after {} ms at most; {unharmed} calls beside them",
        slowest.as_millis()
    );
    let answers = taker.answers();
    assert!(running > 0, "no statement ran when its call was taken back");
    assert!(answers.is_empty(), "a cancelled call was answered: {answers:?}");
    let outcomes = "SELECT string_agg(DISTINCT concat_ws(' ', outcome, error_message), ',') FROM audit_logs WHERE user_id = 'canceller' AND tenant_id = ";
    assert_eq!(database.value::<String>(&format!("{outcomes} '{}'", tenant.id)).await, "cancelled cancelled");
    let rows = format!("SELECT count(*) FROM audit_logs WHERE tenant_id = '{}'", tenant.id);
    let (rows, count) = (database.value::<i64>(&rows).await, i64::try_from(count).unwrap());
    match taker {
        Taker::Pipe { .. } => assert_eq!(rows, count),
        // What was taken back before it arrived was no call.
        Taker::Http { .. } => assert!(rows >= running && rows <= count, "{running} {rows} {count}"),
    }
}

#[tokio::test]
async fn a_call_whose_client_is_gone_ends_as_cancelled() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let calls = Calls::open(database.app(), &database.call_options()).unwrap();
    let (tool, stop, caller) = (Arc::new(Ending), CancellationToken::new(), caller(&tenant));
    let call = calls.run(&tool, &caller, Client::default(), arguments("slow statement"), &stop);
    tokio::select! {
        ended = call => panic!("{:?}", ended.map(drop)),
        () = until("its statement runs", async || asleep(&database).await == 1) => {}
    }
    calls.drain(Duration::from_secs(5)).await;
    assert_eq!(database.value::<String>("SELECT string_agg(outcome, ' ') FROM audit_logs").await, "cancelled");
    assert_eq!(asleep(&database).await, 0);
}

#[tokio::test]
async fn whoever_is_taken_back_before_its_turn_never_runs() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let options = CallOptions { pool: PoolOptions { size: 1, ..PoolOptions::default() }, ..database.call_options() };
    let calls = Calls::open(database.app(), &options).unwrap();
    let (tool, caller, stop) = (Arc::new(Ending), caller(&tenant), CancellationToken::new());
    let (first, second) = (stop.child_token(), stop.child_token());
    let running = calls.run(&tool, &caller, Client::default(), arguments("sleep"), &first);
    let waiting = calls.run(&tool, &caller, Client::default(), arguments("panic"), &second);
    let ends = async {
        until("the first one runs", async || under_way(&database).await == 1).await;
        second.cancel();
        tokio::time::sleep(Duration::from_millis(100)).await;
        first.cancel();
    };
    let (running, waiting, ()) = tokio::join!(running, waiting, ends);
    for end in [running, waiting] {
        assert_eq!(end.err().map(|failure| failure.code()), Some(FailureCode::Cancelled));
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE outcome = 'cancelled'").await, 2);
    calls.run(&tool, &caller, Client::default(), arguments("ok"), &CancellationToken::new()).await.unwrap();
}
