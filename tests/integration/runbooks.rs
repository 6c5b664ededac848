//! What the runbooks of docs/operations.md have a tired person paste, where it is not run with the page's other commands.

use std::path::Path;
use std::process::Command;

use bailiwick::audit::{Expectations, Keeping, Sealed, Sealer, known_heads, trusted_keys, verify};
use bailiwick::configuration::AuditArguments;

use crate::documentation::{Document, documents};
use crate::harness::{Lacking, TestDatabase, skip};
use crate::seals::PATIENCE;

fn page() -> Document {
    documents().into_iter().find(|(path, _)| path == "docs/operations.md").unwrap().1
}

/// The blocks that this file's tests run.
fn blocks() -> Vec<String> {
    let ours = |why: &String| why.contains("the test runbooks runs it");
    page().fences.into_iter().filter(|fence| fence.not_run.as_ref().is_some_and(ours)).map(|fence| fence.text).collect()
}

#[tokio::test]
async fn what_is_asked_of_a_database_is_answered() {
    let database = TestDatabase::create().await;
    let client = database.connect_admin().await;
    let mut asked = 0;
    for block in blocks().iter().filter(|block| block.contains("psql")) {
        for line in block.lines() {
            let words = shlex::split(line).unwrap();
            assert_eq!(words[..2], ["psql", "$BAILIWICK_ADMIN_DATABASE_URL"], "{line}");
            for pair in words[2..].chunks(2) {
                assert_eq!(pair[0], "-c", "{line}");
                client.query(&pair[1], &[]).await.unwrap_or_else(|error| panic!("{}: {error:?}", pair[1]));
                asked += 1;
            }
        }
    }
    assert!(asked >= 5, "{asked}");
}

/// The steps by which a trail goes over to another key, on a data folder with a trail that was sealed.
#[tokio::test]
async fn the_steps_to_another_key_keep_the_trail_believed() {
    if Command::new("openssl").arg("version").output().is_err() {
        skip(Lacking::Openssl, "there is no openssl on this machine");
        return;
    }
    let database = TestDatabase::create().await;
    let client = database.connect_admin().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = AuditArguments::default();
    let add = "SELECT pg_current_xact_id();
        INSERT INTO audit_logs (\"timestamp\", tenant_id, user_id, call_id, action, outcome, success)
        SELECT now(), id, 'u', gen_random_uuid(), 'search', 'ok', true FROM tenants";
    let seal = async || {
        client.batch_execute(add).await.unwrap();
        let keeping = Keeping::open(&arguments, Some(&data)).unwrap();
        let key = keeping.key.as_ref().expect("a key").key_id().to_owned();
        let sealed = Sealer::new(keeping).settle(&client, PATIENCE).await.unwrap();
        assert!(matches!(sealed, Sealed::Rows { .. }), "{sealed:?}");
        key
    };
    let sound = async |data: &Path| {
        let expectations = Expectations {
            trusted: trusted_keys(&arguments, Some(data), &[]).unwrap(),
            heads: known_heads(&client, &arguments, Some(data)).await.unwrap(),
        };
        let found = verify(&client, &expectations).await.unwrap();
        assert!(found.heads_checked > 0 && found.signatures_checked);
        found.is_sound()
    };
    let old = seal().await;
    assert!(sound(&data).await);
    let steps = blocks().into_iter().find(|block| block.contains("openssl genpkey")).unwrap();
    let steps = steps.replace("DATA_DIR", data.to_str().unwrap());
    let status = Command::new("sh").args(["-eu", "-c", &steps]).current_dir(folder.path()).status().unwrap();
    assert!(status.success(), "{steps}");
    let new = seal().await;
    assert_ne!(old, new);
    assert!(sound(&data).await, "both keys' seals are believed");
    assert!(folder.path().join("old-signing-key.pem").exists());
    // The old public half is what it hangs on.
    std::fs::remove_dir_all(data.join("audit").join("trusted")).unwrap();
    assert!(!sound(&data).await);
}
