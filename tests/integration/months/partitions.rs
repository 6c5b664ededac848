//! Months are made ahead, and the DEFAULT partition is watched.

use std::time::Duration;

use bailiwick::db::admin;
use bailiwick::maintenance::Housekeeping;
use tokio::process::Command;

use crate::harness::TestDatabase;

const MONTHS: &str = "SELECT string_agg(to_char(month, 'YYYY-MM'), ' ' ORDER BY month) FROM month_partitions('audit_logs', '2999-01-01') WHERE month >= '2126-01-01'";

#[tokio::test]
async fn months_are_made_three_ahead_whatever_day_it_is() {
    let database = TestDatabase::create().await;
    for (today, new, all) in [
        ("2126-10-31", 8, "2126-10 2126-11 2126-12 2127-01"),
        // The day after they are three ahead of the next.
        ("2126-11-01", 2, "2126-10 2126-11 2126-12 2127-01 2127-02"),
        ("2126-11-30", 0, "2126-10 2126-11 2126-12 2127-01 2127-02"),
        // A leap day.
        ("2128-02-29", 8, "2126-10 2126-11 2126-12 2127-01 2127-02 2128-02 2128-03 2128-04 2128-05"),
    ] {
        let made = format!("SELECT maintain_partitions(3, '{today}')");
        assert_eq!(database.value::<i32>(&made).await, new, "{today}");
        assert_eq!(database.value::<String>(MONTHS).await, all, "{today}");
    }
    // Made apart and attached, they are what PostgreSQL would have made: columns, checks, keys and indexes.
    let made = "CREATE TABLE by_hand PARTITION OF audit_logs FOR VALUES FROM ('2200-01-01Z') TO ('2200-02-01Z');
                CREATE TABLE costs_by_hand PARTITION OF cost_tracking FOR VALUES FROM ('2200-01-01Z') TO ('2200-02-01Z')";
    database.execute(made).await;
    for (ours, theirs) in [("audit_logs_2126_10", "by_hand"), ("cost_tracking_2126_10", "costs_by_hand")] {
        let looks = async |table: &str| {
            let sql = format!(
                "SELECT (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, a.attstorage,
                                                     pg_get_expr(d.adbin, d.adrelid)), ', ' ORDER BY a.attnum)
                         FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
                         WHERE a.attrelid = '{table}'::regclass AND a.attnum > 0)
                     || (SELECT string_agg(contype::text || pg_get_constraintdef(oid), ', ' ORDER BY contype, pg_get_constraintdef(oid))
                         FROM pg_constraint WHERE conrelid = '{table}'::regclass)
                     || (SELECT string_agg(regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING', '') || h.inhparent::regclass::text, ', ' ORDER BY h.inhparent::regclass::text)
                         FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indexrelid WHERE i.indrelid = '{table}'::regclass)"
            );
            database.value::<String>(&sql).await
        };
        assert_eq!(looks(ours).await, looks(theirs).await);
    }
    let open = "SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r' AND relname ~ '_\\d{4}_\\d{2}$' AND NOT (relrowsecurity AND relforcerowsecurity)";
    assert_eq!(database.value::<i64>(open).await, 0);
}

#[tokio::test]
async fn rows_without_a_month_are_told_of_until_they_are_gone() {
    let database = TestDatabase::create().await;
    let (client, house) = (database.connect_admin().await, Housekeeping::default());
    assert_eq!(house.pass(&client).await.unwrap().strays, []);
    let tenant = database.tenant("demo").await.id;
    // A clock that was far ahead.
    let stray = format!(
        "INSERT INTO audit_logs (\"timestamp\", tenant_id, user_id, call_id, action, outcome, success)
         VALUES ('2130-06-15', '{tenant}', 'u', gen_random_uuid(), 'search', 'ok', true)"
    );
    database.execute(&stray).await;
    assert_eq!(house.pass(&client).await.unwrap().strays, [("audit_logs", 1)]);
    let doctor = async || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
        command
            .args(["doctor"])
            .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("postgres").await)
            .env_remove("DATABASE_URL");
        let output = command.output().await.unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (is_sound, told) = doctor().await;
    assert!(!is_sound && told.contains("1 rows of audit_logs have no partition for their month"), "{told}");
    assert_eq!(database.value::<i32>("SELECT maintain_partitions(0, '2130-06-01')").await, 2);
    assert_eq!(house.pass(&client).await.unwrap().strays, []);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs_2130_06").await, 1);
    let (is_sound, told) = doctor().await;
    assert!(is_sound, "{told}");
}

