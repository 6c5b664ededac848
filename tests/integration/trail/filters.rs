use serde_json::{Value, json};

use super::{PLANTED_FROM, PLANTED_TO, ids, oracle, pages, planted, rows};
use crate::harness::{Session, TestDatabase};

#[tokio::test]
async fn each_filter_narrows_as_an_oracle_does() {
    let (database, demo, session) = planted(400).await;
    let named = oracle(&database, &demo, "true").await[17].clone();
    let by_call = format!("call_id = '{named}'");
    let actions = ["search", "insert", "update", "delete", "read", "report", "record", "unknown"];
    let outcomes = ["ok", "error", "denied", "cancelled", "timeout", "panic", "interrupted"];
    let mut cases: Vec<(Value, String)> = vec![
        (json!({}), "true".to_owned()),
        (json!({ "from": "2026-02-01" }), "completed_at >= '2026-02-01Z'".to_owned()),
        (json!({ "to": "2026-02-01" }), "completed_at < '2026-02-01Z'".to_owned()),
        (json!({ "from": PLANTED_FROM, "to": PLANTED_TO }), "user_id LIKE 'demo-%'".to_owned()),
        // The end of a planted call: from includes it, to does not.
        (json!({ "from": "2026-01-25T00:00:00.5Z" }), "completed_at >= '2026-01-25 00:00:00.5Z'".to_owned()),
        (json!({ "to": "2026-01-25T00:00:00.5Z" }), "completed_at < '2026-01-25 00:00:00.5Z'".to_owned()),
        (
            json!({ "to": "2026-01-25T00:00:00.500000001Z" }),
            "completed_at < '2026-01-25 00:00:00.500001Z'".to_owned(),
        ),
        (json!({ "from": "-009998-01-01T00:00:00Z", "to": "1969-01-01" }), "false".to_owned()),
        (json!({ "user": "demo-1" }), "user_id = 'demo-1'".to_owned()),
        (json!({ "user": "demo-" }), "false".to_owned()),
        (json!({ "success": true }), "success".to_owned()),
        (json!({ "success": false }), "NOT success".to_owned()),
        (json!({ "resource": "hybrid_search" }), "resource = 'tools/hybrid_search'".to_owned()),
        (json!({ "resource": "tools/cost_report" }), "resource = 'tools/cost_report'".to_owned()),
        (json!({ "resource": "no_such_tool" }), "false".to_owned()),
        (json!({ "call_id": named }), by_call.clone()),
        (json!({ "call_id": named, "user": "nobody" }), "false".to_owned()),
        (json!({ "call_id": named, "to": PLANTED_TO, "from": PLANTED_FROM }), by_call),
        (
            json!({ "from": "2026-01-25", "to": "2026-02-10", "user": "demo-2", "success": false, "resource": "hybrid_search" }),
            "completed_at >= '2026-01-25Z' AND completed_at < '2026-02-10Z' AND user_id = 'demo-2' AND NOT success AND resource = 'tools/hybrid_search'".to_owned(),
        ),
    ];
    cases.extend(actions.map(|action| (json!({ "action": action }), format!("action = '{action}'"))));
    cases.extend(outcomes.map(|outcome| (json!({ "outcome": outcome }), format!("outcome = '{outcome}'"))));
    for (filters, condition) in cases {
        let wanted = oracle(&database, &demo, &condition).await;
        let found = ids(&pages(&session, &filters, 100).await);
        assert_eq!(found, wanted, "{filters}");
    }
}

#[tokio::test]
async fn a_row_tells_what_the_trail_holds() {
    let (database, demo, session) = planted(60).await;
    let answer = pages(&session, &json!({ "to": PLANTED_TO }), 100).await;
    let as_told = "SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'call_id', call_id, 'user', user_id, 'action', action, 'resource', resource, 'resource_id', resource_id, 'outcome', outcome,
            'error', error_message, 'client', user_agent, 'ip_address', host(ip_address), 'duration_ms', duration_ms,
            'details', CASE WHEN length(details::text) > 2000 THEN jsonb_build_object('note', 'left out: ' || length(details::text) || ' characters of JSON') ELSE details END
        )) ORDER BY completed_at DESC, id DESC), '[]')::text FROM audit_logs WHERE completed_at < '2026-02-20Z' AND tenant_id = ";
    let told: String = database.value(&format!("{as_told}'{}'", demo.id)).await;
    let told: Vec<Value> = serde_json::from_str(&told).unwrap();
    let found: Vec<Value> = rows(&answer)
        .into_iter()
        .map(|row| {
            let mut row = row.clone();
            let times: Vec<_> = ["started_at", "completed_at"].map(|name| row[name].take()).to_vec();
            assert!(times.iter().all(|time| time.as_str().is_some_and(|text| text.ends_with('Z'))), "{times:?}");
            let row = row.as_object_mut().unwrap();
            row.retain(|_, value| !value.is_null());
            Value::Object(row.clone())
        })
        .collect();
    assert_eq!(found, told);
    assert!(found.iter().any(|row| row["details"]["note"] == "left out: 3021 characters of JSON"), "{found:?}");
}

#[tokio::test]
async fn a_call_is_found_by_the_id_that_its_failure_named() {
    let (database, _, session) = planted(200).await;
    database
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'planted'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON documents FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    let text = session.refused("insert_document", json!({ "title": "t", "content": "c" })).await;
    let call_id = text.split("call id ").nth(1).unwrap().trim_end_matches('.');
    let answer = session.ok("search_audit_log", json!({ "call_id": call_id })).await;
    let found = answer["rows"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{answer}");
    let told = ["call_id", "resource", "outcome", "error", "client"].map(|name| found[0][name].as_str().unwrap());
    assert_eq!(told, [call_id, "tools/insert_document", "error", "internal", "integration-test/1.2.3"]);
    assert!(answer["next_cursor"].is_null() && answer["sealed_until"].is_null(), "{answer}");
}

#[tokio::test]
async fn the_seal_is_told_also_where_no_row_passes() {
    let database = TestDatabase::create().await;
    let tenant = database.tenant("demo").await;
    let session = Session::open(&database, &tenant).await;
    database
        .execute(
            "INSERT INTO audit_seals (seal_no, first_id, last_id, row_count, sealed_until, merkle_root, previous_head, head)
             SELECT n, 1, 1, 0, ('2026-03-0' || n || 'T00:00:00Z')::timestamptz, h, h, h FROM generate_series(1, 2) n, decode(repeat('00', 32), 'hex') h",
        )
        .await;
    for arguments in [json!({ "to": "2020-01-01" }), json!({ "call_id": "01890a5d-ac96-774b-bcce-b302099a8057" })] {
        let answer = session.ok("search_audit_log", arguments).await;
        assert_eq!(answer, json!({ "rows": [], "sealed_until": "2026-03-02T00:00:00Z" }));
    }
}
