//! Many tenants through few connections: what one plants never shows up for another.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bailiwick::call::{CallOptions, Calls, Client};
use bailiwick::db::{Endpoint, PoolOptions};
use bailiwick::http::{HttpOptions, Listener};
use bailiwick::identity::{Caller, Scopes, TenantId, UserId};
use bailiwick::mcp::Toolbox;
use bailiwick::tools::EmbeddingSpace;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::TestDatabase;
use crate::http::{ALL_SCOPES, HttpServer, key, tool_call};
use crate::reach::{Pgbouncer, Pooling};

/// What every canary's token begins with.
const MARK: &str = "canary";

/// Keeps the lines of the log that hold a token.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        if line.contains(MARK) {
            self.0.lock().unwrap().push(line.into_owned());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Canary {
    token: String,
    /// A document of its own.
    document_id: Uuid,
    caller: Caller,
}

/// The number in the environment, or the small one of the suite.
fn size(name: &str, small: usize) -> usize {
    std::env::var(name).map_or(small, |size| size.parse().unwrap())
}

async fn canaries(database: &TestDatabase, count: usize) -> Vec<Canary> {
    let admin = database.connect_admin().await;
    let mut canaries = Vec::new();
    for index in 0..count {
        let token = format!("{MARK}{}", Uuid::new_v4().simple());
        let sql = "INSERT INTO tenants (slug, name) VALUES ($1, $2) RETURNING id";
        let row = admin.query_one(sql, &[&format!("bird-{index}"), &token]).await.unwrap();
        let user_id = UserId::parse(&format!("user-{token}")).unwrap();
        let caller = Caller { tenant_id: TenantId::from(row.get::<_, Uuid>(0)), user_id, scopes: Scopes::all() };
        admin
            .execute("SELECT set_config('app.current_tenant_id', $1, false)", &[&caller.tenant_id.to_string()])
            .await
            .unwrap();
        let sql = "INSERT INTO documents (tenant_id, title, content) VALUES ($1, $2, $2) RETURNING id";
        let document_id = admin.query_one(sql, &[&caller.tenant_id, &token]).await.unwrap().get(0);
        canaries.push(Canary { token, document_id, caller });
    }
    canaries
}

/// One call of a canary, with its token wherever a text may stand; `planted` is a document of its own, or another's.
fn call(token: &str, planted: Uuid, index: usize) -> (&'static str, Value) {
    match index % 12 {
        0 | 1 => (
            "insert_document",
            json!({
                "title": format!("Leave {token}"), "content": format!("Annual leave, says {token}."), "source": format!("{token}.txt"),
                "metadata": { "owner": token }, "idempotency_key": format!("{token} {index}"), "embedding": [1.0, 0.0, 0.0, 0.5],
            }),
        ),
        2 => (
            "hybrid_search",
            json!({ "query": format!("annual leave {token}"), "query_embedding": [1.0, 0.0, 0.0, 0.5] }),
        ),
        3 => ("hybrid_search", json!({ "query": "annual leave", "limit": 50, "explain": true })),
        4 => ("hybrid_search", json!({ "query": "anual leve", "filter": { "metadata": { "owner": token } } })),
        5 => (
            "record_usage",
            json!({ "model_name": "gpt-4o", "provider": "openai", "input_tokens": 9, "output_tokens": 1, "operation": token, "metadata": { "note": token } }),
        ),
        6 => ("cost_report", json!({ "group_by": ["user", "operation"] })),
        7 => ("list_documents", json!({ "limit": 100, "order_by": "title" })),
        8 => ("list_documents", json!({ "filter": { "source": format!("{token}.txt") } })),
        9 => (
            "insert_document",
            json!({
                "title": format!("Leave {token}"), "content": format!("Replaced by {token} {index}."), "source": token, "replace": true,
                "more_documents": [{ "title": token, "content": token, "source": format!("{token}.txt"), "metadata": { "owner": token } }],
            }),
        ),
        10 => ("get_document", json!({ "document_id": planted })),
        11 if index % 2 == 1 => (
            "update_document",
            json!({ "document_id": planted, "title": format!("Theirs {token}"), "metadata": { "owner": token } }),
        ),
        _ => ("search_audit_log", json!({ "limit": 20 })),
    }
}

/// How the canaries' calls come to the server.
enum Way {
    Inside { toolbox: Toolbox, calls: Calls },
    Http { server: Box<HttpServer>, keys: HashMap<String, String>, client: reqwest::Client },
}

impl Way {
    /// A call's reply, as text.
    async fn call(&self, canary: &Canary, tool: &str, arguments: Value) -> String {
        let agent = format!("agent-{}", canary.token);
        match self {
            Self::Inside { toolbox, calls } => {
                let Value::Object(arguments) = arguments else { unreachable!() };
                let client = Client { user_agent: Some(agent), ..Client::default() };
                let reply =
                    toolbox.call(tool, calls, &canary.caller, client, arguments, &CancellationToken::new()).await;
                serde_json::to_string(&reply).unwrap()
            }
            Self::Http { server, keys, client } => {
                let post = server.post(client, &keys[&canary.token]).header("user-agent", agent);
                let response = post.json(&tool_call(1, tool, &arguments)).send().await.unwrap();
                assert_eq!(response.status(), 200);
                response.text().await.unwrap()
            }
        }
    }
}

