use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick::call::{CallOptions, Calls, Client, FailureCode};
use bailiwick::identity::{Caller, Scope, Scopes, UserId};
use rmcp::model::CallToolRequestParams;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::tools::Ending;
use crate::harness::{Session, TestDatabase, asleep, until};

/// Each audit row as `action resource outcome error`.
async fn rows(database: &TestDatabase) -> Vec<String> {
    let sql = "SELECT coalesce(string_agg(concat_ws(' ', action, resource, outcome, error_message), E'\n' ORDER BY id), '') FROM audit_logs";
    database.value::<String>(sql).await.lines().map(str::to_owned).collect()
}

async fn end(database: &TestDatabase, how: &str) -> Option<FailureCode> {
    let tenant = database.tenant("demo").await;
    // Those that never end by themselves have time to begin.
    let deadline = Duration::from_secs(if how.starts_with("sl") { 2 } else { 30 });
    let options = CallOptions { deadline, ..database.call_options() };
    let calls = Calls::open(database.app(), &options).unwrap();
    let caller = Caller { tenant_id: tenant.id, user_id: UserId::parse("ender").unwrap(), scopes: Scopes::all() };
    let client = Client { user_agent: Some("ender/1".to_owned()), ..Client::default() };
    let Value::Object(arguments) = json!({ "end": how }) else { unreachable!() };
    let result = calls.run(&Arc::new(Ending), &caller, client, arguments, &CancellationToken::new()).await;
    result.map(|output| assert!(output.done, "{how}")).err().map(|failure| failure.code())
}

#[tokio::test]
async fn every_end_of_a_tool_leaves_its_one_row_and_an_answer() {
    for (how, code, row) in [
        ("ok", None, "search tools/ending ok"),
        ("last that is read", None, "search tools/ending ok"),
        ("last that cannot be read", None, "search tools/ending ok"),
        ("last that fails", Some(FailureCode::Internal), "search tools/ending error internal"),
        ("last that cannot be sent", Some(FailureCode::Internal), "search tools/ending error internal"),
        ("panic", Some(FailureCode::Internal), "search tools/ending panic internal"),
        ("sleep", Some(FailureCode::Timeout), "search tools/ending timeout timeout"),
        ("slow statement", Some(FailureCode::Timeout), "search tools/ending timeout timeout"),
        ("bad statement", Some(FailureCode::Internal), "search tools/ending error internal"),
        ("ignored failure", Some(FailureCode::Internal), "search tools/ending error internal"),
        ("not found", Some(FailureCode::NotFound), "search tools/ending error not_found"),
    ] {
        let database = TestDatabase::create().await;
        assert_eq!(end(&database, how).await, code, "{how}");
        assert_eq!(rows(&database).await, [row], "{how}");
        let (described, user, agent): (bool, String, String) = (
            database.value("SELECT (details->>'described')::boolean FROM audit_logs").await,
            database.value("SELECT user_id FROM audit_logs").await,
            database.value("SELECT user_agent FROM audit_logs").await,
        );
        assert_eq!((described, user.as_str(), agent.as_str()), (true, "ender", "ender/1"), "{how}");
    }
}

