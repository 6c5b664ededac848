//! Prices, months and sums, beside oracles of another kind.

use rust_decimal::Decimal;
use serde_json::json;

use super::{session, usage};
use crate::harness::TestDatabase;

#[tokio::test]
async fn prices_that_cannot_be_are_refused() {
    let database = TestDatabase::create().await;
    let client = database.connect_admin().await;
    for (price, constraint) in [("20000", "plausible"), ("-0.1", "plausible"), ("0.0000001", "exact")] {
        let sql = format!(
            "INSERT INTO model_prices (provider, model_name, effective_from, input_usd_per_million, output_usd_per_million, source) VALUES ('p', 'm', now(), {price}, 0, 't')"
        );
        let error = client.batch_execute(&sql).await.unwrap_err();
        assert!(error.as_db_error().unwrap().message().contains(constraint), "{price}: {error:?}");
    }
}

/// What the provider had in its cache is priced apart, and where the list has no price for it like the rest.
#[tokio::test]
async fn cached_input_has_its_own_price() {
    let (database, session) = session().await;
    let priced = async |provider: &str, model: &str, input: i64, cached: i64, output: i64| {
        let mut usage = usage(provider, model, input, output);
        usage["cached_input_tokens"] = json!(cached);
        let answer = session.ok("record_usage", usage).await;
        (answer["input_cost_usd"].clone(), answer["total_cost_usd"].clone())
    };
    // 2.50, 1.25 and 10 USD a million.
    assert_eq!(priced("openai", "gpt-4o", 1_000, 0, 0).await, (json!("0.0025"), json!("0.0025")));
    assert_eq!(priced("openai", "gpt-4o", 1_000, 400, 7).await, (json!("0.002"), json!("0.00207")));
    assert_eq!(priced("openai", "gpt-4o", 1_000, 1_000, 0).await, (json!("0.00125"), json!("0.00125")));
    assert_eq!(priced("openai", "gpt-5-nano", 3, 1, 0).await, (json!("0.000000105"), json!("0.000000105")));
    assert_eq!(priced("openai", "gpt-4", 10, 9, 0).await, (json!("0.0003"), json!("0.0003")));
    let rows = "SELECT string_agg(cached_input_tokens::text, ',' ORDER BY id) FROM cost_tracking";
    assert_eq!(database.value::<String>(rows).await, "0,400,1000,1,9");
    let mut more = usage("openai", "gpt-4o", 5, 0);
    more["cached_input_tokens"] = json!(6);
    let text = session.refused("record_usage", more.clone()).await;
    assert!(text.contains("`cached_input_tokens` is 6, which is more than input_tokens (5)"), "{text}");
    // A hard limit holds what it costs, not what it would without a cache: of 50 USD 40 are left.
    session.ok("record_usage", usage("openai", "gpt-4o", 4_000_000, 0)).await;
    let mut large = usage("openai", "gpt-4o", 31_000_000, 0);
    large["cached_input_tokens"] = json!(31_000_000);
    session.ok("record_usage", large).await;
    super::assert_settled(&database).await;
}

/// Prices of the list say where they stood and when, and none can be edited.
#[tokio::test]
async fn the_list_is_dated_and_only_grows() {
    let database = TestDatabase::create().await;
    let undated = "SELECT count(*) FROM model_prices WHERE length(source) < 10 OR noted_on < '2023-01-01' OR noted_on < (effective_from AT TIME ZONE 'UTC')::date";
    assert_eq!(database.value::<i64>(undated).await, 0);
    let providers = "SELECT string_agg(DISTINCT provider, ' ' ORDER BY provider) FROM model_prices";
    assert_eq!(database.value::<String>(providers).await, "anthropic cohere google mistral ollama openai voyage");
    let client = database.connect_admin().await;
    for sql in [
        "UPDATE model_prices SET input_usd_per_million = 1 WHERE model_name = 'gpt-4o'",
        "UPDATE model_prices SET effective_from = effective_from - interval '1 day'",
        "DELETE FROM model_prices WHERE model_name = 'gpt-4o'",
        "TRUNCATE model_prices",
    ] {
        let error = client.batch_execute(sql).await.expect_err(sql);
        assert!(error.as_db_error().unwrap().message().contains("never edited"), "{sql}: {error:?}");
    }
    // It is the trigger that keeps them: without it each of these goes through.
    client.batch_execute("DROP TRIGGER model_prices_are_kept ON model_prices; UPDATE model_prices SET input_usd_per_million = 3 WHERE model_name = 'gpt-4o'").await.unwrap();
}

