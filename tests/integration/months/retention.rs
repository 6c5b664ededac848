//! Months that are no longer kept: archived, dropped, and the rest as it was.

use std::io::Read;
use std::path::Path;

use bailiwick::audit::{Keeping, Sealer, check_archive};
use bailiwick::configuration::{AuditArguments, RetentionArguments};
use bailiwick::maintenance::Housekeeping;
use flate2::read::GzDecoder;
use serde_json::Value;

use super::load::{Load, assert_books, seconds};
use crate::harness::{TestDatabase, until};
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
    let audit =
        AuditArguments { audit_key: None, audit_heads: Some(folder.join("heads.jsonl")), audit_trusted_keys: None };
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
async fn a_file_of_other_costs_is_not_written_over_and_what_a_broken_try_left_is_taken() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    old_months(&database, 3).await;
    let client = database.connect_admin().await;
    let house = Housekeeping {
        retention: RetentionArguments { keep_audit_months: None, ..house(folder.path(), Some(3)).retention },
        ..house(folder.path(), Some(3))
    };
    // The month is in use, so that nothing is dropped; the try is broken off, and its file stays.
    let reader = database.connect_admin().await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM cost_tracking").await.unwrap();
    let broken = database.connect_admin().await;
    let is_written = async || {
        let costs = files(folder.path(), "cost_tracking");
        costs.len() == 1 && costs[0].extension().is_some_and(|extension| extension == "gz")
    };
    tokio::select! {
        kept = house.pass(&broken) => panic!("nothing can be dropped while it is read: {kept:?}"),
        () = until("its file is written", is_written) => {}
    }
    drop(broken);
    assert_eq!(rows(&database, "cost_tracking").await, "4:6 3:6 2:6 1:6");
    reader.batch_execute("COMMIT").await.unwrap();
    let mut kept = house.pass(&client).await.unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while kept.busy {
        // The broken one's session ends a moment later.
        assert!(std::time::Instant::now() < deadline, "its session stays");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        kept = house.pass(&client).await.unwrap();
    }
    assert_eq!((kept.failures.as_slice(), kept.retired_costs.unwrap().partitions.len()), (&[][..], 1));
    let costs = files(folder.path(), "cost_tracking");
    assert_eq!(costs.len(), 1, "what a broken try left is the file: {costs:?}");
    let first = std::fs::read(&costs[0]).unwrap();
    // Other rows come for the same month: the file there stays as it is, and they get one of their own.
    old_months(&database, 4).await;
    let kept = house.pass(&client).await.unwrap();
    assert_eq!((kept.failures.as_slice(), kept.retired_costs.unwrap().rows), (&[][..], 8));
    let costs = files(folder.path(), "cost_tracking");
    assert_eq!((costs.len(), std::fs::read(&costs[0]).unwrap()), (2, first), "{costs:?}");
    assert!(costs[1].to_string_lossy().ends_with(".2.jsonl.gz") && lines(&costs[1]).len() == 8, "{costs:?}");
}

/// Of the trail or the costs, by their names.
fn files(folder: &Path, table: &str) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.to_string_lossy().contains(table)).collect();
    // The first file of a month has no number, so that it stands behind those that have.
    files.sort_by_key(|path| (path.to_string_lossy().matches('.').count(), path.clone()));
    files
}

/// A call and a cost of some months ago, told of late.
async fn come_late(database: &TestDatabase, months: i32) {
    database
        .execute(&format!(
            "SELECT pg_current_xact_id();
             INSERT INTO audit_logs (\"timestamp\", tenant_id, user_id, call_id, action, resource, outcome, success)
             SELECT date_trunc('month', now(), 'UTC') - make_interval(months => {months}) + interval '1 day', id, 'old', gen_random_uuid(), 'search', 'late', 'ok', true
             FROM tenants WHERE slug = 'demo';
             SELECT set_config('app.current_tenant_id', id::text, false) FROM tenants WHERE slug = 'demo';
             INSERT INTO cost_tracking (\"timestamp\", tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
             SELECT date_trunc('month', now(), 'UTC') - make_interval(months => {months}) + interval '1 day', id, 'old', 'late', 'p', 1, 0, 0.1, 0
             FROM tenants WHERE slug = 'demo'"
        ))
        .await;
}

/// A server was away with what it had written on its disk: its rows stop no retention, and none is lost.
#[tokio::test]
async fn what_comes_once_its_month_was_written_gets_a_file_of_its_own_and_goes_too() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    old_months(&database, 5).await;
    let client = database.connect_admin().await;
    let house = house(folder.path(), Some(2));
    seal(&database, &house.keeping).await;
    // A month whose file was written by a try that came to no end.
    let name = "SELECT current_database() || '-audit_logs-' || to_char(now() AT TIME ZONE 'UTC' - interval '3 months', 'YYYY-MM')";
    let third: String = database.value(name).await;
    let month = third[third.len() - 7..].parse().unwrap();
    bailiwick::audit::export(&client, month, &folder.path().join(format!("{third}.jsonl"))).await.unwrap();
    come_late(&database, 3).await;
    seal(&database, &house.keeping).await;
    let kept = house.pass(&client).await.unwrap();
    assert_eq!(
        (kept.failures.as_slice(), kept.retired.unwrap().rows, kept.retired_costs.unwrap().rows),
        (&[][..], 21, 21)
    );
    let mut trail = files(folder.path(), "audit_logs");
    assert_eq!(trail.len(), 3, "{trail:?}");
    assert!(trail[2].to_string_lossy().ends_with(&format!("{third}.2.jsonl")), "{trail:?}");
    // Months that are gone altogether, again and again.
    for round in 0..2 {
        come_late(&database, 4).await;
        seal(&database, &house.keeping).await;
        let kept = house.pass(&client).await.unwrap();
        let (retired, costs) = (kept.retired.unwrap(), kept.retired_costs.unwrap());
        assert_eq!((kept.failures.as_slice(), retired.rows, costs.rows), (&[][..], 1, 1), "round {round}");
        assert_eq!((retired.partitions.len(), costs.partitions.len()), (1, 1), "round {round}");
        trail = files(folder.path(), "audit_logs");
        assert_eq!(trail.len(), 4 + round, "{trail:?}");
    }
    for table in ["audit_logs", "cost_tracking"] {
        assert_eq!(rows(&database, table).await, "2:10 1:10", "{table}");
    }
    // Each row is in a file: of the month that was written too soon it is the second one that has all.
    let counts = trail.iter().map(|path| {
        let report = check_archive(path, &bailiwick::audit::TrustedKeys::default()).unwrap();
        assert_eq!(report.findings.fault_count, 0, "{path:?}: {:#?}", report.findings);
        report.counts.rows
    });
    assert_eq!(counts.collect::<Vec<_>>(), [10, 10, 1, 1, 11]);
    let costs = files(folder.path(), "cost_tracking").iter().map(|path| lines(path).len()).collect::<Vec<_>>();
    assert_eq!(costs, [10, 11, 1, 1]);
    let found = bailiwick::audit::verify(&client, &bailiwick::audit::Expectations::default()).await.unwrap();
    assert!(found.is_sound(), "{:#?}", found.findings);
    assert!(house.pass(&client).await.unwrap().is_idle());
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
