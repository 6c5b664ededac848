//! Reports in the time zones of the world, at the moments at which their days are odd.

use jiff::{Timestamp, civil::Date};
use serde_json::json;

use super::{oracle, session};
use crate::harness::{Tenant, TestDatabase};

/// A zone, and days around a moment at which it is odd.
const WINDOWS: [(&str, &str, &str); 12] = [
    // Leap day and month's end.
    ("UTC", "2028-02-27", "2028-03-03"),
    ("Asia/Seoul", "2026-01-29", "2026-02-03"),
    // Half and quarter hours.
    ("Asia/Kolkata", "2026-01-29", "2026-02-03"),
    ("Asia/Kathmandu", "2025-04-29", "2025-05-03"),
    // Days of 23 and 25 hours. Those of years to come may be abolished by then, and time zone databases differ.
    ("America/New_York", "2025-03-07", "2025-03-12"),
    ("America/New_York", "2025-10-31", "2025-11-05"),
    // By half an hour.
    ("Australia/Lord_Howe", "2025-04-04", "2025-04-09"),
    // Midnight twice.
    ("America/Havana", "2024-11-01", "2024-11-06"),
    // A minute of the next day before the last hour of the day before.
    ("America/St_Johns", "2010-11-05", "2010-11-10"),
    // No midnight: the day begins at one.
    ("Africa/Cairo", "2024-04-24", "2024-04-29"),
    // The year's end before everybody else's.
    ("Pacific/Kiritimati", "2025-12-29", "2026-01-04"),
    ("Pacific/Chatham", "2025-04-03", "2025-04-08"),
];

/// Rows at each quarter of an hour of the windows and a microsecond before, with a day on either side.
async fn stock(database: &TestDatabase, tenant: &Tenant) {
    for (at, (_, from, to)) in WINDOWS.iter().enumerate() {
        database
            .execute(&format!(
                "SET app.current_tenant_id = '{id}';
                 SELECT create_month_partition('cost_tracking', m::date) FROM generate_series(date_trunc('month', date '{from}' - 2), date '{to}' + 2, '1 month') m;
                 INSERT INTO cost_tracking (timestamp, tenant_id, user_id, model_name, provider, input_tokens, cached_input_tokens, output_tokens,
                                            input_cost, output_cost, operation, tool, is_priced)
                 SELECT t - e * interval '1 microsecond', '{id}', 'user' || n % 3, 'model' || n % 5, 'provider' || n % 2, 10 + n % 7, n % 4, n % 11,
                        (n * 0.000000000007 + {at} * 0.01)::numeric(24, 12), (n * 0.000000000003)::numeric(24, 12), CASE WHEN n % 4 > 0 THEN 'op' || n % 4 END,
                        CASE WHEN n % 3 > 0 THEN 'tool' || n % 3 END, n % 13 > 0
                 FROM generate_series(timestamptz '{from} 00:00+00' - interval '1 day', timestamptz '{to} 00:00+00' + interval '1 day', '15 minutes') WITH ORDINALITY AS s (t, n),
                      generate_series(0, 1) e",
                id = tenant.id
            ))
            .await;
    }
}

fn midnight(day: &str, zone: &str) -> Timestamp {
    day.parse::<Date>().unwrap().to_zoned(oracle::time_zone(zone)).unwrap().timestamp()
}

