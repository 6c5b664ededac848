use bailiwick::db::TenantStatus;
use bailiwick::db::admin::keys::{self, Creation, KeyName, NewKey};
use bailiwick::identity::{ApiKey, Scope, Scopes, UserId};
use jiff::{SignedDuration, Timestamp};

use super::{key_of, last_used, make, system};
use crate::harness::TestDatabase;

#[tokio::test]
async fn a_key_stands_for_its_principal_until_it_is_revoked() {
    let database = TestDatabase::create().await;
    let (admin, system) = (database.connect_admin().await, system(&database));
    let expires_at = "2126-01-02T03:04:05.678901Z".parse().unwrap();
    let scopes: Scopes = [Scope::AuditRead, Scope::DocumentsRead].into_iter().collect();
    let new = NewKey {
        tenant: "demo".to_owned(),
        user_id: UserId::parse("ada@demo.example").unwrap(),
        scopes: scopes.clone(),
        expires_at: Some(expires_at),
    };
    let (key, id) = make(&database, &new).await;
    let (other, other_id) = key_of(&database, "enterprise").await;

    let found = system.authenticate(&key).await.unwrap().unwrap();
    assert_eq!((found.tenant_id, found.tenant_slug.as_str()), (database.tenant("demo").await.id, "demo"));
    assert_eq!((found.tenant_status, found.key_id), (TenantStatus::Active, id));
    assert_eq!(
        (found.user_id.as_str(), &found.scopes, found.expires_at),
        ("ada@demo.example", &scopes, Some(expires_at))
    );
    let caller = found.caller();
    assert_eq!((caller.tenant_id, caller.user_id, caller.scopes), (found.tenant_id, found.user_id, found.scopes));

    let name = KeyName { sha256: Some(key.sha256()), ..KeyName::default() };
    let rows = keys::find(&admin, &name).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [id]);
    let revoked_at = keys::revoke(&admin, &rows[0]).await.unwrap();
    assert!(revoked_at.is_some());
    assert!(system.authenticate(&key).await.unwrap().is_none());
    assert_eq!(keys::revoke(&admin, &rows[0]).await.unwrap(), revoked_at, "the first moment stays");
    let other = system.authenticate(&other).await.unwrap().unwrap();
    assert_eq!((other.key_id, other.tenant_slug.as_str()), (other_id, "enterprise"));
}

#[tokio::test]
async fn an_expired_key_opens_nothing() {
    let database = TestDatabase::create().await;
    let system = system(&database);
    let (key, id) = key_of(&database, "demo").await;
    for (end, opens) in [("now() + interval '1 hour'", true), ("now()", false), ("now() - interval '1 day'", false)] {
        database.execute(&format!("UPDATE api_keys SET expires_at = {end} WHERE id = '{id}'")).await;
        assert_eq!(system.authenticate(&key).await.unwrap().is_some(), opens, "{end}");
    }
}

#[tokio::test]
async fn wrong_keys_are_nobodys() {
    let database = TestDatabase::create().await;
    let system = system(&database);
    let (key, _) = key_of(&database, "demo").await;
    assert!(system.authenticate(&ApiKey::generate().unwrap()).await.unwrap().is_none());
    let text = key.expose();
    for at in 0..text.len() {
        let mut wrong = text.as_bytes().to_vec();
        wrong[at] = if wrong[at] == b'a' { b'b' } else { b'a' };
        assert!(ApiKey::parse(std::str::from_utf8(&wrong).unwrap()).is_err(), "character {at}");
        // A slip that gets past the check character is still another key.
        let wrong = with_check(&wrong);
        let Ok(wrong) = ApiKey::parse(&wrong) else { continue };
        let same = wrong.expose() == text;
        assert_eq!(system.authenticate(&wrong).await.unwrap().is_some(), same, "character {at}");
    }
}

/// The first text with this beginning whose check character is right.
fn with_check(wrong: &[u8]) -> String {
    let body = std::str::from_utf8(&wrong[..wrong.len() - 1]).unwrap();
    let alphabet = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(['-', '_']);
    let texts = alphabet.map(|check| format!("{body}{check}"));
    texts.into_iter().find(|text| ApiKey::parse(text).is_ok()).unwrap_or_else(|| body.to_owned())
}

