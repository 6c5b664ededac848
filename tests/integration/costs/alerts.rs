//! Who is told when spending comes near a limit or reaches it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bailiwick::costs::alerts::{Alerts, Webhook};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};

use super::{of_usd, session};
use crate::harness::TestDatabase;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Whoever receives: it refuses the first one, and keeps the rest.
#[derive(Clone, Default)]
struct Receiver {
    seen: Arc<Mutex<Vec<(HeaderMap, String)>>>,
}

impl Receiver {
    async fn start() -> (Self, String) {
        let receiver = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/hook", post(receive)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, url)
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: String) -> StatusCode {
    let mut seen = receiver.seen.lock().unwrap();
    seen.push((headers, body));
    if seen.len() == 1 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
}

async fn until(database: &TestDatabase, sql: &str, wanted: i64) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let found = database.value::<i64>(sql).await;
        if found == wanted {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{sql} is {found}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn each_crossing_is_told_once_in_the_trail_and_to_the_webhook() {
    let (database, session) = session().await;
    let (receiver, url) = Receiver::start().await;
    // Two servers, and each alert by one of them.
    let _alerts =
        [(); 2].map(|()| Alerts::start(&session.calls, Some(Webhook::new(&url, &SECRET.to_owned().into()).unwrap())));
    session.ok("record_usage", of_usd(44.0)).await;
    assert_eq!(database.value::<i64>("SELECT count(*) FROM budget_alerts").await, 0);
    session.ok("record_usage", of_usd(1.0)).await;
    session.ok("record_usage", of_usd(1.0)).await;
    let announced =
        "SELECT count(*) FROM audit_logs WHERE action = 'alert' AND outcome = 'ok' AND user_id = 'bailiwick-budget'";
    until(&database, announced, 1).await;
    // What is refused reaches no limit, and what fits exactly does.
    assert!(session.refused("record_usage", of_usd(10.0)).await.starts_with("budget_exceeded"));
    session.ok("record_usage", of_usd(4.0)).await;
    until(&database, announced, 2).await;
    database.execute("UPDATE budget_alerts SET due_at = now() WHERE delivered_at IS NULL").await;
    until(&database, "SELECT count(*) FROM budget_alerts WHERE delivered_at IS NOT NULL", 2).await;
    let levels = "SELECT string_agg(details->>'level', ' ' ORDER BY id) FROM audit_logs WHERE action = 'alert'";
    assert_eq!(database.value::<String>(levels).await, "WARNING EXCEEDED");
    let seen = receiver.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 3, "two alerts, of which the first was refused once: {seen:?}");
    assert_eq!(seen.iter().filter(|(headers, _)| headers["webhook-id"] == seen[0].0["webhook-id"]).count(), 2);
    for (headers, body) in &seen {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        let key = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, &SECRET["whsec_".len()..]).unwrap();
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp")).as_bytes());
        let signature = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, mac.finalize().into_bytes());
        assert_eq!(header("webhook-signature"), format!("v1,{signature}"));
        let told: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&told["data"]["tenant"], &told["data"]["limit_usd"]), (&json!("demo"), &json!("50")));
        let spent = if told["type"] == "budget.warning" { "45" } else { "50" };
        assert_eq!((&told["data"]["spent_usd"], &told["data"]["period"]), (&json!(spent), &json!("month")), "{told}");
    }
    // A limit that is raised and crossed again is told again.
    database.execute("UPDATE tenants SET monthly_budget_usd = 100 WHERE slug = 'demo'").await;
    session.ok("record_usage", of_usd(45.0)).await;
    until(&database, announced, 3).await;
}

#[tokio::test]
async fn without_a_webhook_the_trail_is_told_and_nothing_stays_open() {
    let (database, session) = session().await;
    let _alerts = Alerts::start(&session.calls, None);
    session.ok("record_usage", of_usd(50.0)).await;
    until(&database, "SELECT count(*) FROM budget_alerts WHERE delivered_at IS NOT NULL", 2).await;
    assert_eq!(database.value::<i64>("SELECT count(*) FROM open_budget_alerts()").await, 0);
}