#[tokio::test]
async fn a_statement_that_outlives_its_call_is_stopped() {
    let database = TestDatabase::create().await;
    end(&database, "slow statement").await;
    // The database itself would stop it after eight seconds.
    let begun = Instant::now();
    until("the statement is stopped", async || asleep(&database).await == 0).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn every_call_of_a_client_leaves_its_one_row() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    session.ok("insert_document", json!({ "title": "t", "content": "c" })).await;
    session.ok("hybrid_search", json!({ "query": "c" })).await;
    session.ok("cost_report", json!({})).await;
    session.refused("hybrid_search", json!({ "query": 1 })).await;
    session.refused("hybrid_search", json!({ "quary": "c" })).await;
    session.refused("insert_document", json!({ "title": "t", "content": " " })).await;
    session
        .refused(
            "record_usage",
            json!({ "model_name": "none", "provider": "none", "input_tokens": 1, "output_tokens": 1 }),
        )
        .await;
    session.client.call_tool(CallToolRequestParams::new("no_such_tool")).await.unwrap_err();
    assert_eq!(
        rows(&database).await,
        [
            "insert tools/insert_document ok",
            "search tools/hybrid_search ok",
            "report tools/cost_report ok",
            "search tools/hybrid_search error invalid_input",
            "search tools/hybrid_search error invalid_input",
            "insert tools/insert_document error invalid_input",
            "record tools/record_usage error invalid_input",
            "unknown tools/unknown denied unknown_tool",
        ]
    );
    let strangers = "SELECT count(*) FROM audit_logs WHERE user_agent <> 'integration-test/1.2.3' OR duration_ms IS NULL OR user_id <> 'user@demo.example'";
    assert_eq!(database.value::<i64>(strangers).await, 0);
}

#[tokio::test]
async fn a_caller_without_the_scope_is_denied_and_does_not_see_the_tool() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let reader = Scopes::from_iter([Scope::DocumentsRead]);
    let session = Session::open_with(&database, &tenant, reader, &database.call_options()).await;
    let tools = session.client.list_all_tools().await.unwrap();
    assert_eq!(
        tools.iter().map(|tool| tool.name.as_ref()).collect::<Vec<_>>(),
        ["hybrid_search", "get_document", "list_documents", "tenant_status"]
    );
    let text = session.refused("insert_document", json!({ "title": "t", "content": "c" })).await;
    assert!(text.starts_with("forbidden: insert_document needs the scope documents:write"), "{text}");
    assert_eq!(rows(&database).await, ["insert tools/insert_document denied forbidden"]);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 0);
}

#[tokio::test]
async fn a_tenant_that_is_suspended_meanwhile_is_denied_from_the_next_call() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    session.ok("insert_document", json!({ "title": "before", "content": "before" })).await;
    for (status, words) in [("suspended", "is suspended"), ("deleted", "does not exist")] {
        database.execute(&format!("UPDATE tenants SET status = '{status}' WHERE slug = 'demo'")).await;
        let search = session.refused("hybrid_search", json!({ "query": "before" })).await;
        let insert = session.refused("insert_document", json!({ "title": "after", "content": "after" })).await;
        assert!(search.starts_with("forbidden") && search.contains(words), "{search}");
        assert!(insert.starts_with("forbidden") && insert.contains(words), "{insert}");
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM documents").await, 1);
    assert_eq!(
        database
            .value::<i64>("SELECT count(*) FROM audit_logs WHERE outcome = 'denied' AND error_message = 'forbidden'")
            .await,
        4
    );
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs").await, 5);
}

#[tokio::test]
async fn no_text_of_documents_or_queries_is_in_the_trail() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    let canary = "xylocanary";
    let document = json!({
        "title": format!("{canary} title"), "content": format!("{canary} content"), "source": format!("{canary}.txt"),
        "metadata": { canary: canary }, "idempotency_key": canary,
    });
    session.ok("insert_document", document.clone()).await;
    session
        .ok(
            "hybrid_search",
            json!({ "query": canary, "filter": { "source": format!("{canary}.txt"), "metadata": { canary: canary } } }),
        )
        .await;
    session.refused("hybrid_search", json!({ "query": canary, "filter": { "language": canary } })).await;
    session.refused("hybrid_search", json!({ canary: canary })).await;
    let conflicting = json!({ "title": "other", "content": canary, "idempotency_key": canary });
    session.refused("insert_document", conflicting).await;
    session.client.call_tool(CallToolRequestParams::new(canary)).await.unwrap_err();
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs").await, 6);
    assert_eq!(
        database.value::<i64>(&format!("SELECT count(*) FROM audit_logs a WHERE a::text LIKE '%{canary}%'")).await,
        0
    );
}
