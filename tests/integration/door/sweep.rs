//! Every tool, dropped at every point at which it can be.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use bailiwick::call::{Action, Answer, Call, CallOptions, Calls, Client, Failure, Hints, Problems, Tool};
use bailiwick::db::PoolOptions;
use bailiwick::identity::{Caller, Scope, Scopes, UserId};
use bailiwick::tools::{
    CostReport, DeleteDocument, EmbeddingSpace, GetDocument, HybridSearch, InsertDocument, ListDocuments, RecordUsage,
    SearchAuditLog, TenantStatus, UpdateDocument,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::TestDatabase;

/// A tool that is taken back after so many polls of its work.
struct Cut<T> {
    tool: T,
    polls: AtomicUsize,
    stop: CancellationToken,
}

impl<T: Tool> Tool for Cut<T> {
    type Input = T::Input;
    type Request = T::Request;
    type Output = T::Output;

    const NAME: &'static str = T::NAME;
    const TITLE: &'static str = T::TITLE;
    const DESCRIPTION: &'static str = T::DESCRIPTION;
    const SCOPE: Scope = T::SCOPE;
    const ACTION: Action = T::ACTION;
    const HINTS: Hints = T::HINTS;

    fn check(&self, input: Self::Input) -> Result<Self::Request, Problems> {
        self.tool.check(input)
    }

    fn describe(&self, request: &Self::Request) -> Map<String, Value> {
        self.tool.describe(request)
    }

    async fn run(&self, call: &Call<'_>, request: &Self::Request) -> Result<Answer<Self::Output>, Failure> {
        let mut work = pin!(self.tool.run(call, request));
        std::future::poll_fn(|context| {
            let left = self.polls.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |polls| polls.checked_sub(1));
            if left.is_err() {
                self.stop.cancel();
                return Poll::Pending;
            }
            work.as_mut().poll(context)
        })
        .await
    }
}

/// Looks at the session that it finds.
struct Peek;

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

#[derive(Debug, Serialize, JsonSchema)]
struct Seen {
    context: String,
    documents: i64,
    writing: bool,
}

impl Tool for Peek {
    type Input = Nothing;
    type Request = ();
    type Output = Seen;

    const NAME: &'static str = "peek";
    const TITLE: &'static str = "Peek";
    const DESCRIPTION: &'static str = "Looks at its session.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, _: Nothing) -> Result<(), Problems> {
        Ok(())
    }

    fn describe(&self, (): &()) -> Map<String, Value> {
        Map::new()
    }

    async fn run(&self, call: &Call<'_>, (): &()) -> Result<Answer<Seen>, Failure> {
        const LOOK: &str = "SELECT current_setting('app.current_tenant_id') || ' ' || current_setting('app.current_user_id') AS context,
            (SELECT count(*) FROM documents) AS documents, pg_current_xact_id_if_assigned() IS NOT NULL AS writing";
        let row = call.transaction.query_one(LOOK, &[]).await.map_err(|error| call.failed(&error))?;
        let output = Seen { context: row.get("context"), documents: row.get("documents"), writing: row.get("writing") };
        Ok(Answer::new(output))
    }
}

struct Sweep {
    calls: Calls,
    cut: Caller,
    next: Caller,
    drops: usize,
}

impl Sweep {
    /// Drops the tool at its first point, its second, and so on until it gets through; after each the next caller looks.
    async fn of<T: Tool>(&mut self, make: impl Fn() -> T, arguments: Value) {
        let Value::Object(arguments) = arguments else { unreachable!() };
        for polls in 0.. {
            let stop = CancellationToken::new();
            let tool = Arc::new(Cut { tool: make(), polls: polls.into(), stop: stop.clone() });
            let ended = self.calls.run(&tool, &self.cut, Client::default(), arguments.clone(), &stop).await;
            let (never, at) = (CancellationToken::new(), format!("{} after {polls} polls", T::NAME));
            let seen =
                self.calls.run(&Arc::new(Peek), &self.next, Client::default(), Map::new(), &never).await.unwrap();
            assert_eq!(seen.context, format!("{} next", self.next.tenant_id), "{at}");
            assert_eq!((seen.documents, seen.writing), (0, false), "{at}");
            match ended {
                Ok(_) => return,
                Err(failure) => assert_eq!(failure, Failure::Cancelled, "{at}"),
            }
            self.drops += 1;
        }
    }
}

