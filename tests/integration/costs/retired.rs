//! Reports of months whose rows retention dropped: right, or said to be incomplete.

use bailiwick::configuration::RetentionArguments;
use bailiwick::maintenance::Housekeeping;
use serde_json::{Value, json};

use super::commands::good;
use super::{oracle, session};
use crate::harness::{Session, Tenant, TestDatabase};

/// Rows every twenty minutes of the three months before this one.
async fn stock(database: &TestDatabase, tenant: &Tenant) {
    database
        .execute(&format!(
            "SET ROLE bailiwick_owner; SELECT create_month_partition('cost_tracking', (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => m))::date)
             FROM generate_series(1, 3) AS m;
             RESET ROLE;
             SET app.current_tenant_id = '{id}';
             INSERT INTO cost_tracking (timestamp, tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
             SELECT t, '{id}', 'user' || n % 3, 'model' || n % 2, 'p', n, 1, 0.000000000001 * n, 0.01
             FROM generate_series(date_trunc('month', now(), 'UTC') - interval '3 months', date_trunc('month', now(), 'UTC') - interval '1 minute',
                                  '20 minutes') WITH ORDINALITY AS s (t, n)",
            id = tenant.id
        ))
        .await;
}

/// The first day of a month before this one.
async fn first_day(database: &TestDatabase, months_ago: i32) -> String {
    let sql = format!(
        "SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => {months_ago}))::date::text"
    );
    database.value(&sql).await
}

/// Keeps one whole month.
async fn retire(database: &TestDatabase) {
    let retention = RetentionArguments { keep_cost_months: Some(1), ..RetentionArguments::default() };
    let house = Housekeeping { retention, ..Housekeeping::default() };
    let kept = house.pass(&database.connect_admin().await).await.unwrap();
    assert_eq!(kept.failures, []);
    assert_eq!(kept.retired_costs.unwrap().partitions.len(), 2);
}

fn figures(report: &Value) -> (&Value, &Value) {
    (&report["rows"], &report["totals"])
}

async fn reports(session: &Session, asked: &[Value]) -> Vec<Value> {
    let mut reports = Vec::new();
    for asked in asked {
        reports.push(session.ok("cost_report", asked.clone()).await);
    }
    reports
}

#[tokio::test]
async fn a_retired_month_is_right_or_said_to_be_incomplete() {
    let (database, session) = session().await;
    let demo = database.tenant("demo").await;
    stock(&database, &demo).await;
    let (from, to) = (first_day(&database, 2).await, first_day(&database, 1).await);
    let ask = |zone: &str, keys: &[&str]| json!({ "from": from, "to": to, "zone": zone, "group_by": keys });
    // Sums of all users by UTC hour and day tell these as well as rows did.
    let kept = [
        ask("UTC", &["day"]),
        ask("UTC", &["model", "week"]),
        ask("Asia/Seoul", &["day"]),
        ask("Asia/Seoul", &["model"]),
    ];
    let lost = [
        ask("Asia/Kolkata", &["day"]),
        ask("Asia/Kolkata", &["model"]),
        ask("UTC", &["user"]),
        ask("Asia/Seoul", &["user"]),
        ask("Asia/Seoul", &["day", "user"]),
    ];
    let before = (reports(&session, &kept).await, reports(&session, &lost).await);
    for report in before.0.iter().chain(&before.1) {
        assert!(report["incomplete_before"].is_null() && report["previous"]["incomplete_before"].is_null(), "{report}");
    }
    retire(&database).await;
    let moment = json!(format!("{to}T00:00:00Z"));
    let after = (reports(&session, &kept).await, reports(&session, &lost).await);
    for (was, is) in before.0.iter().zip(&after.0) {
        assert_eq!(figures(was), figures(is));
        assert!(is["incomplete_before"].is_null(), "{is}");
    }
    for (was, is) in before.1.iter().zip(&after.1) {
        assert_ne!(figures(was), figures(is), "rows are gone");
        assert_eq!(is["incomplete_before"], moment, "{is}");
    }
    // What has its rows is not said to be incomplete, and the period before it is where it begins in a month that is gone.
    let edge = format!("{}-20", &to[..7]);
    let recent = session
        .ok(
            "cost_report",
            json!({ "from": format!("{}-02", &to[..7]), "to": edge, "zone": "Asia/Kolkata", "group_by": ["user"] }),
        )
        .await;
    let rows = oracle::rows(&database, &demo).await;
    let period = (recent["from"].as_str().unwrap().parse().unwrap(), recent["to"].as_str().unwrap().parse().unwrap());
    assert_eq!(recent["totals"], oracle::report(&rows, period, "Asia/Kolkata", &["user"]).1);
    assert!(recent["incomplete_before"].is_null(), "{recent}");
    assert_eq!(recent["previous"]["incomplete_before"], moment, "{recent}");
    // People are told, too.
    let asked = ["--tenant", "demo", "--from", &from, "--to", &to, "--by", "user"];
    let told = good(&database, &asked).await;
    assert!(told.contains(&format!("This report is incomplete before {to}T00:00:00Z")), "{told}");
    let by_model = ["--tenant", "demo", "--from", &from, "--to", &to, "--by", "model"];
    assert!(!good(&database, &by_model).await.contains("This report is incomplete"));
}

#[tokio::test]
async fn sums_by_user_go_with_their_months_and_a_purged_tenants_go_all() {
    let (database, _session) = session().await;
    let (demo, enterprise) = (database.tenant("demo").await, database.tenant("enterprise").await);
    stock(&database, &demo).await;
    stock(&database, &enterprise).await;
    database
        .execute(&format!(
            "SET app.current_tenant_id = '{id}';
             INSERT INTO cost_tracking (timestamp, tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
             VALUES (date_trunc('month', now(), 'UTC') - interval '2 months', '{id}', 'gone', 'm', 'p', 1, 1, 0, 1)",
            id = demo.id
        ))
        .await;
    let client = database.connect_admin().await;
    super::commands::purge(&client, &demo).await;
    retire(&database).await;
    let old = async |tenant: &Tenant| {
        let sql = format!(
            "SELECT coalesce(string_agg(DISTINCT grain, ', ' ORDER BY grain), '') FROM cost_sums
             WHERE tenant_id = '{}' AND starts < date_trunc('month', now(), 'UTC') - interval '1 month'",
            tenant.id
        );
        database.value::<String>(&sql).await
    };
    assert_eq!((old(&demo).await.as_str(), old(&enterprise).await.as_str()), ("", "day, hour"));
    let users = format!(
        "SELECT string_agg(DISTINCT user_id, ' ' ORDER BY user_id) FROM cost_kinds WHERE tenant_id = '{}'",
        demo.id
    );
    assert_eq!(database.value::<String>(&users).await, "user0 user1 user2", "whose costs are still kept");
    // What is kept is as it was.
    assert_eq!(
        database.value::<i64>("SELECT count(*) FROM cost_sums WHERE grain = 'user day' AND starts >= date_trunc('month', now(), 'UTC') - interval '1 month'").await,
        database.value::<i64>("SELECT count(DISTINCT (tenant_id, user_id, model_name, date_trunc('day', timestamp, 'UTC'))) FROM cost_tracking").await
    );
}
