//! The cross-tenant matrix: each tenant table × each kind of statement × each context but the owner's, as the
//! application's role. Tables come from the catalog, so a new one is in the matrix by itself.

mod attacks;
pub mod seed;

use crate::harness::TestDatabase;
use attacks::{Target, violations};

#[tokio::test]
async fn no_statement_in_any_other_context_reaches_a_tenants_rows() {
    let database = TestDatabase::create().await;
    let tenants = seed::seed(&database).await;
    let targets = Target::all(&database, &tenants).await;
    assert!(targets.len() >= 13, "{targets:?}");
    assert_eq!(violations(&database, &tenants, &targets).await, [""; 0]);
}

#[tokio::test]
async fn every_tenant_table_has_rows_of_both_tenants_to_be_attacked() {
    let database = TestDatabase::create().await;
    let tenants = seed::seed(&database).await;
    for target in Target::all(&database, &tenants).await {
        for id in [&tenants.victim, &tenants.attacker] {
            let sql = format!("SELECT count(*) FROM {} WHERE {} = '{id}'", target.table, target.tenant_column);
            assert!(database.value::<i64>(&sql).await > 0, "{} has no row of {id}: extend the seed", target.table);
        }
    }
}

#[tokio::test]
async fn the_matrix_bites() {
    for (fault, expected) in [
        ("ALTER TABLE documents DISABLE ROW LEVEL SECURITY", "documents"),
        ("CREATE POLICY open ON api_keys USING (true); GRANT SELECT ON api_keys TO bailiwick_app", "api_keys"),
        ("ALTER POLICY tenant_isolation_policy ON cost_tracking WITH CHECK (true)", "cost_tracking"),
        (
            "ALTER POLICY tenant_isolation_policy ON tenant_usage USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid OR current_setting('app.current_user_role', true) = 'admin')",
            "tenant_usage",
        ),
        (
            "DO $$ DECLARE p regclass; BEGIN FOR p IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'audit_logs'::regclass LOOP
                EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY; GRANT SELECT ON %s TO bailiwick_app', p, p); END LOOP; END $$",
            "audit_logs",
        ),
    ] {
        let database = TestDatabase::create().await;
        let tenants = seed::seed(&database).await;
        let targets = Target::all(&database, &tenants).await;
        database.execute(fault).await;
        let found = violations(&database, &tenants, &targets).await;
        assert!(found.iter().any(|violation| violation.starts_with(expected)), "{fault}: {found:?}");
    }
}