#[tokio::test]
async fn reports_equal_an_oracle_in_every_zone_and_grouping() {
    let (database, session) = session().await;
    let demo = database.tenant("demo").await;
    stock(&database, &demo).await;
    let rows = oracle::rows(&database, &demo).await;
    assert!(rows.len() > 10_000);
    let groupings: [&[&str]; 10] = [
        &["day"],
        &["week"],
        &["month"],
        &["model"],
        &["user"],
        &["tool", "operation"],
        &["day", "model"],
        &["user", "day"],
        &["week", "month"],
        &["provider", "user"],
    ];
    // BAILIWICK_ZONE_GROUPINGS=10 for all of them in each window; otherwise the windows take turns.
    let each: usize = std::env::var("BAILIWICK_ZONE_GROUPINGS").ok().and_then(|count| count.parse().ok()).unwrap_or(4);
    for (at, (zone, from, to)) in WINDOWS.into_iter().enumerate() {
        let days = (midnight(from, zone), midnight(to, zone));
        let odd =
            ("2024-10-01T07:13:21.000001Z".parse().unwrap(), days.0 + jiff::Span::new().minutes(3_000).microseconds(7));
        for &keys in groupings.iter().cycle().skip(at * each).take(each) {
            for (asked, (from, to)) in [
                (json!({ "from": from, "to": to, "zone": zone, "group_by": keys }), days),
                (json!({ "from": days.0, "to": odd.1, "zone": zone, "group_by": keys }), (days.0, odd.1)),
                (
                    json!({ "from": odd.0, "to": days.1, "zone": zone, "group_by": keys, "order_by": "cost" }),
                    (odd.0, days.1),
                ),
            ] {
                if from >= to {
                    continue;
                }
                let report = session.ok("cost_report", asked.clone()).await;
                let (groups, totals) = oracle::report(&rows, (from, to), zone, keys);
                assert_eq!((&report["from"], &report["to"]), (&json!(from), &json!(to)), "{asked}");
                assert_eq!(report["totals"], totals, "{asked}");
                if groups.len() <= 200 {
                    assert_eq!(oracle::sorted(&report, keys), groups, "{asked}");
                }
                assert_eq!(report["truncated"], groups.len() > 200);
                let before = from + from.duration_since(to);
                let (_, was) = oracle::report(&rows, (before, from), zone, keys);
                let previous = &report["previous"];
                assert_eq!((&previous["from"], &previous["to"]), (&json!(before), &json!(from)), "{asked}");
                assert_eq!(
                    (&previous["total_cost_usd"], &previous["operations"]),
                    (&was["total_cost_usd"], &was["operations"]),
                    "{asked}"
                );
            }
        }
    }
}

/// The oracle finds what it is to find: days of another zone, and a stretch that is taken whole over the edge of a day.
#[tokio::test]
async fn a_zone_that_is_not_minded_is_seen() {
    let (database, session) = session().await;
    let demo = database.tenant("demo").await;
    stock(&database, &demo).await;
    let rows = oracle::rows(&database, &demo).await;
    let (zone, from, to) = WINDOWS[4];
    let asked = json!({ "from": from, "to": to, "zone": zone, "group_by": ["day"] });
    let (wanted, _) = oracle::report(&rows, (midnight(from, zone), midnight(to, zone)), zone, &["day"]);
    assert_eq!(oracle::sorted(&session.ok("cost_report", asked.clone()).await, &["day"]), wanted);
    let definition = async |name: &str| {
        database.value::<String>(&format!("SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = '{name}'")).await
    };
    for (name, right, wrong) in [
        ("cost_period", "p_at AT TIME ZONE p_zone", "p_at AT TIME ZONE 'UTC'"),
        (
            "cost_spans",
            "IS NOT DISTINCT FROM cost_period(d.ends - interval '1 microsecond', p_first_unit, p_zone)",
            "IS NOT NULL",
        ),
    ] {
        let function = definition(name).await;
        assert!(function.contains(right), "{function}");
        database.execute(&function.replace(right, wrong)).await;
        let answer = session.ok("cost_report", asked.clone()).await;
        assert_ne!(oracle::sorted(&answer, &["day"]), wanted, "{name}");
        database.execute(&function).await;
    }
}

/// The first moment of a day, where clocks make midnight come twice or not at all.
#[tokio::test]
async fn a_day_begins_at_its_first_moment() {
    let database = TestDatabase::create().await;
    for (zone, day, wanted) in [
        ("UTC", "2026-03-01", "2026-03-01T00:00:00Z"),
        ("Asia/Seoul", "2026-03-01", "2026-02-28T15:00:00Z"),
        ("America/Havana", "2024-11-03", "2024-11-03T04:00:00Z"),
        ("Africa/Cairo", "2024-04-26", "2024-04-25T22:00:00Z"),
        ("Australia/Lord_Howe", "2025-04-06", "2025-04-05T13:00:00Z"),
    ] {
        let client = database.connect_app().await;
        let day: Date = day.parse().unwrap();
        let found: Timestamp =
            client.query_one("SELECT local_midnight($1, $2::text)", &[&day, &zone]).await.unwrap().get(0);
        assert_eq!(found, wanted.parse().unwrap(), "{day} in {zone}");
    }
}

