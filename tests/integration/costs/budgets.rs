//! Limits: what is refused, what is only told, and when.

use serde_json::{Value, json};

use super::{assert_settled, of_usd, session, usage};
use crate::harness::{Session, TestDatabase};

async fn settings(database: &TestDatabase, budget: &str) {
    database
        .execute(&format!("UPDATE tenants SET settings = settings || '{{\"budget\": {budget}}}' WHERE slug = 'demo'"))
        .await;
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_leaves_nothing() {
    let (database, session) = session().await;
    session.ok("record_usage", of_usd(49.5)).await;
    let text = session.refused("record_usage", of_usd(0.51)).await;
    assert!(
        text.starts_with("budget_exceeded: your organisation's budget for this month is 50 USD, of which 49.5 USD"),
        "{text}"
    );
    assert!(text.contains("begins anew at 20") && text.contains("Nothing was recorded"), "{text}");
    // What fits goes in to the last cent, and then nothing does but what is free.
    session.ok("record_usage", of_usd(0.5)).await;
    assert!(
        session.refused("record_usage", usage("openai", "text-embedding-3-small", 1, 0)).await.starts_with("budget")
    );
    let free = session.ok("record_usage", usage("ollama", "llama3.2", 1_000, 1_000)).await;
    assert_eq!((&free["total_cost_usd"], &free["budget_status"]), (&json!("0"), &json!("EXCEEDED")));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM cost_tracking").await, 3);
    let denied = "SELECT count(*) FROM audit_logs WHERE outcome = 'denied' AND error_message = 'budget_exceeded'";
    assert_eq!(database.value::<i64>(denied).await, 2);
    assert_settled(&database).await;
}

#[tokio::test]
async fn a_soft_budget_tells_and_does_not_refuse() {
    let (database, session) = session().await;
    settings(&database, r#"{"mode": "soft"}"#).await;
    let answer = session.ok("record_usage", of_usd(70.0)).await;
    assert_eq!(answer["budget_status"], "EXCEEDED");
    let report = session.ok("cost_report", json!({})).await;
    assert_eq!(report["budget"]["limits"][0]["hard"], false);
    assert_settled(&database).await;
}

#[tokio::test]
async fn days_and_users_have_limits_of_their_own() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let session = Session::open(&database, &demo).await;
    settings(&database, r#"{"daily_usd": 10, "user_daily_usd": 4, "user_monthly_usd": 6, "warning_percent": 50}"#)
        .await;
    let answer = session.ok("record_usage", of_usd(2.0)).await;
    assert_eq!(answer["budget_status"], "WARNING", "half of the user's day is spent");
    let text = session.refused("record_usage", of_usd(2.1)).await;
    assert!(text.contains("your own budget for today is 4 USD, of which 2 USD are spent"), "{text}");
    // Another user's spending counts in the tenant's day and not in his.
    let spend = "BEGIN; SELECT set_config('app.current_tenant_id', $t$TENANT$t$, true);
        INSERT INTO cost_tracking (tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
        VALUES ('TENANT', 'other', 'm', 'p', 1, 1, 7.5, 0); COMMIT";
    database.execute(&spend.replace("TENANT", &demo.id.to_string())).await;
    let text = session.refused("record_usage", of_usd(0.6)).await;
    assert!(text.contains("your organisation's budget for today is 10 USD, of which 9.5 USD are spent"), "{text}");
    let limits = session.ok("tenant_status", json!({})).await["budget"]["limits"].clone();
    let rows: Vec<Value> = limits
        .as_array()
        .unwrap()
        .iter()
        .map(|limit| json!([limit["of"], limit["period"], limit["limit_usd"], limit["spent_usd"], limit["status"]]))
        .collect();
    let wanted = [
        json!(["organisation", "month", "50", "9.5", "OK"]),
        json!(["organisation", "day", "10", "9.5", "WARNING"]),
        json!(["user", "month", "6", "2", "OK"]),
        json!(["user", "day", "4", "2", "WARNING"]),
    ];
    assert_eq!(rows, wanted);
    assert_settled(&database).await;
}

#[tokio::test]
async fn what_calls_under_way_hold_is_told_apart_from_what_is_spent() {
    let (database, session) = session().await;
    let demo = database.tenant("demo").await;
    // As a call would that is about to spend 49 USD.
    let hold = format!(
        "BEGIN; SELECT set_config('app.current_tenant_id', '{id}', true), set_config('app.current_user_id', 'u', true);
         INSERT INTO call_intents (tenant_id, call_id, user_id, action, started_at, lease)
         VALUES ('{id}', '11111111-1111-4111-8111-111111111111', 'u', 'record', now(), 0);
         SELECT reserve_budget('11111111-1111-4111-8111-111111111111', 49, true); COMMIT",
        id = demo.id
    );
    database.execute(&hold).await;
    let text = session.refused("record_usage", of_usd(2.0)).await;
    assert!(
        text.contains("0 USD are spent and 49 USD held for calls under way") && text.contains("try again"),
        "{text}"
    );
    session.ok("record_usage", of_usd(1.0)).await;
    // Its server is gone, so the reaper gives it back.
    assert_eq!(database.value::<i32>("SELECT reap_calls()").await, 1);
    session.ok("record_usage", of_usd(2.0)).await;
    assert_settled(&database).await;
}

#[tokio::test]
async fn a_usage_with_a_key_is_recorded_once() {
    let (database, session) = session().await;
    let mut keyed = of_usd(30.0);
    keyed["idempotency_key"] = json!("call 7");
    let first = session.ok("record_usage", keyed.clone()).await;
    assert_eq!(first["repeated"], false);
    // Also where it would not fit a second time.
    let again = futures_util::future::join_all((0..4).map(|_| session.ok("record_usage", keyed.clone()))).await;
    assert!(again.iter().all(|answer| answer["repeated"] == true && answer["id"] == first["id"]), "{again:?}");
    keyed["output_tokens"] = json!(1);
    assert!(session.refused("record_usage", keyed).await.contains("`idempotency_key` was used before"));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM cost_tracking").await, 1);
    assert_settled(&database).await;
}

#[tokio::test]
async fn settings_that_would_be_no_limit_are_refused() {
    let (database, _session) = session().await;
    let client = database.connect_admin().await;
    for bad in [
        r#""5 USD""#,
        r#"{"daily_usd": "5"}"#,
        r#"{"daily_usd": -1}"#,
        r#"{"daily_usd": 1e12}"#,
        r#"{"warning_percent": 0}"#,
        r#"{"warning_percent": true}"#,
        r#"{"mode": "harsh"}"#,
        r#"{"dayly_usd": 5}"#,
        "[]",
    ] {
        let sql = format!("UPDATE tenants SET settings = '{{\"budget\": {bad}}}'");
        let error = client.batch_execute(&sql).await.expect_err(bad);
        assert!(error.as_db_error().unwrap().message().contains("tenants_budget_settings"), "{bad}: {error:?}");
    }
    client
        .batch_execute(r#"UPDATE tenants SET settings = '{"budget": {"daily_usd": 0, "mode": "hard"}}'"#)
        .await
        .unwrap();
}

/// NaN is greater than every number to PostgreSQL: as a limit it would be none, as a cost more than any.
#[tokio::test]
async fn what_is_no_number_is_neither_a_limit_nor_a_cost() {
    let database = TestDatabase::create().await;
    let (client, demo) = (database.connect_admin().await, database.tenant("demo").await.id);
    client.batch_execute(&format!("SET app.current_tenant_id = '{demo}'")).await.unwrap();
    let cost = |input: &str, output: &str| {
        format!(
            "INSERT INTO cost_tracking (tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
             SELECT id, 'u', 'm', 'p', 1, 1, {input}, {output} FROM tenants WHERE slug = 'demo'"
        )
    };
    for (sql, constraint) in [
        ("UPDATE tenants SET monthly_budget_usd = 'NaN'".to_owned(), "tenants_budget_not_negative"),
        (cost("'NaN'", "0"), "cost_tracking_costs_not_negative"),
        (cost("0", "'NaN'"), "cost_tracking_costs_not_negative"),
        (
            "INSERT INTO budget_ledger (tenant_id, period, starts, spent_usd) SELECT id, 'day', '2026-01-01', 'NaN' FROM tenants".to_owned(),
            "budget_ledger_not_negative",
        ),
    ] {
        let error = client.batch_execute(&sql).await.expect_err(&sql);
        assert_eq!(error.as_db_error().unwrap().constraint(), Some(constraint), "{sql}: {error:?}");
    }
    client.batch_execute(&cost("0.5", "0")).await.unwrap();
}

/// A name that only begins like the program's own is a user's like any other.
#[tokio::test]
async fn whoever_is_named_like_the_program_is_warned_of_like_anybody() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await.id;
    settings(&database, r#"{"user_daily_usd": 1}"#).await;
    let raised = async |user: &str| {
        database
            .execute(&format!(
                "SET app.current_tenant_id = '{demo}';
                 INSERT INTO cost_tracking (tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
                 VALUES ('{demo}', '{user}', 'm', 'p', 1, 1, 2, 0)"
            ))
            .await;
        database.value::<i64>(&format!("SELECT count(*) FROM budget_alerts WHERE user_id = '{user}'")).await
    };
    assert_eq!(raised("bailiwick-agent").await, 2);
    assert_eq!(raised("ada").await, 2);
    assert_eq!(raised("bailiwick-embedder").await, 0);
}

/// Costs are summed by what they were spent for, so that is no place for what is another text each time.
#[tokio::test]
async fn what_tokens_are_spent_for_is_a_name() {
    let (database, session) = super::session().await;
    for (field, name, words) in [
        ("operation", "{\"request\": 7}".to_owned(), "has the character '{'"),
        ("operation", "chat\nmore".to_owned(), "has the character '\\n'"),
        ("tool", "a".repeat(101), "has 101 characters; at most 100"),
        ("tool", " ".to_owned(), "is empty"),
    ] {
        let mut usage = super::usage("openai", "gpt-4o", 1, 0);
        usage[field] = name.clone().into();
        let text = session.refused("record_usage", usage).await;
        assert!(text.contains(&format!("`{field}`")) && text.contains(words), "{name}: {text}");
    }
    let mut usage = super::usage("openai", "gpt-4o", 1, 0);
    usage["operation"] = "요약 v2.1".into();
    usage["tool"] = "agents/summary:nightly_run-3".into();
    session.ok("record_usage", usage).await;
    assert_eq!(database.value::<i64>("SELECT count(*) FROM cost_tracking").await, 1);
}
