use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::seed::Tenants;
use crate::harness::TestDatabase;

/// A tenant table and one row of the victim's, ready to be planted again.
#[derive(Debug)]
pub struct Target {
    pub table: String,
    pub tenant_column: String,
    /// Columns that can be written.
    columns: String,
    /// The victim's row as JSON.
    row: String,
    partitions: Vec<String>,
}

impl Target {
    /// Every tenant table of the catalog.
    pub async fn all(database: &TestDatabase, tenants: &Tenants) -> Vec<Self> {
        let client = database.connect_admin().await;
        let sql = "SELECT c.relname::text, CASE c.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END,
                          (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
                          ARRAY(SELECT i.inhrelid::regclass::text FROM pg_inherits i WHERE i.inhparent = c.oid ORDER BY 1)
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                     AND (c.relname = 'tenants' OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'))
                   ORDER BY 1";
        let mut targets = Vec::new();
        for found in client.query(sql, &[]).await.unwrap() {
            let (table, tenant_column): (String, String) = (found.get(0), found.get(1));
            let row =
                format!("SELECT to_jsonb(t)::text FROM {table} t WHERE {tenant_column} = '{}' LIMIT 1", tenants.victim);
            let row = client.query_one(&row, &[]).await.unwrap().get(0);
            targets.push(Self { table, tenant_column, columns: found.get(2), row, partitions: found.get(3) });
        }
        targets
    }

    /// Kinds of statements, each of which must touch no row; `own` is the context's tenant, if it is one.
    fn attacks(&self, victim: &str, own: Option<&str>) -> Vec<(&'static str, String)> {
        let Self { table, tenant_column, columns, row, .. } = self;
        let row = row.replace('\'', "''");
        let insert = format!(
            "INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{table}, '{row}')"
        );
        let foreign = match own {
            Some(own) => format!("{tenant_column} <> '{own}'"),
            None => "true".to_owned(),
        };
        let mut attacks = vec![
            ("select", format!("SELECT 1 FROM {table} WHERE {foreign}")),
            ("select by id", format!("SELECT 1 FROM {table} WHERE {tenant_column} = '{victim}'")),
            ("select for update", format!("SELECT 1 FROM {table} WHERE {tenant_column} = '{victim}' FOR UPDATE")),
            (
                "update",
                format!(
                    "UPDATE {table} SET {tenant_column} = {tenant_column} WHERE {tenant_column} = '{victim}' RETURNING 1"
                ),
            ),
            ("update all", format!("UPDATE {table} SET {tenant_column} = {tenant_column} WHERE {foreign} RETURNING 1")),
            ("delete", format!("DELETE FROM {table} WHERE {tenant_column} = '{victim}' RETURNING 1")),
            ("insert", format!("{insert} RETURNING 1")),
            ("upsert", format!("{insert} ON CONFLICT DO NOTHING")),
            ("truncate", format!("TRUNCATE {table} CASCADE")),
            (
                "join",
                format!(
                    "SELECT 1 FROM {table} a JOIN {table} b ON a.{tenant_column} = b.{tenant_column} WHERE a.{tenant_column} = '{victim}'"
                ),
            ),
        ];
        if let Some(own) = own {
            attacks.push((
                "steal",
                format!("UPDATE {table} SET {tenant_column} = '{own}' WHERE {tenant_column} = '{victim}' RETURNING 1"),
            ));
            attacks.push((
                "push",
                format!("UPDATE {table} SET {tenant_column} = '{victim}' WHERE {tenant_column} = '{own}' RETURNING 1"),
            ));
        }
        attacks.extend(
            self.partitions.iter().map(|partition| ("select from a partition", format!("SELECT 1 FROM {partition}"))),
        );
        attacks
    }

    /// What the victim's rows are, as a superuser sees them.
    async fn fingerprint(&self, admin: &Client, victim: &str) -> Option<String> {
        let Self { table, tenant_column, .. } = self;
        let sql = format!(
            "SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM {table} t WHERE {tenant_column} = '{victim}'"
        );
        admin.query_one(&sql, &[]).await.unwrap().get(0)
    }
}

/// Every way in which a statement reached the victim's rows.
pub async fn violations(database: &TestDatabase, tenants: &Tenants, targets: &[Target]) -> Vec<String> {
    let (admin, app) = (database.connect_admin().await, database.connect_app().await);
    let nobody = "00000000-0000-4000-8000-000000000000";
    let set = |value: &str| format!("SET LOCAL app.current_tenant_id = '{value}'");
    // On one session, in this order: the first has never had a context, the later ones had one.
    let contexts = [
        ("never set", String::new(), None),
        ("another tenant", set(&tenants.attacker), Some(tenants.attacker.as_str())),
        ("after a context", String::new(), None),
        ("empty", set(""), None),
        ("garbage", set("garbage"), None),
        ("nobody", set(nobody), Some(nobody)),
        ("deleted tenant", set(&tenants.deleted), Some(tenants.deleted.as_str())),
        (
            "self-made admin",
            format!("{}; SET LOCAL app.current_user_role = 'admin'", set(&tenants.attacker)),
            Some(tenants.attacker.as_str()),
        ),
        ("admin without context", "SET LOCAL app.current_user_role = 'admin'".to_owned(), None),
    ];
    let mut found = Vec::new();
    for target in targets {
        let before = target.fingerprint(&admin, &tenants.victim).await;
        for (context, set, own) in &contexts {
            for (attack, sql) in target.attacks(&tenants.victim, *own) {
                app.batch_execute(&format!("BEGIN; {set}")).await.unwrap();
                let outcome = app.query(sql.as_str(), &[]).await;
                let committed = app.batch_execute("COMMIT").await;
                committed.unwrap();
                match outcome {
                    Ok(rows) if rows.is_empty() => {
                        // Nothing may be written in silence either: an insert must be refused aloud.
                        if matches!(attack, "insert" | "upsert") {
                            found.push(format!("{}: {attack}, {context}: accepted", target.table));
                        }
                    }
                    Ok(rows) => found.push(format!("{}: {attack}, {context}: {} rows", target.table, rows.len())),
                    Err(error) => {
                        let allowed = [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::INVALID_TEXT_REPRESENTATION];
                        if !error.code().is_some_and(|code| allowed.contains(code)) {
                            found.push(format!("{}: {attack}, {context}: stopped by {error:?} alone", target.table));
                        }
                    }
                }
            }
        }
        if target.fingerprint(&admin, &tenants.victim).await != before {
            found.push(format!("{}: the victim's rows changed", target.table));
        }
    }
    found
}
