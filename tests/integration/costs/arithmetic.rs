//! The program's own statements that price usage, over random prices and counts, beside whole numbers of 1e-12 USD.

use rust_decimal::Decimal;
use serde_json::json;
use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use crate::harness::TestDatabase;

const RECORD: &str = include_str!("../../../sql/queries/costs/record.sql");
const RESERVE: &str = include_str!("../../../sql/queries/costs/reserve.sql");
const RECORD_EMBEDDING: &str = include_str!("../../../sql/queries/costs/record_embedding.sql");

/// `BAILIWICK_PRICE_CASES=100000` for a long run.
fn cases() -> usize {
    std::env::var("BAILIWICK_PRICE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000)
}

/// A price list entry of millionths of a USD, and tokens.
struct Case {
    model: String,
    input: i128,
    cached: Option<i128>,
    output: i128,
    input_tokens: i32,
    cached_tokens: i32,
    output_tokens: i32,
}

/// Fills the list with random prices of every magnitude, the extremes among them, each with usage of it.
async fn random(client: &Client, count: usize) -> Vec<Case> {
    client
        .batch_execute(&format!(
            "SELECT setseed(0.25);
             CREATE TABLE priced_cases AS
             SELECT 'm' || n AS model, (CASE n % 50 WHEN 1 THEN 1e10 WHEN 2 THEN 0 ELSE random() * 1e10 / 10 ^ (n % 7) END)::bigint AS input,
                    CASE WHEN n % 3 > 0 THEN random() END AS cached_part, (random() * 1e10 / 10 ^ (n % 5))::bigint AS output,
                    (CASE n % 50 WHEN 1 THEN 1e9 WHEN 3 THEN 0 ELSE random() * 1e9 / 10 ^ (n % 10) END)::integer AS input_tokens,
                    CASE n % 4 WHEN 0 THEN 0 WHEN 1 THEN 1 ELSE random() END AS cached_tokens_part,
                    (random() * 1e9 / 10 ^ (n % 9))::integer AS output_tokens
             FROM generate_series(1, {count}) AS n;
             INSERT INTO model_prices (provider, model_name, effective_from, input_usd_per_million, output_usd_per_million, cached_input_usd_per_million, source)
             SELECT 'random', model, now() - interval '1 day', input / 1000000.0, output / 1000000.0, trunc((input * cached_part)::numeric) / 1000000, 'drawn by lot'
             FROM priced_cases"
        ))
        .await
        .unwrap();
    let drawn = "SELECT c.model, c.input, c.output, trunc((c.input * c.cached_part)::numeric)::bigint AS cached, c.input_tokens,
                        trunc(c.input_tokens * c.cached_tokens_part)::integer AS cached_tokens, c.output_tokens FROM priced_cases c";
    let rows = client.query(drawn, &[]).await.unwrap();
    let case = |row: &tokio_postgres::Row| Case {
        model: row.get("model"),
        input: row.get::<_, i64>("input").into(),
        cached: row.get::<_, Option<i64>>("cached").map(i128::from),
        output: row.get::<_, i64>("output").into(),
        input_tokens: row.get("input_tokens"),
        cached_tokens: row.get("cached_tokens"),
        output_tokens: row.get("output_tokens"),
    };
    rows.iter().map(case).collect()
}

/// The statements as the server prepares them.
struct Pricing {
    client: Client,
    tenant_id: Uuid,
    record: Statement,
    reserve: Statement,
    record_embedding: Statement,
}

impl Pricing {
    async fn prepare(database: &TestDatabase, record: &str, reserve: &str, record_embedding: &str) -> Self {
        let (client, tenant_id) = (database.connect_app().await, database.tenant("demo").await.id.as_uuid());
        Self {
            record: client.prepare(record).await.unwrap(),
            reserve: client.prepare(reserve).await.unwrap(),
            record_embedding: client.prepare(record_embedding).await.unwrap(),
            client,
            tenant_id,
        }
    }

    /// What holds and records such usage says, against what it must be; nothing of it is kept, for the sums would burst the ledger.
    async fn faults(&self, cases: &[Case]) -> Vec<String> {
        let mut faults = Vec::new();
        for some in cases.chunks(100) {
            let context = format!(
                "BEGIN; SELECT set_config('app.current_tenant_id', '{}', true), set_config('app.current_user_id', 'u', true)",
                self.tenant_id
            );
            self.client.batch_execute(&context).await.unwrap();
            for case in some {
                faults.extend(self.fault(case).await);
            }
            self.client.batch_execute("ROLLBACK").await.unwrap();
        }
        faults
    }

    async fn fault(&self, case: &Case) -> Option<String> {
        let usd = |millionths_of_millionths: i128| Decimal::from_i128_with_scale(millionths_of_millionths, 12);
        let (sent, cached, written) = (case.input_tokens, case.cached_tokens, case.output_tokens);
        let wanted_input =
            i128::from(sent - cached) * case.input + i128::from(cached) * case.cached.unwrap_or(case.input);
        let wanted_output = i128::from(written) * case.output;
        let wanted_embedding = i128::from(sent) * case.input;
        let (client, call_id, provider) = (&self.client, Uuid::new_v4(), "random");
        let intent = "INSERT INTO call_intents (tenant_id, call_id, user_id, action, started_at, lease) VALUES ($1, $2, 'u', 'record', now(), 0)";
        client.execute(intent, &[&self.tenant_id, &call_id]).await.unwrap();
        let held = async |cached: i64, written: i64| {
            let before = self.held(call_id).await;
            let (key, sent) = (None::<String>, i64::from(sent));
            let row = client
                .query_one(&self.reserve, &[&call_id, &provider, &case.model, &sent, &written, &true, &cached, &key])
                .await
                .unwrap();
            assert_eq!((row.get::<_, &str>("outcome"), row.get::<_, bool>("is_priced")), ("reserved", true));
            self.held(call_id).await - before
        };
        let held_for_usage = held(cached.into(), written.into()).await;
        let held_for_embedding = held(0, 0).await;
        let (nothing, metadata) = (None::<String>, json!({}));
        let row = client
            .query_one(
                &self.record,
                &[
                    &self.tenant_id,
                    &"u",
                    &call_id,
                    &provider,
                    &case.model,
                    &sent,
                    &written,
                    &nothing,
                    &metadata,
                    &cached,
                    &nothing,
                ],
            )
            .await
            .unwrap();
        let recorded: [Decimal; 3] = [row.get("input_cost"), row.get("output_cost"), row.get("total_cost")];
        let row = client
            .query_one(
                &self.record_embedding,
                &[&self.tenant_id, &"u", &call_id, &provider, &case.model, &sent, &nothing, &false, &false, &nothing],
            )
            .await
            .unwrap();
        let embedded: Decimal = row.get("total_cost");
        let what = format!("{sent} tokens, {cached} of them cached, and {written} at the prices of {}", case.model);
        let found = [recorded[0], recorded[1], recorded[2], held_for_usage, embedded, held_for_embedding];
        let wanted = [
            wanted_input,
            wanted_output,
            wanted_input + wanted_output,
            wanted_input + wanted_output,
            wanted_embedding,
            wanted_embedding,
        ]
        .map(usd);
        (found != wanted).then(|| format!("{what}: {found:?} and not {wanted:?}"))
    }

    async fn held(&self, call_id: Uuid) -> Decimal {
        let sql = "SELECT reserved_usd FROM call_intents WHERE tenant_id = $1 AND call_id = $2";
        self.client.query_one(sql, &[&self.tenant_id, &call_id]).await.unwrap().get(0)
    }
}

/// What is recorded costs what it must, to the last decimal, and as much is held for it beforehand.
#[tokio::test]
async fn costs_are_what_rational_arithmetic_says_without_any_rounding() {
    let database = TestDatabase::create().await;
    database.execute("UPDATE tenants SET monthly_budget_usd = NULL").await;
    let cases = random(&database.connect_admin().await, cases()).await;
    assert!(cases.iter().any(|case| case.cached.is_some() && case.cached_tokens > 0));
    let pricing = Pricing::prepare(&database, RECORD, RESERVE, RECORD_EMBEDDING).await;
    let faults = pricing.faults(&cases).await;
    assert!(faults.is_empty(), "{} of {}: {}", faults.len(), cases.len(), faults[0]);
}

/// A statement that prices what is cached like the rest, forgets what is written, or rounds, is found out.
#[tokio::test]
async fn a_wrong_price_is_found_out() {
    let database = TestDatabase::create().await;
    database.execute("UPDATE tenants SET monthly_budget_usd = NULL").await;
    let cases = random(&database.connect_admin().await, 100).await;
    let planted = |statement: &str, from: &str, to: &str| {
        assert!(statement.contains(from), "{from}");
        statement.replacen(from, to, 1)
    };
    for (record, reserve, embedding) in [
        (
            planted(RECORD, "$10::numeric * price.cached_input", "$10::numeric * price.input"),
            RESERVE.to_owned(),
            RECORD_EMBEDDING.to_owned(),
        ),
        (
            planted(
                RECORD,
                "coalesce($7::numeric * price.output_usd_per_million / 1000000, 0)",
                "round(coalesce($7::numeric * price.output_usd_per_million / 1000000, 0), 9)",
            ),
            RESERVE.to_owned(),
            RECORD_EMBEDDING.to_owned(),
        ),
        (
            RECORD.to_owned(),
            planted(RESERVE, "$7 * price.cached_input", "$7 * price.input"),
            RECORD_EMBEDDING.to_owned(),
        ),
        (
            RECORD.to_owned(),
            planted(RESERVE, " + $5::bigint * price.output_usd_per_million", " + 0 * $5::bigint"),
            RECORD_EMBEDDING.to_owned(),
        ),
        (RECORD.to_owned(), RESERVE.to_owned(), planted(RECORD_EMBEDDING, "/ 1000000, 0)", "/ 1000024, 0)")),
    ] {
        let pricing = Pricing::prepare(&database, &record, &reserve, &embedding).await;
        assert_ne!(pricing.faults(&cases).await, [""; 0], "{record} {reserve} {embedding}");
    }
}
