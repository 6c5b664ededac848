//! Invariants read from the catalog, and proof that each check bites.

mod checks;
mod distributable;
mod planted;

use std::collections::BTreeSet;

use tokio_postgres::Client;

use crate::harness::TestDatabase;

/// Names of the checks that find a fault, with what they say.
pub async fn faults(client: &Client) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for (name, sql) in checks::CHECKS {
        for row in client.query(*sql, &[]).await.unwrap_or_else(|error| panic!("{name}: {error:?}")) {
            found.push((*name, row.get(0)));
        }
    }
    found
}

#[tokio::test]
async fn the_schema_has_no_fault() {
    let database = TestDatabase::create().await;
    assert_eq!(faults(&database.connect_admin().await).await, []);
}

#[tokio::test]
async fn a_database_that_was_migrated_where_it_stands_has_no_fault() {
    let database = TestDatabase::migrated_in_place().await;
    assert_eq!(faults(&database.connect_admin().await).await, []);
}

#[tokio::test]
async fn each_planted_fault_is_found_by_its_check() {
    let database = TestDatabase::create().await;
    let client = database.connect_admin().await;
    for planted::Fault { what, plant, found_by } in planted::FAULTS {
        client.batch_execute(&format!("BEGIN; {plant}")).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let names: BTreeSet<_> = faults(&client).await.into_iter().map(|(name, _)| name).collect();
        client.batch_execute("ROLLBACK").await.unwrap();
        assert!(names.contains(found_by), "{what}: wanted {found_by}, found {names:?}");
    }
    assert_eq!(faults(&client).await, [], "every fault was rolled back");
}

#[tokio::test]
async fn every_check_is_shown_to_bite() {
    let shown: BTreeSet<_> = planted::FAULTS.iter().map(|fault| fault.found_by).collect();
    let all: BTreeSet<_> = checks::CHECKS.iter().map(|(name, _)| *name).collect();
    assert_eq!(all.difference(&shown).collect::<Vec<_>>(), [&""; 0]);
}