#[tokio::test]
async fn a_tenant_that_may_not_call_is_told_by_its_status_and_gets_no_new_keys() {
    let database = TestDatabase::create().await;
    let (admin, system) = (database.connect_admin().await, system(&database));
    let (key, _) = key_of(&database, "demo").await;
    let new = NewKey {
        tenant: "demo".to_owned(),
        user_id: UserId::parse("ada").unwrap(),
        scopes: Scopes::all(),
        expires_at: None,
    };
    for (status, told) in [("suspended", TenantStatus::Suspended), ("deleted", TenantStatus::Deleted)] {
        database.execute(&format!("UPDATE tenants SET status = '{status}' WHERE slug = 'demo'")).await;
        assert_eq!(system.authenticate(&key).await.unwrap().unwrap().tenant_status, told);
        let refused = keys::create(&admin, &ApiKey::generate().unwrap(), &new).await.unwrap();
        assert_eq!(refused, Creation::Inactive(told));
    }
    let nobody = NewKey { tenant: "nobody".to_owned(), ..new };
    assert_eq!(keys::create(&admin, &ApiKey::generate().unwrap(), &nobody).await.unwrap(), Creation::NoTenant);
    assert_eq!(database.value::<i64>("SELECT count(*) FROM api_keys").await, 1);
}

#[tokio::test]
async fn each_set_of_scopes_comes_back_and_unknown_ones_allow_nothing() {
    let database = TestDatabase::create().await;
    let system = system(&database);
    for bits in 0..1 << Scope::ALL.len() {
        let chosen = Scope::ALL.into_iter().enumerate().filter(|(index, _)| bits >> index & 1 == 1);
        let scopes: Scopes = chosen.map(|(_, scope)| scope).collect();
        let new = NewKey {
            tenant: "demo".to_owned(),
            user_id: UserId::parse("ada").unwrap(),
            scopes: scopes.clone(),
            expires_at: None,
        };
        let (key, _) = make(&database, &new).await;
        assert_eq!(system.authenticate(&key).await.unwrap().unwrap().scopes, scopes);
    }
    let (key, id) = key_of(&database, "demo").await;
    database
        .execute(&format!("UPDATE api_keys SET scopes = '{{documents:read,all,\"\",moon:walk}}' WHERE id = '{id}'"))
        .await;
    let scopes = system.authenticate(&key).await.unwrap().unwrap().scopes;
    assert_eq!(scopes.names(), ["documents:read"], "`all` is a word of configuration, not of a key's row");
}

#[tokio::test]
async fn what_was_written_by_hand_and_makes_no_sense_fails_closed() {
    let database = TestDatabase::create().await;
    let system = system(&database);
    let (key, id) = key_of(&database, "demo").await;
    database.execute(&format!("UPDATE api_keys SET user_id = E'a\\nb' WHERE id = '{id}'")).await;
    assert!(system.authenticate(&key).await.unwrap().is_none(), "its calls could not be recorded");
    let (key, id) = key_of(&database, "demo").await;
    database
        .execute(&format!(
            "INSERT INTO api_keys (tenant_id, user_id, key_prefix, key_sha256, scopes)
             SELECT (SELECT id FROM tenants WHERE slug = 'enterprise'), user_id, key_prefix, key_sha256, scopes
             FROM api_keys WHERE id = '{id}'"
        ))
        .await;
    assert!(system.authenticate(&key).await.unwrap().is_none(), "two tenants claim it");
}

#[tokio::test]
async fn use_is_noted_at_most_once_a_minute_and_only_forward() {
    let database = TestDatabase::create().await;
    let system = system(&database);
    let tenant = database.tenant("demo").await.id;
    let (_, id) = key_of(&database, "demo").await;
    let (_, other) = key_of(&database, "demo").await;
    assert_eq!(last_used(&database, id).await, None);
    let begun = Timestamp::now() - SignedDuration::from_secs(5);
    system.note_key_use(tenant, id).await.unwrap();
    let first = last_used(&database, id).await.unwrap();
    assert!(first > begun);
    for (arranged, moves) in [("0", false), ("-59", false), ("-61", true), ("600", false)] {
        let set = format!("UPDATE api_keys SET last_used_at = now() + interval '{arranged} s' WHERE id = '{id}'");
        database.execute(&set).await;
        let before = last_used(&database, id).await.unwrap();
        let notes = (0..4).map(|_| system.note_key_use(tenant, id));
        futures_util::future::try_join_all(notes).await.unwrap();
        let after = last_used(&database, id).await.unwrap();
        assert_eq!((after > before, after < before), (moves, false), "{arranged}");
    }
    system.note_key_use(database.tenant("enterprise").await.id, other).await.unwrap();
    assert_eq!(last_used(&database, other).await, None, "another tenant's id names no key");
}
