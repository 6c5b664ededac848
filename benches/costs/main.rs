//! How long `cost_report` takes over years of cost rows, and what its sums cost a writer: `cargo bench --bench costs`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::disallowed_methods,
    reason = "benches share modules, do not use all of each, and go past the doors to arrange and to compare"
)]

#[path = "../world/mod.rs"]
mod world;

use std::path::PathBuf;
use std::time::Instant;

use bailiwick::identity::TenantId;
use clap::Parser;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use world::Result;
use world::client::{Service, Session};
use world::database::Database;
use world::latency::Latency;

const NAME: &str = "bench_costs";
const DIMENSIONS: u16 = 4;
/// The months that the rows are spread over, and those beside them whose partitions are made.
const MONTHS: &str = "generate_series(date '2024-01-01', date '2025-12-01', interval '1 month')";

/// Measures reports of costs.
#[derive(Parser)]
struct Arguments {
    /// Cost rows over 24 months, nine tenths of them one tenant's
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Users of a tenant; models are 9, operations 5 and tools 4
    #[arg(long, default_value_t = 50)]
    users: u32,
    /// Runs of each report
    #[arg(long, default_value_t = 30)]
    runs: usize,
    /// Measure on the database of the last run, if it has as many rows and users
    #[arg(long)]
    reuse: bool,
    /// Where to write the report
    #[arg(long, default_value = "target/bench/costs.json")]
    json: PathBuf,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let world = format!("{} rows, {} users", arguments.rows, arguments.users);
    let (database, tenant, loaded) = match arguments.reuse {
        true => match Database::reuse(NAME, &world).await? {
            Some(database) => {
                let tenant = database.known_tenant("large").await?;
                (database, tenant, Value::Null)
            }
            None => load(&arguments, &world).await?,
        },
        false => load(&arguments, &world).await?,
    };
    let service = Service::start(&database).await?;
    let session = service.session(tenant).await?;
    let report = json!({
        "rows": arguments.rows,
        "users": arguments.users,
        "loaded": loaded,
        "sizes": sizes(&database).await?,
        "reports": reports(&database, &session, tenant, arguments.runs).await?,
        "record_usage": writes(&database, &session, arguments.runs).await?,
    });
    if let Some(folder) = arguments.json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&arguments.json, serde_json::to_string_pretty(&report)?)?;
    Ok(())
}

/// Rows as years of use would leave them, added by statements of a month each: ledger and sums are kept by their triggers.
async fn load(arguments: &Arguments, world: &str) -> Result<(Database, TenantId, Value)> {
    let database = Database::create(NAME, DIMENSIONS).await?;
    let (large, small) = (database.tenant("large").await?, database.tenant("small").await?);
    let client = database.connect().await?;
    let months = format!("SELECT create_month_partition('cost_tracking', m::date) FROM {MONTHS} AS m");
    client.batch_execute(&months).await?;
    client
        .batch_execute("SET synchronous_commit = off; SET jit = off; SET work_mem = '256MB'; SELECT setseed(0.5)")
        .await?;
    let started = Instant::now();
    for (tenant, share) in [(large, 0.9), (small, 0.1)] {
        let rows = (arguments.rows as f64 * share / 24.0).round();
        for month in 0..24 {
            // Few users, models and tools do most of it.
            let insert = format!(
                "SET app.current_tenant_id = '{tenant}';
                 INSERT INTO cost_tracking (timestamp, tenant_id, user_id, model_name, provider, input_tokens, cached_input_tokens, output_tokens,
                                            input_cost, output_cost, operation, tool)
                 SELECT m + random() * (m + interval '1 month' - m), '{tenant}', 'user' || ({users} * random() * random())::int, 'model' || model, 'provider' || model % 3,
                        tokens, tokens / 3, tokens / 2, tokens * 0.00000015, tokens * 0.0000006, 'operation' || (4 * random())::int, 'tool' || (3 * random())::int
                 FROM (SELECT timestamptz '2024-01-01 00:00+00' + {month} * interval '1 month' AS m) AS month, generate_series(1, {rows}) AS n,
                      LATERAL (SELECT (8 * random() * random())::int AS model, (random() * 4000)::int AS tokens WHERE n > 0) AS usage",
                users = arguments.users,
            );
            client.batch_execute(&insert).await?;
        }
    }
    let load_s = started.elapsed().as_secs_f64();
    println!("{} rows added in {load_s:.0} s", arguments.rows);
    client.batch_execute("VACUUM ANALYZE cost_tracking, cost_sums, cost_kinds, budget_ledger").await?;
    database.is_ready(NAME, world).await?;
    Ok((database, large, json!({ "load_s": load_s })))
}