/// A clock that was months ahead: its month is made before its turn, and nobody is called for it every minute.
#[tokio::test]
async fn rows_of_a_month_far_ahead_get_it_by_the_next_pass() {
    let database = TestDatabase::create().await;
    let (client, house) = (database.connect_admin().await, Housekeeping::default());
    let tenant = database.tenant("demo").await.id;
    let ahead = format!(
        "INSERT INTO audit_logs (\"timestamp\", tenant_id, user_id, call_id, action, outcome, success)
         SELECT now() + make_interval(months => n), '{tenant}', 'u', gen_random_uuid(), 'search', 'ok', true FROM unnest(ARRAY[9, 118, 124]) AS n"
    );
    database.execute(&ahead).await;
    let kept = house.pass(&client).await.unwrap();
    // Ten years are enough for a clock that was wrong; what is beyond is told of.
    assert_eq!((kept.failures.as_slice(), kept.partitions, kept.strays), (&[][..], 2, vec![("audit_logs", 1)]));
    let there = "SELECT count(*) FROM audit_logs a JOIN pg_class c ON c.oid = a.tableoid
                 WHERE c.relname = 'audit_logs_' || to_char(a.\"timestamp\" AT TIME ZONE 'UTC', 'YYYY_MM')";
    assert_eq!(database.value::<i64>(there).await, 2);
    // The runbook's way for those.
    let made = "SET ROLE bailiwick_owner;
                SELECT create_month_partition('audit_logs', (now() + interval '124 months')::date); RESET ROLE";
    database.execute(made).await;
    assert_eq!(house.pass(&client).await.unwrap().strays, []);
    assert_eq!(database.value::<i64>(there).await, 3);
}

/// A month that is over, which nobody makes ahead any more.
#[tokio::test]
async fn late_rows_get_their_month_by_the_next_pass() {
    let database = TestDatabase::create().await;
    let (client, house) = (database.connect_admin().await, Housekeeping::default());
    let tenant = database.tenant("demo").await.id;
    let late = format!(
        "SET app.current_tenant_id = '{tenant}';
         INSERT INTO audit_logs (\"timestamp\", tenant_id, user_id, call_id, action, outcome, success)
         VALUES ('2020-02-29 23:59:59.999999+00', '{tenant}', 'u', gen_random_uuid(), 'search', 'ok', true);
         INSERT INTO cost_tracking (timestamp, tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
         SELECT '2020-01-01 00:00+00'::timestamptz + make_interval(months => n), '{tenant}', 'u', 'm', 'p', 1, 1, 0.5, 0.5 FROM generate_series(0, 13) AS n"
    );
    database.execute(&late).await;
    // Twelve months a pass and table, so that calls are not held up for long.
    let kept = house.pass(&client).await.unwrap();
    assert_eq!((kept.failures.as_slice(), kept.partitions, kept.strays), (&[][..], 13, vec![("cost_tracking", 2)]));
    let kept = house.pass(&client).await.unwrap();
    assert_eq!((kept.partitions, kept.strays), (2, vec![]));
    let kept = house.pass(&client).await.unwrap();
    assert_eq!((kept.partitions, kept.strays), (0, vec![]));
    assert_eq!(database.value::<i64>("SELECT count(*) FROM audit_logs_2020_02").await, 1);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM cost_tracking_2020_01").await, 1);
    // Moved and not added again.
    let spent = "SELECT count(*) FROM cost_sums WHERE grain = 'day' AND starts < '2022-01-01' AND operations = 1";
    assert_eq!(database.value::<i64>(spent).await, 14);
}

#[tokio::test]
async fn the_overview_is_counted_by_one_server_at_a_time_when_it_is_old() {
    let database = TestDatabase::create().await;
    let clients = [database.connect_admin().await, database.connect_admin().await];
    let hour = Duration::from_secs(3_600);
    admin::refresh_statistics(&clients[0]).await.unwrap();
    assert!(!admin::refresh_stale_statistics(&clients[0], hour).await.unwrap(), "it is new");
    let (one, two) = tokio::join!(
        admin::refresh_stale_statistics(&clients[0], Duration::ZERO),
        admin::refresh_stale_statistics(&clients[1], Duration::ZERO),
    );
    assert!(one.unwrap() || two.unwrap());
    // While one counts, the other does not wait for it.
    let holder = database.connect_admin().await;
    holder
        .batch_execute("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('bailiwick.refresh_statistics', 0))")
        .await
        .unwrap();
    assert!(!admin::refresh_stale_statistics(&clients[0], Duration::ZERO).await.unwrap());
    holder.batch_execute("COMMIT").await.unwrap();
    assert!(admin::refresh_stale_statistics(&clients[0], Duration::ZERO).await.unwrap());
}
