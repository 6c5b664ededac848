use std::collections::BTreeMap;

use crate::harness::TestDatabase;

/// Number and checksum of each tenant's rows in each tenant table, by table and tenant. Tables come from the catalog, so a new one is
/// looked at by itself.
pub type Sums = BTreeMap<(String, String), String>;

pub async fn sums(database: &TestDatabase) -> Sums {
    let client = database.connect_admin().await;
    let tables = "SELECT c.relname::text, CASE c.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END
                  FROM pg_class c
                  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                    AND (c.relname = 'tenants' OR EXISTS (
                        SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))";
    let mut sums = Sums::new();
    for table in client.query(tables, &[]).await.unwrap() {
        let (table, column): (String, String) = (table.get(0), table.get(1));
        let sql = format!(
            "SELECT {column}::text, count(*) || ' rows, ' || md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM {table} AS t GROUP BY 1"
        );
        for row in client.query(&sql, &[]).await.unwrap() {
            sums.insert((table.clone(), row.get(0)), row.get(1));
        }
    }
    sums
}

/// What stays of a tenant that was purged.
const KEPT: [&str; 5] = ["audit_logs", "cost_tracking", "cost_kinds", "cost_sums", "budget_ledger"];

/// What a purge did wrong: rows of the tenant that are still there, and others that are not as they were.
pub fn faults(before: &Sums, after: &Sums, purged: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (place, sum) in before {
        let (table, tenant) = place;
        let is_kept = tenant != purged || KEPT.contains(&table.as_str());
        // The trail gets a row more, which tells of the purge.
        let grows = tenant == purged && table == "audit_logs";
        match after.get(place) {
            Some(_) if !is_kept => faults.push(format!("{table} has rows of {tenant}")),
            Some(found) if is_kept && !grows && found != sum => faults.push(format!("{table} of {tenant} was changed")),
            None if is_kept => faults.push(format!("{table} has no rows of {tenant} any more")),
            _ => {}
        }
    }
    let new = after.keys().filter(|place| !before.contains_key(*place));
    faults.extend(new.map(|(table, tenant)| format!("{table} has new rows of {tenant}")));
    faults
}
