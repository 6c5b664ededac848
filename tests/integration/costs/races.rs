//! Whoever comes at once cannot spend the same money twice, on whatever server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bailiwick::identity::Scopes;
use serde_json::json;

use super::{assert_settled, of_usd};
use crate::harness::{Process, Session, TestDatabase, error_text};

/// `BAILIWICK_BUDGET_ROUNDS=200` for a long run.
fn rounds() -> u64 {
    std::env::var("BAILIWICK_BUDGET_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(6)
}

/// Two servers, 64 calls at once of a dollar each, a limit for some of them: as many are let in, and at no moment is more
/// committed than the limit.
#[tokio::test]
async fn as_many_are_let_in_as_the_limit_has_room_for() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let servers = [
        Session::open_with(&database, &demo, Scopes::all(), &database.call_options()).await,
        Session::open_with(&database, &demo, Scopes::all(), &database.call_options()).await,
    ];
    for round in 0..rounds() {
        let room = 1 + (round * 7) % 63;
        let start = "DELETE FROM cost_tracking; DELETE FROM budget_ledger";
        database.execute(start).await;
        database.execute(&format!("UPDATE tenants SET monthly_budget_usd = {room} WHERE slug = 'demo'")).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let watched = tokio::spawn({
            let (client, is_over) = (database.connect_admin().await, Arc::clone(&is_over));
            async move {
                let sql = "SELECT coalesce(max(spent_usd + reserved_budget(tenant_id, period, starts, user_id)), 0)::float8 FROM budget_ledger WHERE period = 'month' AND user_id = ''";
                let mut most = 0.0_f64;
                while !is_over.load(Ordering::Relaxed) {
                    most = most.max(client.query_one(sql, &[]).await.unwrap().get(0));
                }
                most
            }
        });
        let calls = (0..64).map(|n| spend(&servers[n % 2]));
        let results = futures_util::future::join_all(calls).await;
        is_over.store(true, Ordering::Relaxed);
        let most = watched.await.unwrap();
        let accepted = results.iter().filter(|accepted| **accepted).count() as u64;
        assert_eq!(accepted, room, "round {round}");
        assert!(most <= room as f64, "{most} of {room} USD were committed at once");
        assert_settled(&database).await;
    }
}

/// Records a dollar; whether the budget allowed it. A server that is full is asked again.
async fn spend(server: &Session) -> bool {
    loop {
        let result = server.call("record_usage", of_usd(1.0)).await;
        if result.is_error != Some(true) {
            return true;
        }
        let text = error_text(&result);
        if text.starts_with("budget_exceeded") {
            return false;
        }
        assert!(text.starts_with("overloaded"), "{text}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The same by two processes of the real binary.
#[tokio::test]
async fn two_processes_share_one_budget() {
    let database = TestDatabase::create().await;
    database.execute("UPDATE tenants SET monthly_budget_usd = 10 WHERE slug = 'demo'").await;
    let mut servers = [Process::serve(&database, "demo").await, Process::serve(&database, "demo").await];
    for server in &mut servers {
        server.initialize().await;
    }
    for id in 0..20 {
        for server in &mut servers {
            let call = json!({ "name": "record_usage", "arguments": of_usd(1.0) });
            server.send(json!({ "jsonrpc": "2.0", "id": 100 + id, "method": "tools/call", "params": call })).await;
        }
    }
    let mut accepted = 0;
    for server in servers {
        let (code, answers, _) = server.finish().await;
        assert_eq!(code, Some(0));
        accepted += answers.iter().filter(|answer| answer["result"]["structuredContent"]["id"].is_i64()).count();
    }
    assert_eq!(accepted, 10);
    assert_settled(&database).await;
}

/// The check bites: without the ledger's lock, as one who looks first and writes then, more is spent than allowed.
#[tokio::test]
async fn a_look_before_the_leap_overspends() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    database
        .execute(
            "CREATE OR REPLACE FUNCTION reserve_budget(p_call_id uuid, p_usd numeric, p_binds_user boolean)
             RETURNS TABLE (outcome text, period text, is_user boolean, limit_usd numeric, spent_usd numeric, reserved_usd numeric, renewed_at timestamptz)
             LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
             AS $$ SELECT CASE WHEN coalesce(sum(l.spent_usd), 0) + p_usd > 10 THEN 'exhausted' ELSE 'reserved' END, 'month', false, 10::numeric, coalesce(sum(l.spent_usd), 0), 0::numeric, now()
                   FROM budget_ledger l WHERE l.period = 'month' AND l.user_id = '' AND l.tenant_id = current_tenant_id() $$",
        )
        .await;
    let session = Session::open(&database, &demo).await;
    let results = futures_util::future::join_all((0..64).map(|_| spend(&session))).await;
    let accepted = results.iter().filter(|accepted| **accepted).count();
    assert!(accepted > 10, "{accepted} were let in where there was room for 10");
}