/// Stretches are a partition of the time, and no sum is taken over the edge of a period, for random edges of any zone.
#[tokio::test]
async fn stretches_cover_a_period_once() {
    let client = TestDatabase::create().await;
    let client = client.connect_admin().await;
    let sql = "
        WITH asked AS (
            SELECT n, zone, by_user, unit, f AS starts, f + (random() * 20 * interval '1 day') + interval '1 second' AS ends
            FROM (SELECT setseed(0.3)) AS seed, generate_series(1, 40) AS n, unnest($1::text[]) AS zone, unnest(ARRAY[false, true]) AS by_user,
                 unnest(ARRAY['day', 'week', 'month', NULL]) AS unit,
                 LATERAL (SELECT timestamptz '2024-03-01 00:00+00' + random() * n * interval '8 days' AS f) AS r
        ), spans AS (
            SELECT a.n, a.zone, a.by_user, a.unit, a.starts AS whole_starts, a.ends AS whole_ends, s.*,
                   lag(s.ends) OVER (PARTITION BY a.n, a.zone, a.by_user, a.unit ORDER BY s.starts) AS ended
            FROM asked a, cost_spans(a.starts, a.ends, a.by_user, a.unit, NULL, a.zone) AS s
        )
        SELECT count(*) FILTER (WHERE starts IS DISTINCT FROM coalesce(ended, whole_starts)),
               count(*) FILTER (WHERE grain <> 'row' AND unit IS NOT NULL AND (first_period IS DISTINCT FROM cost_period(starts, unit, zone)
                                      OR first_period IS DISTINCT FROM cost_period(ends - interval '1 microsecond', unit, zone))),
               (SELECT count(*) FROM (SELECT max(ends) AS ends, whole_ends FROM spans GROUP BY n, zone, by_user, unit, whole_ends) AS w WHERE w.ends <> w.whole_ends),
               count(*)
        FROM spans";
    let zones: std::collections::BTreeSet<&str> = WINDOWS.iter().map(|(zone, ..)| *zone).collect();
    let zones: Vec<&str> = zones.into_iter().collect();
    let row = client.query_one(sql, &[&zones]).await.unwrap();
    let counts: [i64; 4] = [0, 1, 2, 3].map(|at| row.get(at));
    assert_eq!(counts[..3], [0, 0, 0], "gaps or overlaps, stretches of two periods, ends that are missed");
    assert!(counts[3] > 10_000);
}

#[tokio::test]
async fn zones_that_are_none_are_refused() {
    let (_database, session) = session().await;
    for zone in [
        "Asia/Seol",
        "asia/seoul",
        "Asia/Seoul5",
        "UTC+9",
        "+09:00",
        "EST5EDT4",
        "",
        "'; DROP TABLE tenants; --",
        "posixrules/../x",
    ] {
        let text = session.refused("cost_report", json!({ "zone": zone })).await;
        assert!(
            text.starts_with("invalid_input: ") && text.contains("`zone` is") && text.contains("Asia/Seoul or UTC"),
            "{zone}: {text}"
        );
    }
    let report = session.ok("cost_report", json!({ "zone": "Asia/Seoul" })).await;
    // The month began there nine hours earlier.
    assert!(report["from"].as_str().unwrap().ends_with("T15:00:00Z"), "{report}");
    let text = session
        .refused("cost_report", json!({ "from": "2026-03-01", "to": "2026-02-28T15:00:00Z", "zone": "Asia/Seoul" }))
        .await;
    assert!(text.contains("`from` is 2026-02-28T15:00:00Z, which is not before to"), "{text}");
}

#[tokio::test]
async fn years_that_no_calendar_of_ours_has_are_refused_and_the_first_and_last_are_not() {
    let (_database, session) = session().await;
    for (field, given) in [
        ("from", "0001-01-01"),
        ("from", "1969-12-31"),
        ("from", "-000001-01-01T00:00:00Z"),
        ("to", "9999-01-02"),
        ("to", "9999-12-30T00:00:00Z"),
    ] {
        let mut asked = json!({ "from": "2026-03-01", "to": "2026-04-01" });
        asked[field] = json!(given);
        let text = session.refused("cost_report", asked).await;
        assert!(
            text.starts_with("invalid_input: ") && text.contains(given) && text.contains("1970-01-01 to 9999-01-01"),
            "{text}"
        );
    }
    for zone in ["UTC", "Pacific/Kiritimati", "America/Los_Angeles", "Asia/Kolkata"] {
        for keys in [["day", "user"], ["week", "model"]] {
            let asked = json!({ "from": "1970-01-01", "to": "9999-01-01", "zone": zone, "group_by": keys });
            let report = session.ok("cost_report", asked).await;
            // There is nothing before, or the hours by which the zone's day begins later.
            let previous = report["previous"]["from"].as_str().unwrap();
            assert!(previous.starts_with("1970-01-01T00:00:00") || previous == report["from"], "{report}");
        }
    }
}
