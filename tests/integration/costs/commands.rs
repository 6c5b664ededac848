//! `bailiwick report costs`.

use serde_json::{Value, json};
use tokio::process::Command;

use super::{session, usage};
use crate::harness::{Session, Tenant, TestDatabase};

/// The command as the administrator who is no superuser: exit code, stdout and stderr.
async fn report(database: &TestDatabase, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bailiwick"))
        .args(["report", "costs"])
        .args(arguments)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("bailiwick_maintenance").await)
        .output()
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

pub async fn good(database: &TestDatabase, arguments: &[&str]) -> String {
    let (code, out, err) = report(database, arguments).await;
    assert_eq!(code, Some(0), "{err}");
    out
}

/// Deletes a tenant and purges it.
pub async fn purge(client: &tokio_postgres::Client, tenant: &Tenant) {
    use bailiwick::{db::admin, tenants::purge::purge};
    let slug = admin::list_tenants(client).await.unwrap().into_iter().find(|row| row.id == tenant.id).unwrap().slug;
    assert_eq!(admin::delete_tenant(client, &slug).await.unwrap(), Some(tenant.id));
    purge(client, tenant.id, std::time::Duration::from_secs(30), |_, _| ()).await.unwrap();
}

/// Rows of both tenants in February 2026 and now.
async fn stocked() -> (TestDatabase, Session) {
    let (database, session) = session().await;
    for (slug, rows) in [("demo", 300), ("enterprise", 40)] {
        let tenant = database.tenant(slug).await;
        database
            .execute(&format!(
                "SELECT create_month_partition('cost_tracking', '2026-02-01'); SET app.current_tenant_id = '{id}';
                 INSERT INTO cost_tracking (timestamp, tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost, operation)
                 SELECT '2026-02-01 00:00+00'::timestamptz + n * interval '2 hours', '{id}', CASE n % 2 WHEN 0 THEN '=HYPERLINK(\"x\")' ELSE 'user' || n END,
                        'model' || n % 3, 'p', n, 1, 0.000000000001 * n, 0.1, 'op' FROM generate_series(1, {rows}) n",
                id = tenant.id
            ))
            .await;
    }
    session.ok("record_usage", usage("openai", "gpt-4o", 1_000, 1_000)).await;
    (database, session)
}

const FEBRUARY: [&str; 4] = ["--from", "2026-02-01", "--to", "2026-03-01"];

#[tokio::test]
async fn json_is_what_the_tool_answers() {
    let (database, session) = stocked().await;
    for (flags, asked) in [
        (vec![], json!({ "from": "2026-02-01", "to": "2026-03-01" })),
        (
            vec!["--by", "day,model", "--zone", "Asia/Seoul", "--order", "cost"],
            json!({ "from": "2026-02-01", "to": "2026-03-01", "group_by": ["day", "model"], "zone": "Asia/Seoul", "order_by": "cost" }),
        ),
        (vec!["--by", "week"], json!({ "from": "2026-02-01", "to": "2026-03-01", "group_by": ["week"] })),
    ] {
        let flags: Vec<_> = ["--tenant", "demo", "--json"].iter().chain(&FEBRUARY).chain(&flags).copied().collect();
        let mut found: Value = serde_json::from_str(&good(&database, &flags).await).unwrap();
        let mut wanted = session.ok("cost_report", asked).await;
        for answer in [&mut found, &mut wanted] {
            answer["duration_ms"].take();
            // By the clock.
            answer["budget"]["forecast_month_end_usd"].take();
        }
        assert_eq!(found, wanted);
    }
}

