//! Sums by hour and day beside the rows they are of.

use serde_json::json;

use super::{oracle, session, usage};
use crate::harness::Session;

/// As a restore, an import or psql would add them: of days long gone, a row or many a statement.
async fn late(database: &crate::harness::TestDatabase, id: &str, rows: usize) {
    database
        .execute(&format!(
            "SET app.current_tenant_id = '{id}'; SELECT create_month_partition('cost_tracking', '2026-03-01');
             INSERT INTO cost_tracking (timestamp, tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost, operation, tool)
             SELECT '2026-03-07 00:00+00'::timestamptz + n * interval '37 minutes', '{id}', 'user' || n % 3, 'model' || n % 2, 'p', n, 2 * n, 0.000000000001 * n, 0.1, NULL, 'tool'
             FROM generate_series(1, {rows}) n"
        ))
        .await;
}

#[tokio::test]
async fn sums_are_those_of_their_rows_whoever_adds_them_and_when() {
    let (database, session) = session().await;
    let (demo, enterprise) = (database.tenant("demo").await, database.tenant("enterprise").await);
    let other = Session::open(&database, &enterprise).await;
    let asked =
        json!({ "from": "2026-03-01", "to": "2026-04-01", "zone": "America/New_York", "group_by": ["day", "tool"] });
    for round in 0..3 {
        late(&database, &demo.id.to_string(), 200).await;
        late(&database, &enterprise.id.to_string(), 1 + round).await;
        // Callers side by side, of equal and of different kinds.
        let calls = (0..12).map(|n| {
            let mut usage = usage("openai", "gpt-4o-mini", 1_000 + n, n);
            (usage["tool"], usage["cached_input_tokens"]) = (json!(format!("tool {}", n % 2)), json!(n));
            let session = if n % 4 == 0 { &other } else { &session };
            session.ok("record_usage", usage)
        });
        futures_util::future::join_all(calls).await;
        assert_eq!(oracle::wrong_sums(&database).await, 0, "round {round}");
        // Also where they come late into days that had been reported.
        let report = session.ok("cost_report", asked.clone()).await;
        let rows = oracle::rows(&database, &demo).await;
        let period =
            (report["from"].as_str().unwrap().parse().unwrap(), report["to"].as_str().unwrap().parse().unwrap());
        let (groups, totals) = oracle::report(&rows, period, "America/New_York", &["day", "tool"]);
        assert_eq!((oracle::sorted(&report, &["day", "tool"]), &report["totals"]), (groups, &totals));
    }
}

/// The checks above find what they are to find.
#[tokio::test]
async fn a_sum_that_is_wrong_by_the_last_decimal_is_seen() {
    let (database, session) = session().await;
    let demo = database.tenant("demo").await;
    late(&database, &demo.id.to_string(), 200).await;
    for fault in [
        "UPDATE cost_sums SET input_cost = input_cost + 0.000000000001 WHERE ctid = (SELECT min(ctid) FROM cost_sums WHERE grain = 'day')",
        "UPDATE cost_sums SET operations = operations + 1 WHERE ctid = (SELECT min(ctid) FROM cost_sums WHERE grain = 'hour')",
        "DELETE FROM cost_sums WHERE ctid = (SELECT min(ctid) FROM cost_sums WHERE grain = 'user day')",
        "UPDATE cost_kinds SET tool = 'another' WHERE ctid = (SELECT min(ctid) FROM cost_kinds)",
    ] {
        let client = database.connect_admin().await;
        assert_eq!(oracle::wrong_sums(&database).await, 0);
        client
            .batch_execute("CREATE TABLE kept AS TABLE cost_sums; CREATE TABLE kinds AS TABLE cost_kinds")
            .await
            .unwrap();
        client.batch_execute(fault).await.unwrap();
        assert!(oracle::wrong_sums(&database).await > 0, "{fault}");
        client
            .batch_execute(
                "TRUNCATE cost_sums, cost_kinds; INSERT INTO cost_sums TABLE kept; INSERT INTO cost_kinds TABLE kinds; DROP TABLE kept, kinds",
            )
            .await
            .unwrap();
    }
    // And a report is made of them, so it would be wrong as well.
    let asked = json!({ "from": "2026-03-01", "to": "2026-04-01" });
    let right = session.ok("cost_report", asked.clone()).await;
    database.execute("UPDATE cost_sums SET output_cost = output_cost + 0.000000000001 WHERE grain = 'day'").await;
    assert_ne!(session.ok("cost_report", asked).await["totals"], right["totals"]);
}

#[tokio::test]
async fn sums_cannot_be_forged() {
    let (database, _session) = session().await;
    let demo = database.tenant("demo").await;
    let client = database.connect_app().await;
    client.batch_execute(&format!("SELECT set_config('app.current_tenant_id', '{}', false)", demo.id)).await.unwrap();
    for sql in [
        "UPDATE cost_sums SET operations = 0",
        "DELETE FROM cost_sums",
        "UPDATE cost_kinds SET tool = 'x'",
        "INSERT INTO cost_kinds VALUES (current_tenant_id(), gen_random_uuid(), 'p', 'm')",
        "UPDATE cost_tracking SET input_cost = 0",
        "DELETE FROM cost_tracking",
        "INSERT INTO model_prices VALUES ('p', 'm', now(), 0, 0, NULL, 's')",
    ] {
        let error = client.batch_execute(sql).await.expect_err(sql);
        assert!(error.as_db_error().unwrap().message().contains("permission denied"), "{sql}: {error:?}");
    }
}
