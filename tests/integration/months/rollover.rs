//! A month ends while calls are under way.

use crate::harness::TestDatabase;

use super::load::{Load, assert_books, seconds};

/// The database's clock cannot be moved, so the months' bound is: it lies some seconds from now.
#[tokio::test]
async fn a_month_ends_under_calls_and_none_fails_or_waits() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await;
    // Time enough for a loaded machine to have some calls before it, too.
    let bound: String =
        database.value(&format!("SELECT (now() + interval '{} seconds')::text", seconds() / 2 + 6)).await;
    for table in ["audit_logs", "cost_tracking"] {
        database
            .execute(&format!(
                "SET ROLE bailiwick_owner; SELECT drop_month_partitions('{table}', '2999-01-01');
                 CREATE TABLE {table}_before PARTITION OF {table} FOR VALUES FROM ('2000-01-01') TO ('{bound}');
                 CREATE TABLE {table}_after PARTITION OF {table} FOR VALUES FROM ('{bound}') TO ('2100-01-01')"
            ))
            .await;
    }
    let load = Load::start(&database, &demo).await;
    let mut month = 0;
    while database
        .value::<bool>(&format!("SELECT now() < timestamptz '{bound}' + interval '{} seconds'", seconds() / 2))
        .await
    {
        // Months ahead are made meanwhile.
        month += 1;
        let made = database
            .connect_admin()
            .await
            .query_one(
                "SELECT maintain_partitions(0, (date '2150-01-01' + make_interval(months => $1))::date)",
                &[&month],
            )
            .await;
        // It gives way to calls rather than keep them waiting, and is tried again.
        assert!(made.as_ref().is_ok_and(|row| row.get::<_, i32>(0) == 2) || made.is_err(), "{made:?}");
        load.answered(5).await;
    }
    load.answered(30).await;
    let outcome = load.end().await;
    assert_books(&database, &outcome).await;
    for table in ["audit_logs", "cost_tracking"] {
        for side in ["before", "after"] {
            let rows = database.value::<i64>(&format!("SELECT count(*) FROM {table}_{side}")).await;
            assert!(rows > 5, "{rows} rows in {table}_{side}");
        }
        assert_eq!(database.value::<i64>(&format!("SELECT count(*) FROM {table}_default")).await, 0);
    }
    assert!(database.value::<i64>("SELECT count(*) FROM month_partitions('audit_logs', '2999-01-01')").await > 0);
}
