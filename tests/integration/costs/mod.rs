//! Prices, reports, budgets and who is told of them.

mod alerts;
mod arithmetic;
mod budgets;
mod clock;
mod commands;
mod lists;
mod oracle;
mod prices;
mod races;
mod reports;
mod retired;
mod sums;
mod zones;

use serde_json::{Value, json};

use crate::harness::{Session, TestDatabase};

/// A client of the tenant demo, whose month's budget is 50 USD.
async fn session() -> (TestDatabase, Session) {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    (database, session)
}

fn usage(provider: &str, model: &str, input: i64, output: i64) -> Value {
    json!({ "provider": provider, "model_name": model, "input_tokens": input, "output_tokens": output })
}

/// A usage of so many USD: gpt-4o writes a million tokens for 10.
fn of_usd(usd: f64) -> Value {
    usage("openai", "gpt-4o", 0, (usd * 1e5).round() as i64)
}

/// What is held for calls that are over must be nothing, and the ledger the sum of its rows.
async fn assert_settled(database: &TestDatabase) {
    // A refused call's row may be a moment on its way.
    let held = "SELECT count(*) FROM call_intents";
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while database.value::<i64>(held).await > 0 {
        assert!(tokio::time::Instant::now() < deadline, "nothing is held for calls that are over");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let differing = "SELECT count(*) FROM budget_ledger l WHERE spent_usd <> (
        SELECT coalesce(sum(total_cost), 0) FROM cost_tracking c
        WHERE c.tenant_id = l.tenant_id AND l.user_id IN ('', c.user_id)
          AND date_trunc(l.period, c.timestamp AT TIME ZONE 'UTC')::date = l.starts)";
    assert_eq!(database.value::<i64>(differing).await, 0, "the ledger is the sum of its rows");
}
