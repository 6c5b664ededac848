//! Months that are no longer kept: archived, dropped, and the rest as it was.

use std::io::Read;
use std::path::Path;

use bailiwick::audit::{Keeping, Sealer, check_archive};
use bailiwick::configuration::{AuditArguments, RetentionArguments};
use bailiwick::maintenance::Housekeeping;
use flate2::read::GzDecoder;
use serde_json::Value;

use super::load::{Load, assert_books, seconds};
use crate::harness::TestDatabase;
use crate::seals::PATIENCE;

/// Four months before this one with calls and costs of both tenants, all sealed.
async fn old_months(database: &TestDatabase, rows: usize) {
    database
        .execute(&format!(
            "SET ROLE bailiwick_owner;
             SELECT create_month_partition(t::regclass, (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => n))::date)
             FROM unnest(ARRAY['audit_logs', 'cost_tracking']) AS t, generate_series(1, 4) AS n;
             RESET ROLE;
             SELECT pg_current_xact_id();
             INSERT INTO audit_logs (\"timestamp\", tenant_id, user_id, call_id, action, resource, outcome, success)
             SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') - make_interval(months => m) + make_interval(mins => n), t.id, 'old', gen_random_uuid(), 'search', 'old', 'ok', true
             FROM tenants t, generate_series(1, 4) AS m, generate_series(1, {rows}) AS n;
             DO $costs$
             DECLARE v_tenant uuid;
             BEGIN
                 FOR v_tenant IN SELECT id FROM tenants LOOP
                     PERFORM set_config('app.current_tenant_id', v_tenant::text, true);
                     INSERT INTO cost_tracking (\"timestamp\", tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
                     SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') - make_interval(months => m) + make_interval(mins => n), v_tenant, 'old', 'm', 'p', n, 0, 0.000000000001, 1.5
                     FROM generate_series(1, 4) AS m, generate_series(1, {rows}) AS n;
                 END LOOP;
             END $costs$"
        ))
        .await;
}

async fn seal(database: &TestDatabase, keeping: &Keeping) {
    Sealer::new(keeping.clone()).settle(&database.connect_admin().await, PATIENCE).await.unwrap();
}

fn house(folder: &Path, keep: Option<u16>) -> Housekeeping {
    let audit = AuditArguments { audit_key: None, audit_heads: Some(folder.join("heads.jsonl")) };
    Housekeeping {
        retention: RetentionArguments {
            keep_audit_months: keep,
            keep_cost_months: keep,
            retention_dir: Some(folder.to_owned()),
            ..RetentionArguments::default()
        },
        keeping: Keeping { key: None, heads: audit.audit_heads.clone().map(bailiwick::audit::HeadsFile::new) },
        audit,
        ..Housekeeping::default()
    }
}

/// Rows a month of a table, the oldest first.
async fn rows(database: &TestDatabase, table: &str) -> String {
    let sql = format!(
        "SELECT coalesce(string_agg(months, ' '), '') FROM (
             SELECT (extract(year FROM age(date_trunc('month', now() AT TIME ZONE 'UTC'), date_trunc('month', \"timestamp\" AT TIME ZONE 'UTC'))) * 12
                     + extract(month FROM age(date_trunc('month', now() AT TIME ZONE 'UTC'), date_trunc('month', \"timestamp\" AT TIME ZONE 'UTC'))))::int || ':' || count(*) AS months
             FROM {table} WHERE user_id = 'old' GROUP BY date_trunc('month', \"timestamp\" AT TIME ZONE 'UTC') ORDER BY date_trunc('month', \"timestamp\" AT TIME ZONE 'UTC')) AS m"
    );
    database.value(&sql).await
}

fn lines(path: &Path) -> Vec<Value> {
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_right_months_go_into_files_and_nothing_else_does() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    old_months(&database, 5).await;
    let client = database.connect_admin().await;
    // Nothing is dropped unless that was asked for.
    assert!(house(folder.path(), None).pass(&client).await.unwrap().retired.is_none());
    let house = house(folder.path(), Some(2));
    // Rows that are not sealed keep the trail, and the trail alone.
    let kept = house.pass(&client).await.unwrap();
    assert!(kept.failures[0].1.contains("not sealed yet"), "{:?}", kept.failures);
    assert_eq!(kept.retired_costs.unwrap().rows, 20);
    seal(&database, &house.keeping).await;
    let kept = house.pass(&client).await.unwrap();
    assert_eq!((kept.failures.as_slice(), kept.retired.unwrap().rows), (&[][..], 20));
    for table in ["audit_logs", "cost_tracking"] {
        assert_eq!(rows(&database, table).await, "2:10 1:10", "{table}");
    }
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| !path.ends_with("heads.jsonl")).collect();
    files.sort();
    assert_eq!(files.len(), 4, "{files:?}");
    for path in &files[..2] {
        let report = check_archive(path, &bailiwick::audit::TrustedKeys::default()).unwrap();
        assert_eq!((report.findings.fault_count, report.counts.rows), (0, 10), "{path:?}");
    }
    for path in &files[2..] {
        let rows = lines(path);
        assert_eq!(rows.len(), 10);
        let text = rows.iter().map(|row| row["total_cost"].to_string());
        assert!(text.clone().all(|cost| cost == "1.500000000001"), "{:?}", text.collect::<Vec<_>>());
    }
    // What is left of the trail verifies, the sums go with their rows, and the next pass finds nothing to do.
    let found = bailiwick::audit::verify(&client, &bailiwick::audit::Expectations::default()).await.unwrap();
    assert!(found.is_sound() && found.retained_from.is_some(), "{:#?}", found.findings);
    assert_eq!(
        database.value::<i64>("SELECT count(*) FROM budget_ledger WHERE period = 'month' AND user_id = ''").await,
        4
    );
    let again = house.pass(&client).await.unwrap();
    assert!(again.retired.is_none() && again.retired_costs.is_none() && again.failures.is_empty());
}

#[tokio::test]
async fn a_file_of_others_costs_is_not_taken_for_ours_and_what_a_broken_try_left_is() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    old_months(&database, 3).await;
    let client = database.connect_admin().await;
    let house = Housekeeping {
        retention: RetentionArguments { keep_audit_months: None, ..house(folder.path(), Some(3)).retention },
        ..house(folder.path(), Some(3))
    };
    // The month is in use to the end, so that nothing is dropped; its file stays.
    let reader = database.connect_admin().await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM cost_tracking").await.unwrap();
    let mut patient = std::pin::pin!(house.pass(&client));
    let waited = tokio::time::timeout(std::time::Duration::from_secs(3), &mut patient).await;
    assert!(waited.is_err(), "nothing can be dropped while it is read");
    assert_eq!(rows(&database, "cost_tracking").await, "4:6 3:6 2:6 1:6");
    reader.batch_execute("COMMIT").await.unwrap();
    let kept = patient.await.unwrap();
    assert_eq!((kept.failures.as_slice(), kept.retired_costs.unwrap().partitions.len()), (&[][..], 1));
    // The same rows come back, with one that is new: the file there is another month's.
    old_months(&database, 4).await;
    let kept = house.pass(&client).await.unwrap();
    assert!(kept.failures[0].1.contains("is there already, with other costs"), "{:?}", kept.failures);
    assert!(rows(&database, "cost_tracking").await.starts_with("4:8"));
}

#[tokio::test]
async fn months_are_dropped_under_calls_and_none_fails_or_waits() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    old_months(&database, 2_000).await;
    let demo = database.tenant("demo").await;
    let first = house(folder.path(), Some(4));
    seal(&database, &first.keeping).await;
    let load = Load::start(&database, &demo).await;
    let client = database.connect_admin().await;
    for keep in [3, 2, 1] {
        load.answered(seconds() * 10).await;
        let house = house(folder.path(), Some(keep));
        let kept = house.pass(&client).await.unwrap();
        assert_eq!(kept.failures, []);
        assert_eq!(kept.retired_costs.unwrap().partitions.len(), 1);
        assert_eq!(kept.retired.unwrap().rows, 4_000);
    }
    load.answered(seconds() * 10).await;
    let outcome = load.end().await;
    assert!(outcome.calls >= seconds() * 40);
    assert_books(&database, &outcome).await;
    for table in ["audit_logs", "cost_tracking"] {
        assert_eq!(rows(&database, table).await, "1:4000", "{table}");
    }
    seal(&database, &first.keeping).await;
    let found = bailiwick::audit::verify(&client, &bailiwick::audit::Expectations::default()).await.unwrap();
    assert!(found.is_sound(), "{:#?}", found.findings);
}

/// The test of the right months bites: one month too many, or another one, and it is seen.
#[tokio::test]
async fn a_wrong_month_is_seen() {
    for planted in ["<= p_before + 40", "= p_before", ">= p_before + 1000"] {
        let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
        old_months(&database, 5).await;
        let plant = format!(
            "DO $plant$ BEGIN EXECUTE replace(pg_get_functiondef('month_partitions'::regproc), '<= p_before', '{planted}'); END $plant$"
        );
        database.execute(&plant).await;
        let mut house = house(folder.path(), Some(2));
        house.retention.keep_audit_months = None;
        let kept = house.pass(&database.connect_admin().await).await.unwrap();
        assert_eq!(kept.failures, []);
        assert_ne!(rows(&database, "cost_tracking").await, "2:10 1:10", "{planted}");
    }
}