#[tokio::test]
async fn wherever_a_tool_is_dropped_the_next_caller_finds_a_clean_session() {
    let rounds: usize = std::env::var("BAILIWICK_SWEEPS").map_or(2, |rounds| rounds.parse().unwrap());
    let database = TestDatabase::create().await;
    let options = CallOptions { pool: PoolOptions { size: 1, ..PoolOptions::default() }, ..database.call_options() };
    let calls = Calls::open(database.app(), &options).unwrap();
    let caller = async |slug, user| Caller {
        tenant_id: database.tenant(slug).await.id,
        user_id: UserId::parse(user).unwrap(),
        scopes: Scopes::all(),
    };
    let (cut, next) = (caller("demo", "cut").await, caller("enterprise", "next").await);
    let mut sweep = Sweep { calls, cut, next, drops: 0 };
    let space = || EmbeddingSpace {
        dimensions: 4,
        model_id: 1,
        model_name: "test-model".to_owned(),
        ..EmbeddingSpace::default()
    };
    for round in 0..rounds {
        let document =
            json!({ "title": "Leave", "content": "Annual leave is 25 days.", "idempotency_key": format!("k{round}") });
        sweep.of(|| InsertDocument { space: space() }, document).await;
        let id: String = database.value("SELECT max(id::text) FROM documents").await;
        sweep.of(|| GetDocument, json!({ "document_id": id })).await;
        sweep.of(|| ListDocuments, json!({ "order_by": "title" })).await;
        for change in [
            json!({ "title": format!("Leave {round}") }),
            json!({ "content": format!("Annual leave is {round} days."), "idempotency_key": format!("u{round}") }),
        ] {
            let mut change = change;
            change["document_id"] = id.as_str().into();
            sweep.of(|| UpdateDocument { space: space() }, change).await;
        }
        let more = json!([{ "title": "Leave", "content": "More leave.", "source": format!("r{round}") }]);
        let replacing = json!({ "title": "Leave", "content": format!("Annual leave of {round}."), "source": "leave", "replace": true, "more_documents": more });
        sweep.of(|| InsertDocument { space: space() }, replacing).await;
        let gone: String =
            database.value(&format!("SELECT max(id::text) FROM documents WHERE source = 'r{round}'")).await;
        sweep.of(|| DeleteDocument, json!({ "document_id": gone })).await;
        for query in ["annual", "\"annual leave\" -nothing", "anual"] {
            let query =
                json!({ "query": query, "query_embedding": [1.0, 0.0, 0.0, 0.0], "filter": { "language": "en" } });
            sweep.of(|| HybridSearch { space: space() }, query).await;
        }
        let usage = json!({ "model_name": "gpt-4o", "provider": "openai", "input_tokens": 1, "output_tokens": 1 });
        sweep.of(|| RecordUsage, usage).await;
        sweep.of(|| CostReport, json!({})).await;
        sweep.of(|| TenantStatus { embeddings: space().embeddings }, json!({})).await;
        sweep.of(|| SearchAuditLog, json!({})).await;
    }
    sweep.calls.drain(Duration::from_secs(5)).await;
    eprintln!("{} drops", sweep.drops);
    assert!(sweep.drops > rounds * 8, "only {} drops", sweep.drops);
    // An intent may land after its call was closed, if that was dropped while it was on its way: the reaper removes it, and adds no row.
    assert_eq!(database.value::<i32>("SELECT reap_calls(interval '0', interval '10 minutes')").await, 0);
    let (drops, kept) = (i64::try_from(sweep.drops).unwrap(), i64::try_from(rounds).unwrap());
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs WHERE outcome = 'cancelled'").await, drops);
    // One of each round, and the one that each round replaces.
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, kept + 1);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM cost_tracking").await, kept);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM call_intents").await, 0);
}
