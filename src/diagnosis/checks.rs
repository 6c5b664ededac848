use super::{Finding, Severity};

/// A check of the database.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Stable name, that of its statement.
    pub name: &'static str,
    /// How bad what it finds is.
    pub severity: Severity,
    /// What to do about it.
    pub remedy: &'static str,
    /// Returns subject and detail of each fault.
    pub(super) sql: &'static str,
}

/// Checks that ask what others' sessions do, which not every role is told: it gets rows of NULLs, in which nothing is found.
pub(super) const OF_OTHERS: [&str; 1] = ["long_transactions"];

impl Check {
    pub(super) fn finding(&self, subject: String, detail: String) -> Finding {
        Finding { check: self.name, severity: self.severity, subject, detail, remedy: self.remedy.to_owned() }
    }
}

macro_rules! checks {
    ($($name:literal in $file:literal, $severity:ident: $remedy:expr;)*) => {
        &[$(Check {
            name: $name,
            severity: Severity::$severity,
            remedy: $remedy,
            sql: include_str!($file),
        }),*]
    };
}

/// What has been changed by hand is put back by hand.
pub(super) const SCHEMA: &str =
    "somebody changed the schema by hand: put back what sql/init.sql says, and find out since when";
const MAINTAIN: &str =
    "`bailiwick maintain` does it; if it comes back, no server with an administrator's connection is running";

/// Every check, isolation first.
pub const CHECKS: &[Check] = checks! {
    "forced_isolation" in "../../sql/queries/diagnosis/forced_isolation.sql", Fault: SCHEMA;
    "isolating_policy" in "../../sql/queries/diagnosis/isolating_policy.sql", Fault: SCHEMA;
    "foreign_policies" in "../../sql/queries/diagnosis/foreign_policies.sql", Fault: "drop the policy: tenants are kept apart by tenant_isolation_policy alone";
    "open_partitions" in "../../sql/queries/diagnosis/open_partitions.sql", Fault: "REVOKE ALL on the partition FROM bailiwick_app: it goes through the table, whose policies hold";
    "tenants_in_keys" in "../../sql/queries/diagnosis/tenants_in_keys.sql", Fault: "drop the index or key, or make it anew with tenant_id in front";
    "open_views" in "../../sql/queries/diagnosis/open_views.sql", Fault: "make the view WITH (security_invoker = true), or take the application's right to it away";
    "application_powers" in "../../sql/queries/diagnosis/application_powers.sql", Fault: "take it from bailiwick_app (ALTER ROLE, REVOKE): what it may do is in sql/init.sql";
    "application_access" in "../../sql/queries/diagnosis/application_access.sql", Fault: "no server can start or write: ALTER ROLE bailiwick_app LOGIN CONNECTION LIMIT -1 VALID UNTIL 'infinity'; GRANT CONNECT ON DATABASE … TO bailiwick_app; ALTER SYSTEM RESET the setting";
    "definer_functions" in "../../sql/queries/diagnosis/definer_functions.sql", Fault: SCHEMA;
    "owning_roles" in "../../sql/queries/diagnosis/owning_roles.sql", Fault: "ALTER ROLE … NOLOGIN NOSUPERUSER NOBYPASSRLS; REVOKE or GRANT … WITH INHERIT FALSE what is inherited";
    "role_settings" in "../../sql/queries/diagnosis/role_settings.sql", Fault: "ALTER ROLE … RESET it: the program sets a tenant's context itself, for each call";
    "disabled_triggers" in "../../sql/queries/diagnosis/disabled_triggers.sql", Fault: "ALTER TABLE … ENABLE TRIGGER it, then `bailiwick maintain --rebuild`: what was written meanwhile was not indexed or counted";
    "unlogged_tables" in "../../sql/queries/diagnosis/unlogged_tables.sql", Fault: "ALTER TABLE … SET LOGGED";
    "durability" in "../../sql/queries/diagnosis/durability.sql", Fault: "switch it on: a call's row in the trail must outlive a crash";
    "extensions" in "../../sql/queries/diagnosis/extensions.sql", Warning: "CREATE EXTENSION, or install the newer package and ALTER EXTENSION … UPDATE";
    "months_ahead" in "../../sql/queries/diagnosis/months_ahead.sql", Fault: MAINTAIN;
    "invalid_indexes" in "../../sql/queries/diagnosis/invalid_indexes.sql", Fault: "DROP INDEX it and make it anew; a tenant's vector index `bailiwick maintain` makes anew by itself";
    "collations" in "../../sql/queries/diagnosis/collations.sql", Fault: "REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION";
    "transaction_ids" in "../../sql/queries/diagnosis/transaction_ids.sql", Fault: "VACUUM (FREEZE) the oldest tables, and see what holds cleaning up: long transactions, replication slots";
    "cost_sums" in "../../sql/queries/diagnosis/cost_sums.sql", Fault: "somebody wrote to cost_tracking, cost_sums or cost_kinds by hand, and reports of those days are wrong: take it back; what budgets went by is in budget_ledger";
    "open_calls" in "../../sql/queries/diagnosis/open_calls.sql", Fault: "start a server: every server closes calls of dead ones within half a minute";
    "archiving" in "../../sql/queries/diagnosis/archiving.sql", Fault: "see the server's log for what archive_command says; until it works write-ahead log fills the disk";
    "replication_slots" in "../../sql/queries/diagnosis/replication_slots.sql", Fault: "start its replica, or SELECT pg_drop_replication_slot(…)";
    "restore_remains" in "../../sql/queries/diagnosis/restore_remains.sql", Warning: "DROP DATABASE it; the next restore of this database does so by itself";
    "vector_indexes" in "../../sql/queries/diagnosis/vector_indexes.sql", Warning: MAINTAIN;
    "postings_backlog" in "../../sql/queries/diagnosis/postings_backlog.sql", Warning: MAINTAIN;
    "waiting_alerts" in "../../sql/queries/diagnosis/waiting_alerts.sql", Warning: "see a server's log for what the webhook answers; alerts need a running server";
    "connections" in "../../sql/queries/diagnosis/connections.sql", Warning: "raise max_connections, or give servers fewer (--max-connections), or put a pooler between";
    "long_transactions" in "../../sql/queries/diagnosis/long_transactions.sql", Warning: "find out what it does, else SELECT pg_terminate_backend(pid)";
    "prepared_transactions" in "../../sql/queries/diagnosis/prepared_transactions.sql", Warning: "COMMIT PREPARED or ROLLBACK PREPARED it, as whoever prepared it says";
    "autovacuum" in "../../sql/queries/diagnosis/autovacuum.sql", Warning: "switch it on";
    "dead_rows" in "../../sql/queries/diagnosis/dead_rows.sql", Warning: "VACUUM the table; if it comes back, let autovacuum come more often (autovacuum_vacuum_scale_factor)";
    "cache_hits" in "../../sql/queries/diagnosis/cache_hits.sql", Warning: "raise shared_buffers, to a quarter of the memory, or give the machine more; SELECT pg_stat_reset() has it counted anew";
    "huge_pages" in "../../sql/queries/diagnosis/huge_pages.sql", Note: "where the machine is yours and runs Linux, reserve them (`sysctl vm.nr_hugepages=…` with the number that `SHOW shared_memory_size_in_huge_pages` says, and in /etc/sysctl.d) and start PostgreSQL again";
    "unused_indexes" in "../../sql/queries/diagnosis/unused_indexes.sql", Note: "no migration makes it: if nobody knows what for, drop it, for every write pays for it";
};
