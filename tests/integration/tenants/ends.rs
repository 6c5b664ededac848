//! Deleting and restoring, as an administrator does it.

use std::time::Duration;

use bailiwick::call::CallOptions;
use bailiwick::db::{Deadlines, admin};
use bailiwick::identity::Scopes;
use serde_json::{Value, json};

use super::{refused, told};
use crate::harness::{Session, TestDatabase, until};

#[tokio::test]
async fn a_deleted_tenant_lets_calls_end_and_nobody_in_and_comes_back_as_it_was() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    // Time enough to delete it while the call waits.
    let limits = Deadlines { lock: Duration::from_secs(7), ..Deadlines::default() };
    let options = CallOptions { database: limits, ..database.call_options() };
    let session = Session::open_with(&database, &demo, Scopes::all(), &options).await;
    session.ok("insert_document", json!({ "title": "Stapler", "content": "red" })).await;
    // A call that waits for a row while its tenant is deleted.
    let holder = database.connect_admin().await;
    holder
        .batch_execute(&format!("BEGIN; SELECT FROM tenant_usage WHERE tenant_id = '{}' FOR UPDATE", demo.id))
        .await
        .unwrap();
    let (under_way, ()) =
        tokio::join!(session.call("insert_document", json!({ "title": "Late", "content": "blue" })), async {
            let waits =
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
            until("the call waits", async || database.value::<i64>(waits).await > 0).await;
            assert_eq!(admin::delete_tenant(&database.connect_admin().await, "demo").await.unwrap(), Some(demo.id));
            holder.batch_execute("COMMIT").await.unwrap();
        });
    assert_ne!(under_way.is_error, Some(true), "{under_way:?}");
    let text = session.refused("tenant_status", json!({})).await;
    assert!(text.starts_with("forbidden: your tenant does not exist any more"), "{text}");

    for (arguments, words) in [
        (&["tenant", "delete", "demo"][..], "is deleted already"),
        (&["tenant", "suspend", "demo"], "`bailiwick tenant restore demo` brings it back"),
        (&["tenant", "purge", "demo"], "is kept until 2"),
        (&["tenant", "purge", "demo", "--now"], "--confirm"),
        (&["tenant", "purge", "demo", "--now", "--confirm", "enterprise"], "nothing was purged"),
        (
            &["tenant", "purge", "enterprise", "--now", "--confirm", "enterprise"],
            "`bailiwick tenant delete enterprise` comes first",
        ),
        (&["tenant", "restore", "enterprise"], "is not deleted"),
        (&["tenant", "delete", "nobody"], "there is no tenant"),
    ] {
        let error = refused(&database, arguments).await;
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
    assert!(told(&database, &["tenant", "restore", "demo"]).await.contains("it is active, as it was"));
    assert_eq!(session.titles(json!({ "query": "blue" })).await, ["Late"]);
    let trail = "SELECT string_agg(action || ' ' || outcome || coalesce(' ' || (details->>'status'), ''), '; ' ORDER BY id) FROM audit_logs";
    assert_eq!(
        database.value::<String>(trail).await,
        "insert ok; delete ok deleted; insert ok; read denied; update ok restored; search ok"
    );

    // One that was suspended is suspended again, and the trail of one that was purged is still there to be read.
    told(&database, &["tenant", "suspend", "demo"]).await;
    told(&database, &["tenant", "delete", "demo"]).await;
    assert!(told(&database, &["tenant", "restore", "demo"]).await.contains("it is suspended, as it was"));
    let deleted: Value = serde_json::from_str(&told(&database, &["tenant", "delete", "demo", "--json"]).await).unwrap();
    assert_eq!(deleted["tenant"]["id"], demo.id.to_string());
    let purged: Value = serde_json::from_str(
        &told(&database, &["tenant", "purge", "demo", "--now", "--confirm", "demo", "--json"]).await,
    )
    .unwrap();
    assert_eq!(purged["purged"]["rows"]["documents"], 2);
    assert!(refused(&database, &["tenant", "show", "demo"]).await.contains("there is no tenant"));
    assert!(refused(&database, &["report", "audit", "--tenant", "demo"]).await.contains("is named by its id"));
    let trail = told(&database, &["report", "audit", "--tenant", &demo.id.to_string(), "--json"]).await;
    assert!(trail.contains("\"purged\"") && trail.contains("insert_document"), "{trail}");
}
