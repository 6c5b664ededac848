//! What waits for upkeep is told by servers that do none of it.

use reqwest::Client;

use super::served::Served;
use crate::harness::{TestDatabase, until};

/// The value of the one series of that name and with that label, if it is a number.
async fn told(served: &Served, name: &str, label: &str) -> Option<f64> {
    let text = Client::new().get(&served.figures).send().await.unwrap().text().await.unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
    let (line, more) = (lines.next()?, lines.next());
    assert!(more.is_none(), "{line} {more:?}");
    Some(line.rsplit(' ').next()?.parse().unwrap())
}

#[tokio::test]
async fn a_server_without_an_administrators_connection_tells_what_nobody_looks_after() {
    let database = TestDatabase::create().await;
    // No BAILIWICK_ADMIN_DATABASE_URL, as docs/security.md recommends.
    let served = Served::start(&database).await;
    let name = format!("database=\"{}@", database.name());
    let lag = async || told(&served, "bailiwick_audit_lag_seconds", &name).await;
    until("it looks", async || lag().await == Some(0.0)).await;
    assert_eq!(told(&served, "bailiwick_months_ahead", &name).await, Some(3.0));
    assert_eq!(told(&served, "bailiwick_maintenance_unmerged_chunks", &name).await, Some(0.0));

    let demo = database.tenant("demo").await.id;
    let enterprise = database.tenant("enterprise").await.id;
    database
        .execute(&format!(
            "INSERT INTO audit_logs (\"timestamp\", completed_at, tenant_id, user_id, call_id, action, outcome, success)
             SELECT now() - make_interval(hours => n), now() - make_interval(hours => n), '{demo}', 'u', gen_random_uuid(), 'search', 'ok', true
             FROM unnest(ARRAY[3, 2, 1]) AS n;
             INSERT INTO audit_logs (\"timestamp\", tenant_id, user_id, call_id, action, outcome, success)
             VALUES ('2130-06-15', '{demo}', 'u', gen_random_uuid(), 'search', 'ok', true), ('1999-06-15', '{enterprise}', 'u', gen_random_uuid(), 'search', 'ok', true);
             DO $$ DECLARE v_tenant uuid; BEGIN
                 FOREACH v_tenant IN ARRAY ARRAY['{demo}', '{enterprise}']::uuid[] LOOP
                     PERFORM set_config('app.current_tenant_id', v_tenant::text, true);
                     INSERT INTO documents (tenant_id, title, content) SELECT v_tenant, 'n' || n, 'word number ' || n FROM generate_series(1, 20) AS n;
                 END LOOP;
                 EXECUTE format('ALTER TABLE cost_tracking_%s RENAME TO away', to_char((now() AT TIME ZONE 'UTC') + interval '3 months', 'YYYY_MM'));
             END $$"
        ))
        .await;
    // Of both tenants together.
    until("it sees what waits", async || lag().await.is_some_and(|lag| (10_800.0..11_400.0).contains(&lag))).await;
    assert_eq!(told(&served, "bailiwick_maintenance_unmerged_chunks", &name).await, Some(40.0));
    assert_eq!(told(&served, "bailiwick_stray_rows", "table=\"audit_logs\"").await, Some(2.0));
    assert_eq!(told(&served, "bailiwick_stray_rows", "table=\"cost_tracking\"").await, Some(0.0));
    assert_eq!(told(&served, "bailiwick_months_ahead", &name).await, Some(2.0));

    // What is not seen is no number, rather than the last one.
    database.execute("REVOKE EXECUTE ON FUNCTION upkeep_backlog() FROM bailiwick_app").await;
    until("it is blind", async || lag().await.is_some_and(f64::is_nan)).await;
    assert!(told(&served, "bailiwick_months_ahead", &name).await.is_some_and(f64::is_nan));
    database.execute("GRANT EXECUTE ON FUNCTION upkeep_backlog() TO bailiwick_app").await;
    until("it sees again", async || lag().await.is_some_and(|lag| lag > 10_800.0)).await;
    assert_eq!(served.finish().await.0, Some(0));
}

/// A week without seals is as quick to look at as none: every server looks every ten seconds.
#[tokio::test]
async fn however_much_waits_little_of_it_is_read() {
    let database = TestDatabase::create().await;
    let demo = database.tenant("demo").await.id;
    database
        .execute(&format!(
            "INSERT INTO audit_logs (\"timestamp\", completed_at, tenant_id, user_id, call_id, action, outcome, success)
             SELECT now() - n * interval '1 second', now() - interval '1 day' + n * interval '1 second', '{demo}', 'u', gen_random_uuid(), 'search', 'ok', true
             FROM generate_series(1, 30000) AS n"
        ))
        .await;
    database.execute("ANALYZE audit_logs").await;
    let client = database.connect_admin().await;
    client.batch_execute("SET ROLE bailiwick_statistics").await.unwrap();
    let body: String =
        client.query_one("SELECT prosrc FROM pg_proc WHERE proname = 'upkeep_backlog'", &[]).await.unwrap().get(0);
    let plan: serde_json::Value = client
        .query_one(&format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {body}"), &[])
        .await
        .unwrap()
        .get(0);
    // 30,000 rows are some 600 blocks.
    let blocks = plan[0]["Plan"]["Shared Hit Blocks"].as_i64().unwrap()
        + plan[0]["Plan"]["Shared Read Blocks"].as_i64().unwrap();
    assert!(blocks < 150, "{blocks} blocks: {plan:#}");
    let lag: f64 = client.query_one(&body, &[]).await.unwrap().get(0);
    assert!((86_000.0..87_000.0).contains(&lag), "{lag}");
}