#[tokio::test]
async fn csv_has_every_group_and_no_formula() {
    let (database, _session) = stocked().await;
    let flags: Vec<_> = ["--all-tenants", "--csv", "--by", "user,day"].iter().chain(&FEBRUARY).copied().collect();
    let out = good(&database, &flags).await;
    let mut reader = csv::Reader::from_reader(out.as_bytes());
    let heads = "tenant user day operations unpriced_operations input_tokens cached_input_tokens output_tokens total_tokens input_cost_usd output_cost_usd total_cost_usd average_cost_usd";
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>().join(" "), heads);
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let of = |tenant: &str| {
        let own = records.iter().filter(|record| &record[0] == tenant);
        own.map(|record| record[3].parse::<u64>().unwrap()).sum::<u64>()
    };
    assert_eq!((of("demo"), of("enterprise")), (300, 40));
    assert!(records.iter().any(|record| &record[1] == "'=HYPERLINK(\"x\")"));
    assert!(records.iter().filter(|record| &record[0] == "demo").count() > 160);
    assert!(records.iter().all(|record| record.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@']))));
}

#[tokio::test]
async fn all_tenants_add_up() {
    let (database, _session) = stocked().await;
    let flags: Vec<_> = ["--all-tenants", "--json"].iter().chain(&FEBRUARY).copied().collect();
    let all: Value = serde_json::from_str(&good(&database, &flags).await).unwrap();
    let slugs: Vec<_> = all["tenants"].as_array().unwrap().iter().map(|one| one["tenant"].as_str().unwrap()).collect();
    assert_eq!(slugs, ["demo", "enterprise"]);
    let sum = "SELECT trim_scale(sum(total_cost))::text FROM cost_tracking WHERE timestamp < '2026-03-01'";
    assert_eq!(all["totals"]["total_cost_usd"], database.value::<String>(sum).await);
    assert_eq!(all["totals"]["operations"], 340);
}

#[tokio::test]
async fn a_person_sees_a_table_a_plot_and_the_budget() {
    let (database, _session) = stocked().await;
    let flags: Vec<_> = ["--tenant", "demo", "--by", "model"].iter().chain(&FEBRUARY).copied().collect();
    let out = good(&database, &flags).await;
    for words in [
        "demo: costs from 2026-02-01T00:00:00Z to 2026-03-01T00:00:00Z (UTC)",
        "model2",
        "total",
        "███",
        "As long before",
        "This UTC month: 0.0125 USD of 50, 0 held, OK;",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    let flags: Vec<_> = ["--all-tenants", "--by", "day"].iter().chain(&FEBRUARY).copied().collect();
    let out = good(&database, &flags).await;
    assert!(out.contains("2026-02-01 to 2026-02-26, the dearest day") && out.contains("all 2 tenants: "), "{out}");
    let out = good(&database, &["--tenant", "demo", "--to", "2020-01-01", "--from", "2019-01-01"]).await;
    assert!(out.contains("nothing was spent"), "{out}");
}

#[tokio::test]
async fn what_cannot_be_reported_is_said() {
    let (database, _session) = session().await;
    for (arguments, code, words) in [
        (&[][..], 1, "no tenant was named: give --tenant SLUG"),
        (&["--tenant", "nobody"], 1, "there is no tenant \"nobody\""),
        (&["--tenant", "demo", "--from", "2026-03-01", "--to", "2026-02-01"], 1, "`from` is not before to"),
        (&["--tenant", "demo", "--zone", "Asia/Seol"], 1, "--zone is \"Asia/Seol\"; allowed"),
        (&["--tenant", "demo", "--by", "day,day"], 1, "`group_by` names the same key twice"),
        (&["--tenant", "demo", "--by", "year"], 2, "invalid value 'year'"),
        (&["--tenant", "demo", "--all-tenants"], 2, "cannot be used with"),
        (&["--tenant", "demo", "--csv", "--json"], 2, "cannot be used with"),
    ] {
        let (exit, out, err) = report(&database, arguments).await;
        assert!(exit == Some(code) && out.is_empty() && err.contains(words), "{arguments:?}: {exit:?} {out} {err}");
    }
}

#[tokio::test]
async fn costs_of_a_purged_tenant_are_reported_by_its_id_and_in_the_sum() {
    let (database, session) = stocked().await;
    let demo = database.tenant("demo").await;
    super::assert_settled(&database).await;
    drop(session);
    purge(&database.connect_admin().await, &demo).await;
    let spent = async |whose: &str| {
        let sql = format!(
            "SELECT trim_scale(sum(spent_usd))::text FROM budget_ledger WHERE period = 'month' AND user_id = '' AND {whose}"
        );
        database.value::<String>(&sql).await
    };
    let id = demo.id.to_string();
    let of_demo: Value =
        serde_json::from_str(&good(&database, &["--tenant", &id, "--from", "2026-02-01", "--json"]).await).unwrap();
    assert_eq!(of_demo["totals"]["total_cost_usd"], json!(spent(&format!("tenant_id = '{id}'")).await));
    assert_eq!(of_demo["budget"]["limit_usd"], Value::Null, "it has no limit any more");
    let all: Value =
        serde_json::from_str(&good(&database, &["--all-tenants", "--from", "2026-02-01", "--json"]).await).unwrap();
    assert_eq!(all["totals"]["total_cost_usd"], json!(spent("true").await));
    assert!(all["tenants"].as_array().unwrap().iter().any(|part| part["tenant"] == json!(id)), "{all}");
    // By id also one that is there, and none that never was.
    let enterprise = database.tenant("enterprise").await.id.to_string();
    assert!(good(&database, &["--tenant", &enterprise]).await.contains("enterprise: costs"));
    let (code, _, told) = report(&database, &["--tenant", "0198c5e2-5f0c-7cc3-98a5-d7a1a3f0e5b1"]).await;
    assert!(code != Some(0) && told.contains("no costs are kept of one that was purged"), "{told}");
}
