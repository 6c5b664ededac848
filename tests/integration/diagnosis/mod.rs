//! `bailiwick doctor`: nothing on a healthy database, and each planted fault by its check.

mod command;
mod embedder;
mod planted;

use std::collections::BTreeSet;

use bailiwick::diagnosis::{self, CHECKS, Finding, Severity, Surroundings};
use tokio_postgres::Client;

use crate::harness::TestDatabase;

const OWN_REMAINS: &str = "SELECT 'bailiwick_restoring_' || encode(substr(sha256(convert_to(current_database()::text, 'UTF8')), 1, 4), 'hex')";

/// What is found, as on the program's own PostgreSQL, but for that server's age.
async fn found(client: &Client) -> Vec<Finding> {
    let surroundings = Surroundings { is_embedded: true, ..Surroundings::default() };
    let mut findings = diagnosis::examine(client, &surroundings).await.unwrap();
    findings.retain(|finding| !(finding.check == "server_version" && finding.severity == Severity::Note));
    // Other tests of the same server kill restores.
    let of_this: String = client.query_one(OWN_REMAINS, &[]).await.unwrap().get(0);
    findings.retain(|finding| finding.check != "restore_remains" || finding.subject.starts_with(&of_this));
    findings
}

async fn examined() -> (TestDatabase, Client) {
    let database = TestDatabase::create().await;
    let client = database.connect_admin().await;
    client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await.unwrap();
    // Costs of several days, so that their sums are looked at: of all, and of a month that retention has dropped.
    client
        .batch_execute(
            "DO $costs$
             DECLARE v_tenant uuid;
             BEGIN
                 FOR v_tenant IN SELECT id FROM tenants LOOP
                     PERFORM set_config('app.current_tenant_id', v_tenant::text, true);
                     INSERT INTO cost_tracking (\"timestamp\", tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost)
                     SELECT date_trunc('month', now(), 'UTC') + n * interval '37 minutes', v_tenant, 'user' || n % 3, 'm', 'p', n, 1, 0.000000000001 * n, 0.1
                     FROM generate_series(1, 100) AS n;
                     INSERT INTO cost_sums SELECT s.tenant_id, s.grain, s.starts - interval '3 years', s.kind_id, 1, 0, 1, 0, 1, 1, 1 FROM cost_sums s
                     WHERE s.tenant_id = v_tenant AND s.grain <> 'user day';
                 END LOOP;
                 INSERT INTO cost_retention (rows_from) VALUES (date_trunc('month', now(), 'UTC'));
             END $costs$",
        )
        .await
        .unwrap();
    (database, client)
}

#[tokio::test]
async fn nothing_is_found_in_a_healthy_database() {
    let (_database, client) = examined().await;
    assert_eq!(found(&client).await, []);
}

#[tokio::test]
async fn each_planted_fault_is_found() {
    let (_database, client) = examined().await;
    for planted::Fault { plant, found_by } in planted::FAULTS {
        client.batch_execute(&format!("BEGIN; {plant}")).await.unwrap_or_else(|error| panic!("{plant}: {error:?}"));
        let findings = found(&client).await;
        client.batch_execute("ROLLBACK").await.unwrap();
        assert!(findings.iter().any(|finding| finding.check == *found_by), "{plant}: {findings:?}");
        // Each asks of every other, too, whether it could be asked.
        assert!(findings.iter().all(|finding| !finding.detail.starts_with("could not look")), "{plant}: {findings:?}");
        assert!(findings.iter().all(|finding| !finding.subject.is_empty() && !finding.remedy.is_empty()));
    }
    assert_eq!(found(&client).await, [], "every fault was rolled back");
}

#[test]
fn every_check_is_shown_to_bite() {
    let shown: BTreeSet<_> = planted::FAULTS.iter().map(|fault| fault.found_by).collect();
    let all: BTreeSet<_> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(all.difference(&shown).collect::<Vec<_>>(), [&""; 0]);
}

#[tokio::test]
async fn a_check_that_may_not_look_says_so() {
    let (_database, client) = examined().await;
    client.batch_execute("BEGIN; ALTER TABLE budget_alerts RENAME COLUMN raised_at TO raised").await.unwrap();
    let check = CHECKS.iter().find(|check| check.name == "waiting_alerts").unwrap();
    let findings = diagnosis::ask(&client, check).await.unwrap();
    client.batch_execute("ROLLBACK").await.unwrap();
    assert!(findings[0].detail.starts_with("could not look") && findings[0].check == "waiting_alerts", "{findings:?}");
}