/// The price in force is the latest that is not of the future; a usage keeps the price that it was recorded with.
#[tokio::test]
async fn a_new_price_holds_from_its_day_on() {
    let (database, session) = session().await;
    let cost = async || session.ok("record_usage", usage("p", "m", 1_000_000, 0)).await["total_cost_usd"].clone();
    let price = async |from: &str, usd: f64| {
        let sql = format!(
            "INSERT INTO model_prices (provider, model_name, effective_from, input_usd_per_million, output_usd_per_million, source) VALUES ('p', 'm', {from}, {usd}, 0, 't')"
        );
        database.execute(&sql).await;
    };
    price("now() - interval '1 day'", 1.5).await;
    price("now() + interval '1 hour'", 9.0).await;
    assert_eq!(cost().await, json!("1.5"));
    price("now() - interval '1 minute'", 2.25).await;
    assert_eq!(cost().await, json!("2.25"));
    let sum = "SELECT sum(total_cost)::float8::text FROM cost_tracking";
    assert_eq!(database.value::<String>(sum).await, "3.75");
}

/// Days and months are UTC's, whatever the session's time zone.
#[tokio::test]
async fn money_counts_in_the_day_and_month_of_utc() {
    let database = TestDatabase::create().await;
    let client = database.connect_admin().await;
    for zone in ["UTC", "Asia/Seoul", "America/Los_Angeles", "Pacific/Kiritimati"] {
        client.batch_execute(&format!("SET timezone = '{zone}'")).await.unwrap();
        for (at, day, month) in [
            ("2026-12-31T23:59:59.999999Z", "2026-12-31", "2026-12-01"),
            ("2027-01-01T00:00:00Z", "2027-01-01", "2027-01-01"),
            ("2027-01-01T08:59:59+09:00", "2026-12-31", "2026-12-01"),
            ("2028-02-29T12:00:00Z", "2028-02-29", "2028-02-01"),
            ("2028-03-01T00:30:00+01:00", "2028-02-29", "2028-02-01"),
            ("2026-03-29T01:30:00Z", "2026-03-29", "2026-03-01"),
        ] {
            let sql = "SELECT string_agg(period || ' ' || starts || ' ' || user_id, ',' ORDER BY period, user_id) FROM budget_accounts($1::text::timestamptz, 'u')";
            let found: String = client.query_one(sql, &[&at]).await.unwrap().get(0);
            assert_eq!(found, format!("day {day} ,day {day} u,month {month} ,month {month} u"), "{at} in {zone}");
        }
    }
}

