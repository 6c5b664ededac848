//! What is in a database and no dump brings back to the letter.

use serde_json::json;

use super::{backup, bailiwick, both, refused, remains, told};
use crate::harness::TestDatabase;

/// As a build leaves it that was broken off, and as one looks that is under way.
#[tokio::test]
async fn an_index_that_is_not_valid_is_no_part_of_a_backup() {
    let (database, other) = (TestDatabase::create().await, TestDatabase::bare().await);
    database
        .execute(
            "CREATE INDEX broken_off ON documents (source); CREATE INDEX under_way ON documents (title);
             SET allow_system_table_mods = on;
             UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken_off'::regclass;
             UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = 'under_way'::regclass",
        )
        .await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let restored = told(&database, &["restore", "--json", "--into", other.name(), &file]).await;
    assert_eq!((&restored["equal"], &restored["restore"]["in_place"]), (&json!(true), &json!(true)), "{restored}");
    assert!(other.value::<bool>("SELECT to_regclass('broken_off') IS NULL").await);
}

/// PostgreSQL prints a list of varchars in other words when it has read its own.
#[tokio::test]
async fn a_definition_that_is_printed_in_other_words_is_told_and_accepted_if_that_was_asked_for() {
    let (database, other) = (TestDatabase::create().await, TestDatabase::bare().await);
    database
        .execute(
            "CREATE TABLE operators_own (kind varchar(9) CONSTRAINT kinds CHECK (kind IN ('a', 'b')));
             GRANT SELECT ON operators_own TO bailiwick_backup;
             ALTER TABLE operators_own ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own_kinds ON operators_own TO bailiwick_backup USING (kind IN ('a', 'b'));
             CREATE FUNCTION is_kind(kind varchar) RETURNS boolean LANGUAGE sql BEGIN ATOMIC SELECT kind IN ('a', 'b'); END;
             CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER look BEFORE UPDATE OF kind ON operators_own FOR EACH ROW WHEN (NEW.kind IN ('a', 'b')) EXECUTE FUNCTION look()",
        )
        .await;
    let reprinted = [
        "constraint operators_own.kinds",
        "policy text operators_own.own_kinds",
        "function text is_kind(character varying)",
        "trigger text operators_own.look",
    ];
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let into = ["restore", "--into", other.name(), file.as_str()];
    let said = refused(&database, &into).await;
    for object in reprinted {
        assert!(said.contains(&format!("{object} is not as it was")), "{object}: {said}");
    }
    assert!(said.contains("not put in place") && said.contains("--accept-definitions"), "{said}");
    assert_eq!(remains(&other).await, [""; 0]);
    let output = bailiwick(&database, &[&into[..], &["--accept-definitions"]].concat()).await;
    let said = both(&output);
    assert!(output.status.success() && reprinted.iter().all(|object| said.contains(object)), "{said}");
    assert!(other.value::<bool>("SELECT to_regclass('operators_own') IS NOT NULL").await);

    // Nothing else is: who may do what is no matter of words, nor is what keeps tenants apart.
    let file = folder.path().join("second").display().to_string();
    told(&database, &["backup", "--json", &file]).await;
    let forged = folder.path().join("forged").display().to_string();
    let guards = [
        "grants operators_own",
        "policy operators_own.own_kinds",
        "policy documents.tenant_isolation_policy",
        "function is_kind(character varying)",
        "trigger operators_own.look",
    ];
    super::planted::forged(&file, &forged, |manifest| {
        for object in guards {
            assert!(manifest["objects"][object].is_string(), "{object}");
            manifest["objects"][object] = json!("0");
        }
    });
    let said =
        refused(&database, &["restore", "--replace", "--accept-definitions", "--into", other.name(), &forged]).await;
    for object in guards {
        assert!(said.contains(&format!("{object} is not as it was")), "{object}: {said}");
    }
    assert!(said.contains("not put in place"), "{said}");
}
