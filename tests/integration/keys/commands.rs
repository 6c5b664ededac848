use bailiwick::identity::ApiKey;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::process::Command;

use super::system;
use crate::harness::TestDatabase;

/// `bailiwick key` as the administrator who is no superuser: exit code, stdout and stderr.
async fn key(database: &TestDatabase, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bailiwick"))
        .arg("key")
        .args(arguments)
        .env("BAILIWICK_ADMIN_DATABASE_URL", database.url("bailiwick_maintenance").await)
        .env_remove("DATABASE_URL")
        .output()
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn json_of(database: &TestDatabase, arguments: &[&str]) -> Value {
    let (code, out, err) = key(database, &[arguments, &["--json"]].concat()).await;
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

async fn refused(database: &TestDatabase, arguments: &[&str]) -> String {
    let (code, out, err) = key(database, arguments).await;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    err
}

#[tokio::test]
async fn a_key_is_made_listed_and_revoked() {
    let database = TestDatabase::create().await;
    let system = system(&database);
    let made = json_of(&database, &["create", "--tenant", "demo", "--user", "ada@demo.example"]).await;
    let text = made["key"].as_str().unwrap();
    let parsed = ApiKey::parse(text).unwrap();
    assert_eq!(made["prefix"], parsed.prefix());
    assert_eq!((&made["tenant"], &made["user"]), (&json!("demo"), &json!("ada@demo.example")));
    assert_eq!(made["scopes"], json!(["documents:read", "documents:write", "costs:read"]));
    let ends: Timestamp = made["expires_at"].as_str().unwrap().parse().unwrap();
    let days = ends.duration_since(Timestamp::now());
    assert!(SignedDuration::from_hours(90 * 24 - 1) < days && days <= SignedDuration::from_hours(90 * 24), "{days}");
    let found = system.authenticate(&parsed).await.unwrap().unwrap();
    assert_eq!((json!(found.key_id), json!(found.scopes.names())), (made["id"].clone(), made["scopes"].clone()));

    let (code, out, err) =
        key(&database, &["create", "--tenant", "enterprise", "--user", "bo", "--scopes", "all", "--expires", "never"])
            .await;
    assert_eq!(code, Some(0), "{err}");
    let other = ApiKey::parse(out.strip_suffix('\n').unwrap()).unwrap();
    assert!(err.contains("kept nowhere") && err.contains("Authorization: Bearer"), "{err}");
    assert!(err.contains(&format!("bailiwick key revoke {}", other.prefix())) && !err.contains(&out[13..56]), "{err}");
    assert_eq!(system.authenticate(&other).await.unwrap().unwrap().expires_at, None);

    let listed = json_of(&database, &["list"]).await;
    let keys = listed["keys"].as_array().unwrap();
    assert_eq!(keys.iter().map(|key| &key["tenant"]).collect::<Vec<_>>(), ["demo", "enterprise"]);
    for field in ["id", "prefix", "user", "scopes", "expires_at"] {
        assert_eq!(keys[0][field], made[field], "{field}");
    }
    assert_eq!((&keys[0]["state"], &keys[1]["expires_at"]), (&json!("live"), &Value::Null));
    assert_eq!(json_of(&database, &["list", "--tenant", "demo"]).await["keys"], json!([keys[0]]));
    let (_, table, _) = key(&database, &["list"]).await;
    assert!(table.contains(parsed.prefix()) && table.contains("live"), "{table}");
    for shown in [listed.to_string(), table] {
        assert!(!shown.contains(&text[13..20]) && !shown.contains(&out[13..20]), "{shown}");
    }

    let revoked = json_of(&database, &["revoke", parsed.prefix()]).await;
    assert_eq!((&revoked["revoked"]["id"], &revoked["revoked"]["already"]), (&made["id"], &json!(false)));
    assert!(system.authenticate(&parsed).await.unwrap().is_none());
    let again = json_of(&database, &["revoke", made["id"].as_str().unwrap()]).await;
    assert_eq!(again["revoked"]["already"], json!(true));
    assert_eq!(again["revoked"]["revoked_at"], revoked["revoked"]["revoked_at"]);
    let (code, out, err) = key(&database, &["revoke", other.expose()]).await;
    assert_eq!((code, out.contains("revoked"), err.as_str()), (Some(0), true, ""));
    assert!(!out.contains(&other.expose()[13..20]), "{out}");
    assert!(system.authenticate(&other).await.unwrap().is_none());
    database.execute("UPDATE api_keys SET revoked_at = NULL, expires_at = now()").await;
    let listed = json_of(&database, &["list"]).await;
    assert!(listed["keys"].as_array().unwrap().iter().all(|key| key["state"] == "expired"), "{listed}");
}

#[tokio::test]
async fn everything_wrong_is_told_together() {
    let database = TestDatabase::create().await;
    let wrong = ["--tenant", "demo", "--user", " ", "--scopes", "documents:read fly,swim", "--expires", "2020-01-01"];
    let said = refused(&database, &[&["create"], &wrong[..]].concat()).await;
    for words in ["--user", "1 to 200 characters", "\"fly\", \"swim\"", "audit:read", "--expires", "in the past"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let create = async |more: &[&str]| {
        refused(&database, &[&["create", "--tenant", "demo", "--user", "ada"], more].concat()).await
    };
    assert!(create(&["--scopes", ""]).await.contains("is empty; there are documents:read"));
    assert!(create(&["--expires", "-1d"]).await.contains("in the past"));
    assert!(create(&["--expires", "someday"]).await.contains("90d"));
    let said = refused(&database, &["create", "--tenant", "nobody", "--user", "ada"]).await;
    assert!(said.contains("there is no tenant \"nobody\""), "{said}");
    assert!(refused(&database, &["list", "--tenant", "nobody"]).await.contains("there is no tenant \"nobody\""));
    assert_eq!(key(&database, &["create", "--tenant", "demo"]).await.0, Some(2), "no user");
    assert_eq!(database.value::<i64>("SELECT count(*) FROM api_keys").await, 0);
}

#[tokio::test]
async fn a_suspended_tenants_keys_are_listed_and_revoked_but_none_is_made() {
    let database = TestDatabase::create().await;
    let made = json_of(&database, &["create", "--tenant", "demo", "--user", "ada"]).await;
    for status in ["suspended", "deleted"] {
        database.execute(&format!("UPDATE tenants SET status = '{status}' WHERE slug = 'demo'")).await;
        let said = refused(&database, &["create", "--tenant", "demo", "--user", "ada"]).await;
        assert_eq!(said, format!("error: the tenant \"demo\" is {status}; only active tenants get new keys\n"));
        assert_eq!(json_of(&database, &["list", "--tenant", "demo"]).await["keys"][0]["id"], made["id"]);
    }
    json_of(&database, &["revoke", made["prefix"].as_str().unwrap()]).await;
}

#[tokio::test]
async fn a_name_that_means_no_key_or_several_revokes_nothing() {
    let database = TestDatabase::create().await;
    let made = json_of(&database, &["create", "--tenant", "demo", "--user", "ada"]).await;
    let other = json_of(&database, &["create", "--tenant", "enterprise", "--user", "bo"]).await;
    database.execute("UPDATE api_keys SET key_prefix = 'same0' || right(key_prefix, 3)").await;
    let said = refused(&database, &["revoke", "same"]).await;
    assert!(said.contains("same means 2 keys"), "{said}");
    for words in [&made["id"], &other["id"], &json!("ada in tenant demo"), &json!("bo in tenant enterprise")] {
        assert!(said.contains(words.as_str().unwrap()), "{said}");
    }
    assert!(refused(&database, &["revoke", "zzzzzzzz"]).await.contains("there is no key zzzzzzzz"));
    let nobody = "00000000-0000-4000-8000-000000000000";
    assert!(refused(&database, &["revoke", nobody]).await.contains("there is no key"));
    // A key with a slip in it is still a secret.
    let slip = made["key"].as_str().unwrap().replace("bwk_", "bwk-");
    for wrong in ["sam", "", "%", slip.as_str(), "same%"] {
        let said = refused(&database, &["revoke", wrong]).await;
        assert!(said.contains("a key is named by its prefix") && !said.contains(&slip[13..20]), "{said}");
    }
    assert_eq!(database.value::<i64>("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL").await, 2);
}