/// What was held yesterday is of yesterday, also where the call ends today: its cost row too.
#[tokio::test]
async fn a_call_that_crosses_midnight_is_one_of_the_day_before() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let (id, call) = (demo.id, "11111111-1111-4111-8111-111111111111");
    let context = format!(
        "SELECT set_config('app.current_tenant_id', '{id}', true), set_config('app.current_user_id', 'u', true)"
    );
    database
        .execute(&format!(
            "SELECT create_month_partition('cost_tracking', (now() AT TIME ZONE 'UTC' - interval '1 day')::date);
             BEGIN; {context};
             INSERT INTO call_intents (tenant_id, call_id, user_id, action, started_at, lease) VALUES ('{id}', '{call}', 'u', 'record', now(), 0);
             SELECT reserve_budget('{call}', 7, true);
             -- The clock goes on by a day.
             UPDATE call_intents SET reserved_at = reserved_at - interval '1 day'; COMMIT"
        ))
        .await;
    let held =
        "SELECT reserved_budget(tenant_id, 'day', (now() AT TIME ZONE 'UTC')::date + $1, '')::float8 FROM call_intents";
    for (days, wanted) in [(0, "0"), (-1, "7")] {
        let sql = format!("SELECT ({})::text", held.replace("$1", &format!("({days})")));
        assert_eq!(database.value::<String>(&sql).await, wanted);
    }
    let record = include_str!("../../../sql/queries/costs/record.sql");
    let client = database.connect_admin().await;
    client.batch_execute(&format!("BEGIN; {context}")).await.unwrap();
    let call_id: uuid::Uuid = call.parse().unwrap();
    let metadata = json!({});
    client
        .query_one(
            record,
            &[
                &id.as_uuid(),
                &"u",
                &call_id,
                &"openai",
                &"gpt-4o",
                &0_i32,
                &700_000_i32,
                &None::<String>,
                &metadata,
                &0_i32,
                &None::<String>,
            ],
        )
        .await
        .unwrap();
    client
        .batch_execute(&format!(
            "SELECT complete_call('{call}', now(), true, 'record', 'r', NULL, NULL, NULL, NULL, 1); COMMIT"
        ))
        .await
        .unwrap();
    let days = "SELECT string_agg(starts - (now() AT TIME ZONE 'UTC')::date || ' ' || spent_usd::float8, ',' ORDER BY starts DESC) FROM budget_ledger WHERE period = 'day' AND user_id = '' AND spent_usd > 0";
    assert_eq!(database.value::<String>(days).await, "-1 7");
}

/// What the application's role may do about what is held: nothing but by the function, for its own user's call.
#[tokio::test]
async fn reservations_cannot_be_forged() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    let client = database.connect_app().await;
    let id = demo.id;
    let refused = async |sql: &str, words: &str| {
        let context = format!(
            "BEGIN; SELECT set_config('app.current_tenant_id', '{id}', true), set_config('app.current_user_id', 'u', true)"
        );
        client.batch_execute(&context).await.unwrap();
        let error = client.batch_execute(sql).await.expect_err(sql);
        client.batch_execute("ROLLBACK").await.unwrap();
        assert!(error.as_db_error().unwrap().message().contains(words), "{sql}: {error:?}");
    };
    let intent = format!(
        "INSERT INTO call_intents (tenant_id, call_id, user_id, action, started_at, lease) VALUES ('{id}', '11111111-1111-4111-8111-111111111111', 'another', 'x', now(), 0)"
    );
    refused("INSERT INTO call_intents (tenant_id, call_id, user_id, action, started_at, lease, reserved_usd, reserved_at) VALUES (current_tenant_id(), gen_random_uuid(), 'u', 'x', now(), 0, 5, now())", "permission denied").await;
    refused("UPDATE call_intents SET reserved_usd = 5", "permission denied").await;
    refused("UPDATE budget_ledger SET spent_usd = 0", "permission denied").await;
    refused("DELETE FROM call_intents", "permission denied").await;
    refused(
        &format!("{intent}; SELECT reserve_budget('11111111-1111-4111-8111-111111111111', 1, true)"),
        "already closed",
    )
    .await;
    let own = intent.replace("another", "u");
    for bad in ["'NaN'", "-1"] {
        refused(
            &format!("{own}; SELECT reserve_budget('11111111-1111-4111-8111-111111111111', {bad}, true)"),
            "a reservation of",
        )
        .await;
    }
}

#[tokio::test]
async fn many_tiny_costs_sum_exactly() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    // BAILIWICK_TINY_COSTS=1000000 for a million of them.
    let count: i64 = std::env::var("BAILIWICK_TINY_COSTS").ok().and_then(|count| count.parse().ok()).unwrap_or(50_000);
    database
        .execute(&format!(
            "SET app.current_tenant_id = '{id}';
             INSERT INTO cost_tracking (tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
             SELECT '{id}', 'u', 'm', 'p', 1, 0, 0.00000002, 0 FROM generate_series(1, {count})",
            id = demo.id
        ))
        .await;
    let spent = "SELECT spent_usd::text FROM budget_ledger WHERE period = 'month' AND user_id = ''";
    let wanted = Decimal::from_i128_with_scale(i128::from(count) * 2, 8);
    assert_eq!(database.value::<String>(spent).await.parse::<Decimal>().unwrap(), wanted);
}
