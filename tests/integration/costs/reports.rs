//! Prices and reports.

use serde_json::{Value, json};

use super::{session, usage};
use crate::harness::TestDatabase;

/// Random cost rows of both tenants, and of other months.
async fn stock(database: &TestDatabase) {
    for slug in ["demo", "enterprise"] {
        let tenant = database.tenant(slug).await;
        database
            .execute(&format!(
                "SELECT setseed(0.5); SELECT create_month_partition('cost_tracking', '2026-01-01'), create_month_partition('cost_tracking', '2026-02-01');
                 SET app.current_tenant_id = '{id}';
                 INSERT INTO cost_tracking (timestamp, tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost, operation)
                 SELECT '2026-01-20'::timestamptz + random() * interval '30 days', '{id}', 'user' || (random() * 3)::int, 'model' || (random() * 4)::int,
                        'provider' || (random() * 2)::int, (random() * 1000)::int, (random() * 1000)::int, (random() / 7)::numeric(24, 12),
                        (random() / 11)::numeric(24, 12), CASE WHEN random() < 0.8 THEN 'op' || (random() * 2)::int END
                 FROM generate_series(1, 400)",
                id = tenant.id
            ))
            .await;
    }
}

#[tokio::test]
async fn usage_is_priced_to_the_last_decimal() {
    let (database, session) = session().await;
    let priced = session.ok("record_usage", usage("openai", "text-embedding-3-small", 10, 0)).await;
    assert_eq!((&priced["total_cost_usd"], &priced["budget_status"]), (&json!("0.0000002"), &json!("OK")));
    database.execute("UPDATE tenants SET monthly_budget_usd = NULL").await;
    let priced = session.ok("record_usage", usage("openai", "gpt-4", 1_000_000_000, 1_000_000_000)).await;
    assert_eq!((&priced["input_cost_usd"], &priced["output_cost_usd"]), (&json!("30000"), &json!("60000")));
    for _ in 0..30 {
        session.ok("record_usage", usage("openai", "text-embedding-3-small", 1, 0)).await;
    }
    let sum = "SELECT sum(total_cost)::text FROM cost_tracking WHERE input_tokens = 1";
    assert_eq!(database.value::<String>(sum).await, "0.000000600000");
}

