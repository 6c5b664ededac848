use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::{PLANTED_TO, ids, oracle, pages, planted, rows};
use crate::harness::{Session, TestDatabase};

/// Makes calls until it is told to stop; how many it made.
async fn load(session: &Session, stop: &AtomicBool) -> usize {
    let mut calls = 0;
    while !stop.load(Ordering::Relaxed) {
        session.ok("tenant_status", json!({})).await;
        session.refused("hybrid_search", json!({ "query": "" })).await;
        calls += 2;
    }
    calls
}

#[tokio::test]
async fn all_pages_give_every_old_row_once_and_in_order_while_new_ones_come() {
    let (database, demo, session) = planted(300).await;
    let busy = Session::open(&database, &demo).await;
    for limit in [1, 7, 100] {
        let old = oracle(&database, &demo, "true").await;
        let stop = AtomicBool::new(false);
        let reading = async {
            let pages = pages(&session, &json!({}), limit).await;
            stop.store(true, Ordering::Relaxed);
            pages
        };
        let (pages, calls) = tokio::join!(reading, load(&busy, &stop));
        assert!(calls > 0);
        let found = ids(&pages);
        let known: HashSet<_> = old.iter().collect();
        let found_old: Vec<_> = found.iter().filter(|id| known.contains(id)).cloned().collect();
        assert_eq!(found_old, old, "{limit}");
        assert_eq!(found.iter().collect::<HashSet<_>>().len(), found.len(), "a row came twice");
        let times: Vec<_> = rows(&pages)
            .iter()
            .map(|row| row["completed_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap())
            .collect();
        assert!(times.is_sorted_by(|newer, older| newer >= older));
        database.execute("DELETE FROM audit_logs WHERE user_agent = 'integration-test/1.2.3'").await;
    }
}

#[tokio::test]
async fn a_range_in_the_past_gives_the_same_rows_whatever_happens_meanwhile() {
    let (database, demo, session) = planted(200).await;
    for _ in 0..10 {
        session.ok("tenant_status", json!({})).await;
    }
    let busy = Session::open(&database, &demo).await;
    let now: String = database
        .value("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        .await;
    let stop = AtomicBool::new(false);
    let reading = async {
        let range = json!({ "from": "2026-01-22", "to": now });
        let (first, second) = (pages(&session, &range, 20).await, pages(&session, &range, 20).await);
        stop.store(true, Ordering::Relaxed);
        (first, second)
    };
    let ((first, second), _) = tokio::join!(reading, load(&busy, &stop));
    assert_eq!(first, second);
    assert_eq!(
        ids(&first),
        oracle(&database, &demo, &format!("completed_at >= '2026-01-22Z' AND completed_at < '{now}'")).await
    );
    assert!(rows(&first).len() > 190 && first.len() > 9);
}

#[tokio::test]
async fn a_cursor_whose_row_is_gone_goes_on_before_its_instant() {
    let (database, demo, session) = planted(50).await;
    let page = session.ok("search_audit_log", json!({ "to": PLANTED_TO, "limit": 10 })).await;
    let last = page["rows"][9].clone();
    database.execute(&format!("DELETE FROM audit_logs WHERE call_id = '{}'", last["call_id"].as_str().unwrap())).await;
    let next = json!({ "to": PLANTED_TO, "limit": 100, "cursor": page["next_cursor"] });
    let rest = session.ok("search_audit_log", next).await;
    let condition = format!("completed_at < '{}'", last["completed_at"].as_str().unwrap());
    assert_eq!(ids(&[rest]), oracle(&database, &demo, &condition).await);
}

#[tokio::test]
async fn reading_the_trail_leaves_one_row_which_is_not_in_its_answer() {
    let (database, demo, session) = planted(30).await;
    let before = oracle(&database, &demo, "true").await;
    let answer = session.ok("search_audit_log", json!({ "user": "demo-1", "outcome": "ok", "limit": 100 })).await;
    let answers = [session.ok("search_audit_log", json!({ "limit": 100 })).await];
    assert_eq!(ids(&answers).len(), before.len() + 1);
    let own = &answers[0]["rows"][0];
    assert_eq!((&own["action"], &own["resource"]), (&json!("read"), &json!("tools/search_audit_log")));
    let count = answer["rows"].as_array().unwrap().len();
    // Names of the filters only: no user, no free text.
    assert_eq!(
        own["details"],
        json!({ "filters": ["user", "outcome"], "goes_on": false, "limit": 100, "rows": count })
    );
    assert_eq!(oracle(&database, &demo, "true").await.len(), before.len() + 2);
}

#[tokio::test]
async fn a_page_is_read_in_the_order_of_the_index() {
    let database = TestDatabase::create().await;
    let client = database.connect_app().await;
    for (sql, nulls) in [
        (include_str!("../../../sql/queries/trail/page.sql"), 6),
        (include_str!("../../../sql/queries/trail/call.sql"), 6),
    ] {
        let is_page = sql.starts_with("-- trail/page");
        let tenant = "'01890a5d-ac96-774b-bcce-b302099a8057'";
        let more = if is_page { String::new() } else { format!(", {tenant}, now(), now()") };
        let arguments = format!("{tenant}, now(), now(), {}10{more}", "NULL, ".repeat(nulls));
        client
            .batch_execute(&format!(
                "DEALLOCATE ALL; SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; PREPARE page AS {sql}"
            ))
            .await
            .unwrap();
        let plan = client.query(&format!("EXPLAIN (COSTS OFF) EXECUTE page({arguments})"), &[]).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        assert!(!plan.contains("Seq Scan") && !plan.contains("Bitmap"), "{plan}");
        let (index, other) = ("tenant_id_completed_at_id_idx", "_pkey");
        let wanted = if is_page { index } else { other };
        let scans = plan.matches("Index Scan").count();
        assert!(scans > 0 && plan.matches(wanted).count() == scans, "{plan}");
        // As PostgreSQL 17 and newer print it, and 16.
        let bound = |id: &str| plan.matches(&format!("ROW(completed_at, id) < ROW($3, {id})))")).count();
        let bounds = bound("(InitPlan 2).col1") + bound("$1");
        assert!(!is_page || bounds * 2 == scans, "the bounds are the index's: {plan}");
    }
}