/// The log of all canary tests of this process.
fn log() -> Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let captured = log.clone();
        // All of ours, and of others what an operator sees.
        let subscriber =
            tracing_subscriber::fmt().with_env_filter("info,bailiwick=trace").with_writer(move || captured.clone());
        tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
        log
    })
    .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_plants_never_shows_up_for_another() {
    let calls = size("BAILIWICK_CANARY_CALLS", 1_200);
    hammer(calls, straight, async |_, toolbox, calls, _| Way::Inside { toolbox, calls }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_through_a_pooler_that_lends_its_two_connections_by_the_transaction() {
    let Some(pgbouncer) = Pgbouncer::start(Pooling::Transaction(2), "", &[]).await else { return };
    let reach = async |database: &TestDatabase| {
        let url: tokio_postgres::Config = pgbouncer.url("bailiwick_app", database.name()).parse().unwrap();
        Endpoint::from(url).behind_pooler(database.app().into())
    };
    let calls = size("BAILIWICK_CANARY_CALLS", 1_200) / 2;
    hammer(calls, reach, async |_, toolbox, calls, _| Way::Inside { toolbox, calls }).await;
}

async fn straight(database: &TestDatabase) -> Endpoint {
    database.app().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_over_http_where_each_request_is_whom_its_key_says() {
    hammer(size("BAILIWICK_CANARY_CALLS", 1_200) / 2, straight, async |database, toolbox, calls, canaries| {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let options = HttpOptions { requests_per_minute: 0, ..HttpOptions::default() };
        let server = Box::new(HttpServer::over(listener, database, calls, options, toolbox, None).await);
        let mut keys = HashMap::new();
        for (index, canary) in canaries.iter().enumerate() {
            let user = format!("user-{}", canary.token);
            keys.insert(canary.token.clone(), key(database, &format!("bird-{index}"), &user, ALL_SCOPES).await);
        }
        Way::Http { server, keys, client: reqwest::Client::new() }
    })
    .await;
}

async fn hammer(
    count: usize,
    reach: impl AsyncFnOnce(&TestDatabase) -> Endpoint,
    way: impl AsyncFnOnce(&TestDatabase, Toolbox, Calls, &[Canary]) -> Way,
) {
    let (tenants, callers) = (size("BAILIWICK_CANARY_TENANTS", 8), size("BAILIWICK_CANARY_CALLERS", 16));
    let log = log();
    let database = TestDatabase::create().await;
    let options = CallOptions { pool: PoolOptions { size: 4, ..PoolOptions::default() }, ..database.call_options() };
    let calls = Calls::open(reach(&database).await, &options).unwrap();
    let model_id = calls.system().register_embedding_model("test-model").await.unwrap();
    let space =
        EmbeddingSpace { dimensions: 4, model_id, model_name: "test-model".to_owned(), ..EmbeddingSpace::default() };
    let canaries = Arc::new(canaries(&database, tenants).await);
    let way = Arc::new(way(&database, Toolbox::new(&space), calls.clone(), &canaries).await);
    let (next, told, leaks) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let answered = Arc::new(AtomicUsize::new(0));
    let hammers = (0..callers).map(|_| {
        let (way, canaries, answered) = (Arc::clone(&way), Arc::clone(&canaries), Arc::clone(&answered));
        let (next, told, leaks) = (Arc::clone(&next), Arc::clone(&told), Arc::clone(&leaks));
        tokio::spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return;
                }
                let canary = &canaries[index % canaries.len()];
                // Every other time it asks for a document of its neighbour's.
                let of = &canaries[(index + index / canaries.len() / 12 % 2) % canaries.len()];
                let (tool, arguments) = call(&canary.token, of.document_id, index / canaries.len());
                let running = way.call(canary, tool, arguments);
                let reply = if index % 5 == 4 {
                    // A fifth is taken back somewhere on its way.
                    let patience = Duration::from_millis((index as u64).wrapping_mul(0x9e37_79b9) % 40);
                    match tokio::time::timeout(patience, running).await {
                        Ok(reply) => reply,
                        Err(_gone) => continue,
                    }
                } else {
                    running.await
                };
                answered.fetch_add(1, Ordering::Relaxed);
                told.fetch_add(usize::from(reply.contains(&canary.token)), Ordering::Relaxed);
                if reply.replace(&canary.token, "").contains(MARK) {
                    leaks.lock().unwrap().push(format!("{tool}: {reply}"));
                }
            }
        })
    });
    futures_util::future::join_all(hammers).await.into_iter().for_each(|hammer| hammer.unwrap());
    calls.drain(Duration::from_secs(10)).await;
    let leak = leaks.lock().unwrap().first().map(|reply: &String| reply.chars().take(600).collect::<String>());
    assert_eq!(leak, None, "a reply tells of another tenant");
    assert!(told.load(Ordering::Relaxed) > count / 4, "the canaries sing: their own tokens are in their replies");
    let rows: i64 = database.value("SELECT count(*) FROM audit_logs").await;
    let (answered, count) = (answered.load(Ordering::Relaxed), i64::try_from(count).unwrap());
    match &*way {
        Way::Inside { .. } => assert_eq!(rows, count),
        // What was taken back before it arrived was no call.
        Way::Http { .. } => {
            assert!(rows >= i64::try_from(answered).unwrap() && rows <= count, "{answered} {rows} {count}");
        }
    }
    // Each row names its own tenant's user and agent, and no other token.
    let strangers = format!(
        "SELECT count(*) FROM audit_logs a JOIN tenants t ON t.id = a.tenant_id
         WHERE a.user_id <> 'user-' || t.name OR a.user_agent <> 'agent-' || t.name OR replace(a::text, t.name, '') LIKE '%{MARK}%'"
    );
    assert_eq!(database.value::<i64>(&strangers).await, 0);
    let mixed = format!(
        "SELECT count(*) FROM documents d JOIN tenants t ON t.id = d.tenant_id WHERE replace(d::text, t.name, '') LIKE '%{MARK}%'"
    );
    assert_eq!(database.value::<i64>(&mixed).await, 0);
    assert_eq!(log.0.lock().unwrap().first(), None, "a tenant's text is in the log");
}
