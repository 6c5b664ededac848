use bailiwick::identity::{Scope, Scopes};
use serde_json::{Value, json};

use super::{planted, session_of};

#[tokio::test]
async fn wrong_filters_are_refused_with_what_is_allowed() {
    let (_database, _, session) = planted(0).await;
    for (arguments, words) in [
        (json!({ "from": "yesterday" }), "`from` is \"yesterday\"; allowed is RFC 3339"),
        (json!({ "to": "2026-03-01T00:00:00" }), "`to` is \"2026-03-01T00:00:00\"; allowed is RFC 3339"),
        (json!({ "from": "2026-03-01", "to": "2026-03-01" }), "`from` is not before to"),
        (json!({ "from": "2026-03-02", "to": "2026-03-01" }), "`from` is not before to"),
        (json!({ "user": " " }), "`user` is empty"),
        (json!({ "user": "a\u{0}" }), "`user` has a NUL character"),
        (json!({ "resource": "r".repeat(201) }), "`resource` has 201 characters"),
        (json!({ "action": "look" }), "expected one of `search`, `insert`, `update`"),
        (json!({ "outcome": "failed" }), "expected one of `ok`, `error`, `denied`"),
        (json!({ "success": "yes" }), "`success` does not fit"),
        (json!({ "call_id": "17" }), "`call_id` does not fit"),
        (json!({ "limit": 0 }), "`limit` is 0; allowed is 1 to 100"),
        (json!({ "limit": 101 }), "`limit` is 101; allowed is 1 to 100"),
        (json!({ "tenant": "enterprise" }), "unknown field `tenant`"),
    ] {
        let text = session.refused("search_audit_log", arguments).await;
        assert!(text.starts_with("invalid_input: ") && text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_filters_only() {
    let (_database, _, session) = planted(40).await;
    let filters = json!({ "user": "demo-1", "limit": 2 });
    let cursor = session.ok("search_audit_log", filters.clone()).await["next_cursor"].clone();
    let cursor = cursor.as_str().unwrap();
    let with = |mut arguments: Value, cursor: &str| {
        arguments["cursor"] = json!(cursor);
        arguments
    };
    let answer = session.ok("search_audit_log", with(json!({ "user": "demo-1", "limit": 3 }), cursor)).await;
    assert_eq!(answer["rows"].as_array().unwrap().len(), 3);
    for other in [json!({}), json!({ "user": "demo-2" }), json!({ "user": "demo-1", "success": true })] {
        let text = session.refused("search_audit_log", with(other, cursor)).await;
        assert!(text.starts_with("invalid_input: `cursor` belongs to other filters; repeat those"), "{text}");
    }
    let longer = format!("{cursor}AAAA");
    let truncated = &cursor[..cursor.len() - 4];
    for garbage in ["", "next", "AAAA", "%%%", "é", &longer, truncated, &cursor.to_lowercase().replace('a', "!")] {
        let text = session.refused("search_audit_log", with(filters.clone(), garbage)).await;
        assert!(text.starts_with("invalid_input: `cursor` is not a cursor of this trail; give next_cursor"), "{text}");
    }
}

#[tokio::test]
async fn without_the_scope_the_trail_is_neither_listed_nor_read() {
    let (database, demo, _) = planted(10).await;
    let others = Scope::ALL.into_iter().filter(|scope| *scope != Scope::AuditRead);
    let session = session_of(&database, &demo, Scopes::from_iter(others)).await;
    let tools = session.client.list_all_tools().await.unwrap();
    assert!(!tools.iter().any(|tool| tool.name == "search_audit_log") && tools.len() > 4);
    let text = session.refused("search_audit_log", json!({})).await;
    assert!(text.starts_with("forbidden: search_audit_log needs the scope audit:read"), "{text}");
    let row = "SELECT string_agg(action || ' ' || outcome || ' ' || error_message, ',') FROM audit_logs WHERE resource = 'tools/search_audit_log'";
    assert_eq!(database.value::<String>(row).await, "read denied forbidden");
    let reader = session_of(&database, &demo, Scopes::from_iter([Scope::AuditRead])).await;
    assert_eq!(reader.client.list_all_tools().await.unwrap().len(), 1);
    reader.ok("search_audit_log", json!({})).await;
}