#[tokio::test]
async fn an_unknown_model_is_refused_with_the_known_ones() {
    let (database, session) = session().await;
    for arguments in [usage("openai", "gpt-99", 1, 1), usage("nobody", "gpt-4", 1, 1)] {
        let text = session.refused("record_usage", arguments).await;
        assert!(text.contains("`model_name` has no price") && text.contains("openai/gpt-4"), "{text}");
    }
    for (input, words) in [
        (json!(-1), "`input_tokens` is -1; allowed is 0 to 1000000000"),
        (json!(1_000_000_001), "is 1000000001"),
        (json!(1.5), "expected a whole number"),
    ] {
        let mut arguments = usage("openai", "gpt-4", 1, 1);
        arguments["input_tokens"] = input;
        let text = session.refused("record_usage", arguments).await;
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM cost_tracking").await, 0);
}

/// By setting: the row is there, costs nothing and says so.
#[tokio::test]
async fn an_unknown_model_is_flagged_where_the_tenant_wants_it() {
    let (database, session) = session().await;
    let set = async |value: &str| {
        database
            .execute(&format!("UPDATE tenants SET settings = settings || '{{\"costs\": {{\"unknown_models\": \"{value}\"}}}}' WHERE slug = 'demo'"))
            .await;
    };
    set("flag").await;
    let flagged = session.ok("record_usage", usage("nobody", "gpt-99", 5, 7)).await;
    assert_eq!((&flagged["priced"], &flagged["total_cost_usd"]), (&json!(false), &json!("0")));
    assert_eq!(session.ok("record_usage", usage("openai", "gpt-4", 1, 0)).await["priced"], true);
    let report = session.ok("cost_report", json!({ "to": "2100-01-01" })).await;
    let rows: Vec<_> =
        report["rows"].as_array().unwrap().iter().map(|row| row["unpriced_operations"].clone()).collect();
    assert_eq!((rows, &report["totals"]["unpriced_operations"]), (vec![json!(0), json!(1)], &json!(1)));
    set("refuse").await;
    session.refused("record_usage", usage("nobody", "gpt-99", 5, 7)).await;
    let client = database.connect_admin().await;
    let error = client
        .batch_execute(r#"UPDATE tenants SET settings = '{"costs": {"unknown_models": "ignore"}}'"#)
        .await
        .unwrap_err();
    assert!(error.as_db_error().unwrap().message().contains("tenants_cost_settings"), "{error:?}");
}

#[tokio::test]
async fn reports_equal_an_oracle_for_every_grouping() {
    let (database, session) = session().await;
    stock(&database).await;
    let demo = database.tenant("demo").await;
    let column = |key: &str| match key {
        "day" => "to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
        "month" => "to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM')",
        "model" => "model_name",
        "provider" => "provider",
        "user" => "user_id",
        _ => "coalesce(operation, 'unspecified')",
    };
    let keys = ["day", "month", "model", "provider", "user", "operation"];
    let single = keys.iter().map(|key| vec![*key]);
    let pairs = [["model", "operation"], ["month", "user"], ["user", "day"]].map(|pair| pair.to_vec());
    for group_by in single.chain(pairs) {
        for (from, to) in [("2026-01-01", "2026-03-01"), ("2026-01-31", "2026-02-01T12:00:00Z")] {
            let report = session.ok("cost_report", json!({ "from": from, "to": to, "group_by": group_by })).await;
            let names: Vec<_> = group_by.iter().map(|key| format!("'{key}', {}", column(key))).collect();
            let columns: Vec<_> = group_by.iter().map(|key| column(key)).collect();
            let oracle = format!(
                "SELECT coalesce(jsonb_agg(row ORDER BY row->'group'), '[]')::text FROM (
                     SELECT jsonb_build_object('group', jsonb_build_object({}), 'operations', count(*), 'total_tokens', sum(total_tokens),
                                               'total_cost_usd', trim_scale(sum(total_cost))::text) AS row
                     FROM cost_tracking WHERE tenant_id = '{}' AND timestamp >= '{from}' AND timestamp < '{to}' GROUP BY {}) AS rows",
                names.join(", "),
                demo.id,
                columns.join(", "),
            );
            let oracle: Vec<Value> = serde_json::from_str(&database.value::<String>(&oracle).await).unwrap();
            let found: Vec<Value> = report["rows"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| json!({ "group": row["group"], "operations": row["operations"], "total_tokens": row["total_tokens"], "total_cost_usd": row["total_cost_usd"] }))
                .collect();
            let sorted = |mut rows: Vec<Value>| {
                rows.sort_by_key(ToString::to_string);
                rows
            };
            if oracle.len() <= 200 {
                assert_eq!(sorted(found), sorted(oracle.clone()), "{group_by:?} {from}");
            }
            assert_eq!(report["truncated"], oracle.len() > 200);
            let operations: i64 = oracle.iter().map(|row| row["operations"].as_i64().unwrap()).sum();
            assert_eq!(report["totals"]["operations"], operations);
        }
    }
}

#[tokio::test]
async fn a_report_of_many_groups_is_cut_and_its_totals_are_not() {
    let (database, session) = session().await;
    let demo = database.tenant("demo").await;
    database
        .execute(&format!(
            "SET app.current_tenant_id = '{id}'; INSERT INTO cost_tracking (tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
             SELECT '{id}', 'user' || n, 'm', 'p', 1, 1, 0.01, 0.02 FROM generate_series(1, 250) n",
            id = demo.id
        ))
        .await;
    let report = session.ok("cost_report", json!({ "group_by": ["user"], "to": "2100-01-01" })).await;
    assert_eq!((report["rows"].as_array().unwrap().len(), &report["truncated"]), (200, &json!(true)));
    assert_eq!((&report["totals"]["operations"], &report["totals"]["total_cost_usd"]), (&json!(250), &json!("7.5")));
}

#[tokio::test]
async fn the_budget_warns_at_ninety_percent_and_is_exceeded_at_a_hundred() {
    let (database, session) = session().await;
    let status = async || {
        let report = session.ok("cost_report", json!({})).await;
        (
            report["budget"]["status"].as_str().unwrap().to_owned(),
            report["budget"]["spent_usd"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(status().await, ("OK".to_owned(), "0".to_owned()));
    // 30 USD a million tokens of a budget of 50.
    session.ok("record_usage", usage("openai", "gpt-4", 1_499_999, 0)).await;
    assert_eq!(status().await, ("OK".to_owned(), "44.99997".to_owned()));
    session.ok("record_usage", usage("openai", "gpt-4", 1, 0)).await;
    assert_eq!(status().await, ("WARNING".to_owned(), "45".to_owned()));
    let last = session.ok("record_usage", usage("openai", "gpt-4o", 0, 500_000)).await;
    assert_eq!(last["budget_status"], "EXCEEDED");
    database.execute("UPDATE tenants SET monthly_budget_usd = NULL").await;
    let report = session.ok("cost_report", json!({})).await;
    assert_eq!((&report["budget"]["status"], &report["budget"]["limit_usd"]), (&json!("OK"), &Value::Null));
}

#[tokio::test]
async fn the_ledger_equals_the_sum_of_its_rows_month_by_month() {
    let (database, session) = session().await;
    stock(&database).await;
    let calls = (0..20).map(|n| session.ok("record_usage", usage("openai", "gpt-4o-mini", n * 37, n * 11)));
    futures_util::future::join_all(calls).await;
    // The oracle's own arithmetic of days, months and users, beside the ledger's.
    let differing = "SELECT count(*) FROM budget_ledger l FULL JOIN (
            SELECT tenant_id, period, date_trunc(period, timestamp AT TIME ZONE 'UTC')::date AS starts,
                   CASE WHEN of_user THEN user_id ELSE '' END AS user_id, sum(total_cost) AS spent
            FROM cost_tracking, (VALUES ('day'), ('month')) AS p (period), (VALUES (false), (true)) AS u (of_user)
            GROUP BY 1, 2, 3, 4
        ) c USING (tenant_id, period, starts, user_id) WHERE l.spent_usd IS DISTINCT FROM c.spent";
    assert_eq!(database.value::<i64>(differing).await, 0);
    assert!(
        database.value::<i64>("SELECT count(*) FROM budget_ledger WHERE period = 'month' AND user_id = ''").await >= 5
    );
}

#[tokio::test]
async fn a_period_or_grouping_that_cannot_be_is_refused() {
    let (_database, session) = session().await;
    for (arguments, words) in [
        (json!({ "from": "last week" }), "`from` is \"last week\"; allowed is RFC 3339"),
        (json!({ "from": "2026-02-01", "to": "2026-02-01" }), "`from` is not before to"),
        (json!({ "group_by": [] }), "`group_by` has 0 keys; allowed are one or two"),
        (json!({ "group_by": ["day", "model", "user"] }), "`group_by` has 3 keys"),
        (json!({ "group_by": ["day", "day"] }), "`group_by` names the same key twice"),
        (json!({ "group_by": ["year"] }), "expected one of `day`, `week`, `month`, `model`"),
        (json!({ "group_by": "day" }), "`group_by` does not fit"),
    ] {
        let text = session.refused("cost_report", arguments).await;
        assert!(text.starts_with("invalid_input: ") && text.contains(words), "{text}");
    }
}
