use bailiwick::identity::Scopes;
use serde_json::json;

use super::{ids, oracle, pages, planted, rows, session_of};

/// Both guards, and the statements' own condition alone.
const STATES: [&str; 2] = ["SELECT", "ALTER TABLE audit_logs DISABLE ROW LEVEL SECURITY"];

#[tokio::test]
async fn no_tenant_sees_a_row_of_another() {
    let (database, demo, session) = planted(200).await;
    let enterprise = database.tenant("enterprise").await;
    let theirs = session_of(&database, &enterprise, Scopes::all()).await;
    for state in STATES {
        database.execute(state).await;
        for (session, tenant) in [(&session, &demo), (&theirs, &enterprise)] {
            for filters in [json!({}), json!({ "success": false }), json!({ "from": "2026-02-01" })] {
                let pages = pages(session, &filters, 30).await;
                let strangers: Vec<_> = rows(&pages)
                    .into_iter()
                    .filter(|row| !row["user"].as_str().unwrap().contains(tenant.slug))
                    .collect();
                assert!(strangers.is_empty(), "{state}: {strangers:?}");
            }
            assert_eq!(ids(&pages(session, &json!({ "to": "2026-03-01" }), 50).await).len(), 200);
        }
        let foreign = session.ok("search_audit_log", json!({ "user": "enterprise-1" })).await;
        assert_eq!(foreign["rows"], json!([]), "{state}");
    }
}

#[tokio::test]
async fn a_call_of_another_tenant_is_not_found_by_its_id() {
    let (database, demo, session) = planted(100).await;
    let enterprise = database.tenant("enterprise").await;
    for state in STATES {
        database.execute(state).await;
        let ours = oracle(&database, &demo, "user_id LIKE 'demo-%'").await;
        for call_id in oracle(&database, &enterprise, "user_id LIKE 'enterprise-%'").await.iter().step_by(3) {
            let answer = session.ok("search_audit_log", json!({ "call_id": call_id })).await;
            let found = answer["rows"].as_array().unwrap();
            // Some ids are in both trails: then it is our own row.
            assert_eq!(found.len(), usize::from(ours.contains(call_id)), "{state}: {answer}");
            assert!(found.iter().all(|row| row["user"].as_str().unwrap().starts_with("demo-")), "{state}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_cursor_of_another_tenant_opens_nothing_of_its() {
    let (database, demo, session) = planted(100).await;
    let enterprise = database.tenant("enterprise").await;
    let theirs = session_of(&database, &enterprise, Scopes::all()).await;
    for state in STATES {
        database.execute(state).await;
        for limit in 1..12 {
            let filters = json!({ "to": "2026-03-01", "limit": limit });
            let page = theirs.ok("search_audit_log", filters.clone()).await;
            let (last, cursor) = (page["rows"][limit - 1].clone(), page["next_cursor"].as_str().unwrap());
            let stolen = json!({ "to": "2026-03-01", "limit": 100, "cursor": cursor });
            let answer = session.ok("search_audit_log", stolen).await;
            let (at, call_id) = (last["completed_at"].as_str().unwrap(), last["call_id"].as_str().unwrap());
            // Where the id is in both trails, the cursor names our own row.
            let own = format!(
                "SELECT max(id) FROM audit_logs WHERE tenant_id = '{}' AND call_id = '{call_id}' AND completed_at = '{at}'",
                demo.id
            );
            let wanted = format!("completed_at < '{at}' OR completed_at = '{at}' AND id < ({own})");
            assert_eq!(ids(&[answer]), oracle(&database, &demo, &wanted).await, "{state}");
        }
    }
}

#[tokio::test]
async fn a_cursor_holds_nothing_of_other_tenants() {
    let (database, demo, session) = planted(100).await;
    let filters = json!({ "to": "2026-03-01", "limit": 9 });
    let before = session.ok("search_audit_log", filters.clone()).await;
    // The same rows with other ids, as if others had called in between.
    database.execute(&format!("UPDATE audit_logs SET id = id * 1000 WHERE tenant_id = '{}'", demo.id)).await;
    assert_eq!(session.ok("search_audit_log", filters).await, before);
}