/// Warnings in the trail once a limit was crossed and more was spent behind it.
async fn told_of_a_crossing(plant: &str) -> i64 {
    let (database, session) = session().await;
    database.execute(plant).await;
    let _alerts = [(); 2].map(|()| Alerts::start(&session.calls, None));
    for usd in [44.0, 1.0, 1.0, 1.0] {
        session.ok("record_usage", of_usd(usd)).await;
    }
    until(&database, "SELECT count(*) FROM budget_alerts WHERE delivered_at IS NULL", 0).await;
    database.value("SELECT count(*) FROM audit_logs WHERE action = 'alert' AND details->>'level' = 'WARNING'").await
}

/// A crossing that is told again and again, or never, is seen.
#[tokio::test]
async fn the_count_of_crossings_bites() {
    assert_eq!(told_of_a_crossing("SELECT 1").await, 1);
    assert_eq!(told_of_a_crossing("ALTER TABLE budget_alerts DROP CONSTRAINT budget_alerts_once").await, 3);
    let deaf = "CREATE OR REPLACE FUNCTION raise_budget_alerts(p_tenant_id uuid, p_user_id text, p_at timestamptz) RETURNS void LANGUAGE sql AS ''";
    assert_eq!(told_of_a_crossing(deaf).await, 0);
}

#[tokio::test]
async fn an_alert_of_a_suspended_tenant_waits_for_it_without_using_up_its_tries() {
    let (database, session) = session().await;
    session.ok("record_usage", of_usd(46.0)).await;
    database.execute("UPDATE tenants SET status = 'suspended' WHERE slug = 'demo'").await;
    let _alerts = Alerts::start(&session.calls, None);
    // Another tenant's alert is told meanwhile, so the teller has been there.
    let other = "INSERT INTO budget_alerts (tenant_id, period, starts, level, limit_usd, spent_usd)
                 SELECT id, 'month', '2026-01-01', 'WARNING', 500, 450 FROM tenants WHERE slug = 'enterprise'";
    let announced = "SELECT count(*) FROM audit_logs WHERE action = 'alert' AND outcome = 'ok'";
    for round in 1..=2 {
        database.execute(&other.replace("2026-01", &format!("2026-0{round}"))).await;
        until(&database, announced, round).await;
    }
    assert_eq!(database.value::<i32>("SELECT max(attempts) FROM budget_alerts WHERE announced_at IS NULL").await, 0);
    assert_eq!(
        database.value::<i64>("SELECT count(*) FROM audit_logs WHERE action = 'alert' AND outcome <> 'ok'").await,
        0
    );
    database.execute("UPDATE tenants SET status = 'active' WHERE slug = 'demo'").await;
    until(&database, announced, 3).await;
}

/// Whoever does not answer is tried for as long as the period lasts, however often that is, and given up aloud behind it.
#[tokio::test]
async fn a_webhook_is_tried_until_the_period_is_over_and_then_given_up_aloud() {
    let (database, session) = session().await;
    // Nobody listens there.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    drop(listener);
    session.ok("record_usage", of_usd(46.0)).await;
    // As after days of tries, with the period still under way.
    database.execute("UPDATE budget_alerts SET attempts = 500, due_at = now()").await;
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let figures = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let _alerts = Alerts::start(&session.calls, Some(Webhook::new(&url, &SECRET.to_owned().into()).unwrap()));
    let tried = |attempts: i32| format!("SELECT count(*) FROM budget_alerts WHERE attempts = {attempts}");
    until(&database, &tried(501), 1).await;
    let waits = "SELECT count(*) FROM budget_alerts WHERE due_at BETWEEN now() + interval '50 minutes' AND now() + interval '1 hour'";
    until(&database, waits, 1).await;
    let given_up = "SELECT count(*) FROM budget_alerts WHERE given_up_at IS NOT NULL";
    // The month is over, but it was raised a moment ago: not yet.
    database.execute("UPDATE budget_alerts SET starts = '2026-01-01', due_at = now()").await;
    until(&database, &tried(502), 1).await;
    assert_eq!(database.value::<i64>(given_up).await, 0);
    let name = "bailiwick_budget_alerts_given_up_total{level=\"WARNING\",period=\"month\"} 1";
    assert!(!figures.render().contains(name), "{}", figures.render());
    database.execute("UPDATE budget_alerts SET raised_at = now() - interval '2 days', due_at = now()").await;
    until(&database, given_up, 1).await;
    assert!(figures.render().contains(name), "{}", figures.render());
    database.execute("UPDATE budget_alerts SET due_at = now()").await;
    assert_eq!(database.value::<i64>("SELECT count(*) FROM open_budget_alerts()").await, 0);
}
