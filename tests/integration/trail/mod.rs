//! Reading the audit trail: what passes, in which order, and whose.

mod commands;
mod filters;
mod isolation;
mod paging;
mod refusals;

use bailiwick::identity::Scopes;
use serde_json::{Value, json};

use crate::harness::{Session, Tenant, TestDatabase};

/// When the planted calls began; each lasted less than a second.
const PLANTED_FROM: &str = "2026-01-20T00:00:00Z";
const PLANTED_TO: &str = "2026-02-20T00:00:00Z";

/// A database whose two tenants have planted trails, and a client of the first.
async fn planted(rows: usize) -> (TestDatabase, Tenant, Session) {
    let database = TestDatabase::create().await;
    for slug in ["demo", "enterprise"] {
        let tenant = database.tenant(slug).await;
        plant(&database, &tenant, rows).await;
    }
    let demo = database.tenant("demo").await;
    let session = Session::open(&database, &demo).await;
    (database, demo, session)
}

/// Calls of every kind, many of them completed at the same instant. Every tenth call has its id in both tenants.
async fn plant(database: &TestDatabase, tenant: &Tenant, rows: usize) {
    database
        .execute(&format!(
            "SELECT setseed(0.25), create_month_partition('audit_logs', '2026-02-01');
             INSERT INTO audit_logs (timestamp, completed_at, tenant_id, user_id, call_id, action, resource, resource_id, details, outcome,
                                     success, error_message, ip_address, user_agent, duration_ms)
             SELECT at, at + interval '0.5 seconds', '{id}', '{slug}-' || (random() * 3)::int,
                    CASE WHEN n % 10 = 0 THEN md5(n::text)::uuid ELSE md5('{slug}' || n)::uuid END,
                    (ARRAY['search', 'insert', 'update', 'delete', 'read', 'report', 'record', 'unknown'])[1 + n % 8],
                    'tools/' || (ARRAY['hybrid_search', 'insert_document', 'cost_report'])[1 + n % 3],
                    CASE WHEN n % 4 = 0 THEN gen_random_uuid() END,
                    jsonb_build_object('n', n, 'fill', repeat('x', CASE WHEN n % 50 = 7 THEN 3000 ELSE n % 20 END)), outcome, outcome = 'ok',
                    CASE WHEN outcome <> 'ok' THEN 'code_of_' || outcome END, CASE WHEN n % 5 = 0 THEN '192.0.2.7'::inet END,
                    CASE WHEN n % 7 = 0 THEN '=HYPERLINK(\"x\",\"y\")' WHEN n % 7 = 1 THEN NULL ELSE 'client, \"quoted\"/1' END,
                    CASE WHEN n % 9 > 0 THEN n END
             FROM (SELECT n, '{PLANTED_FROM}'::timestamptz + (random() * 300)::int * interval '2 hours' AS at,
                          (ARRAY['ok', 'ok', 'ok', 'error', 'denied', 'cancelled', 'timeout', 'panic', 'interrupted'])[1 + (random() * 8)::int] AS outcome
                   FROM generate_series(1, {rows}) n ORDER BY random()) AS planted",
            id = tenant.id,
            slug = tenant.slug,
        ))
        .await;
}

/// Call ids that a superuser finds, newest first.
async fn oracle(database: &TestDatabase, tenant: &Tenant, condition: &str) -> Vec<String> {
    let sql = format!(
        "SELECT coalesce(array_agg(call_id::text ORDER BY completed_at DESC, id DESC), '{{}}') FROM audit_logs WHERE tenant_id = '{}' AND ({condition})",
        tenant.id
    );
    database.value(&sql).await
}

/// Every page of an answer, each by the cursor of the one before.
async fn pages(session: &Session, filters: &Value, limit: usize) -> Vec<Value> {
    let mut arguments = filters.clone();
    arguments["limit"] = json!(limit);
    let mut pages = Vec::new();
    loop {
        let page = session.ok("search_audit_log", arguments.clone()).await;
        assert!(page["rows"].as_array().unwrap().len() <= limit);
        let next = page["next_cursor"].clone();
        pages.push(page);
        if next.is_null() {
            return pages;
        }
        arguments["cursor"] = next;
    }
}

fn rows(pages: &[Value]) -> Vec<&Value> {
    pages.iter().flat_map(|page| page["rows"].as_array().unwrap()).collect()
}

fn ids(pages: &[Value]) -> Vec<String> {
    rows(pages).into_iter().map(|row| row["call_id"].as_str().unwrap().to_owned()).collect()
}

async fn session_of(database: &TestDatabase, tenant: &Tenant, scopes: Scopes) -> Session {
    Session::open_with(database, tenant, scopes, &database.call_options()).await
}