async fn sizes(database: &Database) -> Result<Value> {
    let sql = "SELECT (SELECT count(*) FROM cost_sums WHERE grain = 'hour'), (SELECT count(*) FROM cost_sums WHERE grain = 'day'),
                      (SELECT count(*) FROM cost_sums WHERE grain = 'user day'), pg_total_relation_size('cost_sums') / 1048576,
                      (SELECT sum(pg_total_relation_size(inhrelid)) / 1048576 FROM pg_inherits WHERE inhparent = 'cost_tracking'::regclass)::bigint";
    let row = database.connect().await?.query_one(sql, &[]).await?;
    let [hours, days, user_days, sums_mib, rows_mib]: [i64; 5] = std::array::from_fn(|at| row.get(at));
    println!("sums: {hours} by hour, {days} by day, {user_days} by user and day, {sums_mib} MiB; rows {rows_mib} MiB");
    Ok(json!({ "hours": hours, "days": days, "user_days": user_days, "sums_mib": sums_mib, "rows_mib": rows_mib }))
}

/// Whole calls of the tool, each with its audit row, and beside them the sum of the rows themselves, as a superuser.
async fn reports(database: &Database, session: &Session, tenant: TenantId, runs: usize) -> Result<Value> {
    let client = database.connect().await?;
    client.batch_execute("SET jit = off").await?;
    let bare = "SELECT model_name, count(*), sum(input_tokens), sum(output_tokens), sum(input_cost), sum(output_cost), sum(total_cost) FROM cost_tracking
                WHERE tenant_id = $1 AND timestamp >= '2025-03-01 00:00+00' AND timestamp < '2025-04-01 00:00+00' GROUP BY model_name ORDER BY model_name";
    let mut latency = Latency::default();
    let mut total = Decimal::ZERO;
    for _ in 0..runs.min(5) {
        let started = Instant::now();
        let rows = client.query(bare, &[&tenant.as_uuid()]).await?;
        latency.add(started);
        total = rows.iter().map(|row| row.get::<_, Decimal>(6)).sum();
    }
    println!("{:<44} {} ms (p50 / p95)", "the rows of a month by model, no sums", latency.cell());
    let mut figures = vec![json!({ "report": "rows alone", "ms": latency.json() })];
    let month = ("2025-03-01", "2025-04-01");
    let years = ("2024-01-01", "2026-01-01");
    for (name, (from, to), zone, keys) in [
        ("a month by model", month, "UTC", vec!["model"]),
        ("a month by model, Asia/Seoul", month, "Asia/Seoul", vec!["model"]),
        ("a month by day and model", month, "UTC", vec!["day", "model"]),
        ("a month by day, Asia/Seoul", month, "Asia/Seoul", vec!["day"]),
        ("a month by day, Asia/Kolkata", month, "Asia/Kolkata", vec!["day"]),
        ("a month by user", month, "UTC", vec!["user"]),
        ("a month by day and user, Asia/Seoul", month, "Asia/Seoul", vec!["day", "user"]),
        ("two years by month", years, "UTC", vec!["month"]),
        ("two years by month and model, Asia/Seoul", years, "Asia/Seoul", vec!["month", "model"]),
    ] {
        let asked = json!({ "from": from, "to": to, "zone": zone, "group_by": keys });
        let mut latency = Latency::default();
        for _ in 0..runs {
            let started = Instant::now();
            let report = session.call("cost_report", asked.clone()).await?;
            latency.add(started);
            if name == "a month by model" {
                let found: Decimal = report["totals"]["total_cost_usd"].as_str().unwrap_or_default().parse()?;
                if found != total {
                    return Err(format!("the report says {found} USD, its rows {total}").into());
                }
            }
        }
        println!("{name:<44} {} ms", latency.cell());
        figures.push(json!({ "report": name, "ms": latency.json() }));
    }
    Ok(json!(figures))
}

/// What a writer waits for, with the sums kept and without.
async fn writes(database: &Database, session: &Session, runs: usize) -> Result<Value> {
    let client = database.connect().await?;
    let usage = |n: usize| json!({ "provider": "openai", "model_name": "gpt-4o-mini", "input_tokens": n, "output_tokens": 1, "tool": format!("tool{}", n % 4) });
    let mut figures = serde_json::Map::new();
    for (name, switch) in [("with_sums", "ENABLE"), ("without_sums", "DISABLE"), ("with_sums_again", "ENABLE")] {
        client
            .batch_execute(&format!("ALTER TABLE cost_tracking {switch} TRIGGER cost_tracking_20_add_to_sums"))
            .await?;
        let mut latency = Latency::default();
        for n in 0..runs * 10 {
            let started = Instant::now();
            session.call("record_usage", usage(n)).await?;
            latency.add(started);
        }
        println!("{:<44} {} ms", format!("record_usage, {}", name.replace('_', " ")), latency.cell());
        figures.insert(name.to_owned(), latency.json());
    }
    Ok(Value::Object(figures))
}
