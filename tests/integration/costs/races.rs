//! Whoever comes at once cannot spend the same money twice, on whatever server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bailiwick::identity::Scopes;
use serde_json::json;
use tokio::task::JoinHandle;

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
        let watcher = Watcher::start(&database).await;
        let calls = (0..64).map(|n| spend(&servers[n % 2]));
        let results = futures_util::future::join_all(calls).await;
        let accepted = results.iter().filter(|accepted| **accepted).count() as u64;
        assert_eq!(accepted, room, "round {round}");
        watcher.assert_never_above(room as f64).await;
        assert_settled(&database).await;
    }
}

/// Looks all the while at what is spent and held together.
struct Watcher {
    is_over: Arc<AtomicBool>,
    /// The looks while calls were under way, the most of all of them, and what the last one behind them saw.
    watched: JoinHandle<(u64, f64, f64)>,
}

impl Watcher {
    async fn start(database: &TestDatabase) -> Self {
        let (client, is_over) = (database.connect_admin().await, Arc::new(AtomicBool::new(false)));
        let watched = tokio::spawn({
            let is_over = Arc::clone(&is_over);
            async move {
                let sql = "SELECT coalesce(max(spent_usd + reserved_budget(tenant_id, period, starts, user_id)), 0)::float8 FROM budget_ledger WHERE period = 'month' AND user_id = ''";
                let (mut looks, mut most) = (0, 0.0_f64);
                loop {
                    let is_last = is_over.load(Ordering::Relaxed);
                    let now: f64 = client.query_one(sql, &[]).await.unwrap().get(0);
                    most = most.max(now);
                    if is_last {
                        return (looks, most, now);
                    }
                    looks += 1;
                }
            }
        });
        Self { is_over, watched }
    }

    /// Once all calls are over: it looked while they were under way, saw what they spent, and never more than that.
    async fn assert_never_above(self, limit_usd: f64) {
        self.is_over.store(true, Ordering::Relaxed);
        let (looks, most, last) = self.watched.await.unwrap();
        assert!(looks > 0, "nobody looked while calls were under way");
        assert!((last - limit_usd).abs() < 1e-9, "all of the {limit_usd} USD are spent, and {last} were seen");
        assert!(most <= limit_usd, "{most} of {limit_usd} USD were committed at once");
    }
}

/// Whether the budget allowed a dollar, by what the call ended with; nothing if it must be asked for again: the server or the database
/// was too busy, so that nothing was done, or money was held by calls that may give it back.
fn verdict(refusal: Option<&str>) -> Option<bool> {
    let Some(text) = refusal else { return Some(true) };
    if text.starts_with("budget_exceeded") {
        return (!text.contains("held for calls under way")).then_some(false);
    }
    assert!(text.starts_with("overloaded") || text.starts_with("unavailable"), "{text}");
    None
}

/// Records a dollar; whether the budget allowed it.
async fn spend(server: &Session) -> bool {
    loop {
        let result = server.call("record_usage", of_usd(1.0)).await;
        let refusal = (result.is_error == Some(true)).then(|| error_text(&result));
        if let Some(is_allowed) = verdict(refusal.as_deref()) {
            return is_allowed;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The same by two processes of the real binary, anew in each round.
#[tokio::test]
async fn two_processes_share_one_budget() {
    let database = TestDatabase::create().await;
    for round in 0..rounds().div_ceil(2) {
        database.execute("DELETE FROM cost_tracking; DELETE FROM budget_ledger").await;
        processes_share(&database, 1 + (round * 11 + 9) % 39).await;
    }
}

async fn processes_share(database: &TestDatabase, room: u64) {
    database.execute(&format!("UPDATE tenants SET monthly_budget_usd = {room} WHERE slug = 'demo'")).await;
    let mut servers = [Process::serve(database, "demo").await, Process::serve(database, "demo").await];
    for server in &mut servers {
        server.initialize().await;
    }
    let watcher = Watcher::start(database).await;
    let (mut accepted, mut asked) = (0_u64, [(0..20).collect::<Vec<u64>>(), (20..40).collect()]);
    while asked.iter().any(|ids| !ids.is_empty()) {
        for (server, ids) in servers.iter_mut().zip(&asked) {
            for id in ids {
                let call = json!({ "name": "record_usage", "arguments": of_usd(1.0) });
                server.send(json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": call })).await;
            }
        }
        for (server, ids) in servers.iter_mut().zip(&mut asked) {
            let mut again = Vec::new();
            for _ in 0..ids.len() {
                let answer = server.receive().await.unwrap();
                let refusal = answer["result"]["content"][0]["text"].as_str();
                match verdict(refusal.filter(|_| answer["result"]["isError"] == true)) {
                    Some(is_allowed) => accepted += u64::from(is_allowed),
                    None => again.push(answer["id"].as_u64().unwrap()),
                }
            }
            *ids = again;
        }
    }
    for server in servers {
        assert_eq!(server.finish().await.0, Some(0));
    }
    assert_eq!(accepted, room);
    watcher.assert_never_above(room as f64).await;
    assert_settled(database).await;
}

/// The check bites: without the ledger's lock, as one who looks first and writes then, more is spent than allowed.
#[tokio::test]
async fn a_look_before_the_leap_overspends() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    database
        .execute(
            "UPDATE tenants SET monthly_budget_usd = 10 WHERE slug = 'demo';
             CREATE OR REPLACE FUNCTION reserve_budget(p_call_id uuid, p_usd numeric, p_binds_user boolean, p_idempotency_key text DEFAULT NULL)
             RETURNS TABLE (outcome text, period text, is_user boolean, limit_usd numeric, spent_usd numeric, reserved_usd numeric, renewed_at timestamptz)
             LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
             AS $$ SELECT CASE WHEN coalesce(sum(l.spent_usd), 0) + p_usd > 10 THEN 'exhausted' ELSE 'reserved' END, 'month', false, 10::numeric, coalesce(sum(l.spent_usd), 0), 0::numeric, now()
                   FROM budget_ledger l WHERE l.period = 'month' AND l.user_id = '' AND l.tenant_id = current_tenant_id() $$",
        )
        .await;
    // With other parameters it would stand beside the real one, and never run.
    let named = "SELECT count(*) FROM pg_proc WHERE proname = 'reserve_budget'";
    assert_eq!(database.value::<i64>(named).await, 1, "the planted one is in the real one's place");
    let session = Session::open(&database, &demo).await;
    let results = futures_util::future::join_all((0..64).map(|_| spend(&session))).await;
    let accepted = results.iter().filter(|accepted| **accepted).count();
    assert!(accepted > 10, "{accepted} were let in where there was room for 10");
}
