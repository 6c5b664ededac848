//! `bailiwick doctor`: nothing on a healthy database, and each planted fault by its check.

mod command;
mod embedder;
mod objects;
mod obstacles;
mod planted;
mod server;
mod statements;

use std::collections::BTreeSet;

use bailiwick::diagnosis::{self, CHECKS, Finding, Severity, Surroundings};
use tokio_postgres::Client;

use crate::harness::TestDatabase;

const OWN_REMAINS: &str = "SELECT 'bailiwick_restoring_' || encode(substr(sha256(convert_to(current_database()::text, 'UTF8')), 1, 4), 'hex')";

/// What is found, as on the program's own PostgreSQL, but for that server's age.
async fn found(client: &Client) -> Vec<Finding> {
    let surroundings = Surroundings { is_embedded: true, ..Surroundings::default() };
    let mut findings = diagnosis::examine(client, &surroundings).await.unwrap().findings;
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
    // A role that administrates without being told what others do says so, and finds nothing else.
    client.batch_execute("SET ROLE bailiwick_maintenance").await.unwrap();
    let told: Vec<_> = found(&client).await.into_iter().map(|finding| (finding.check, finding.detail)).collect();
    assert_eq!(told.iter().map(|(check, _)| *check).collect::<Vec<_>>(), UNSEEN, "{told:?}");
    assert!(told.iter().all(|(_, detail)| detail.contains("GRANT pg_monitor")), "{told:?}");
}

/// What only who sees everybody's statistics can look at.
const UNSEEN: [&str; 2] = ["slow_statements", "long_transactions"];

#[tokio::test]
async fn each_planted_fault_is_found() {
    let (_database, client) = examined().await;
    // Some builds of PostgreSQL know no versions of the system's collations.
    let versions = "SELECT pg_database_collation_actual_version(oid) IS NOT NULL FROM pg_database WHERE datname = current_database()";
    let has_versions: bool = client.query_one(versions, &[]).await.unwrap().get(0);
    for planted::Fault { plant, found_by } in planted::FAULTS {
        if *found_by == "collations" && !has_versions {
            continue;
        }
        // Who upkeep runs as finds the same, but for what a temporary table of another's tells.
        for role in ["", "; SET LOCAL ROLE bailiwick_maintenance"] {
            if !role.is_empty() && plant.contains("TEMP TABLE") {
                continue;
            }
            let begin = format!("BEGIN; {plant}{role}");
            client.batch_execute(&begin).await.unwrap_or_else(|error| panic!("{plant}: {error:?}"));
            let mut findings = found(&client).await;
            client.batch_execute("ROLLBACK").await.unwrap();
            findings.retain(|finding| role.is_empty() || !UNSEEN.contains(&finding.check));
            assert!(findings.iter().any(|finding| finding.check == *found_by), "{plant}{role}: {findings:?}");
            // Each asks of every other, too, whether it could be asked.
            assert!(
                findings.iter().all(|finding| !finding.detail.starts_with("could not look")),
                "{plant}: {findings:?}"
            );
            assert!(findings.iter().all(|finding| !finding.subject.is_empty() && !finding.remedy.is_empty()));
        }
    }
    assert_eq!(found(&client).await, [], "every fault was rolled back");
}

#[test]
fn every_check_is_shown_to_bite() {
    let shown = planted::FAULTS.iter().map(|fault| fault.found_by);
    let shown: BTreeSet<_> = shown.chain(server::AT_ONCE).chain(server::IN_TIME).collect();
    let all: BTreeSet<_> = CHECKS.iter().map(|check| check.name).collect();
    assert_eq!(all.difference(&shown).collect::<Vec<_>>(), [&""; 0]);
}

/// Budget alerts wait for whoever is to be told, and wait no more once they were given up.
#[tokio::test]
async fn alerts_that_were_given_up_wait_no_more() {
    let (_database, client) = examined().await;
    client
        .batch_execute(
            "BEGIN; INSERT INTO budget_alerts (tenant_id, period, starts, level, limit_usd, spent_usd, raised_at, given_up_at)
             SELECT id, 'month', '2026-01-01', 'WARNING', 1, 1, now() - interval '2 hours', now() FROM tenants WHERE slug = 'demo'",
        )
        .await
        .unwrap();
    assert_eq!(found(&client).await, []);
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
