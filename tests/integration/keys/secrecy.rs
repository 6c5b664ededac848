use bailiwick::db::admin::keys;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio_postgres::error::SqlState;

use super::{key_of, system};
use crate::harness::TestDatabase;

#[tokio::test]
async fn a_key_is_nowhere_in_the_database_nor_in_what_is_shown_of_it() {
    let database = TestDatabase::create().await;
    let (admin, system) = (database.connect_admin().await, system(&database));
    let (key, _) = key_of(&database, "demo").await;
    let principal = system.authenticate(&key).await.unwrap().unwrap();
    system.note_key_use(principal.tenant_id, principal.key_id).await.unwrap();
    let secret = &key.expose()[13..56];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let raw = URL_SAFE_NO_PAD.decode(secret).unwrap();
    let forms = [secret.to_owned(), hex(&raw), hex(secret.as_bytes())];

    let tables = "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = 'public' AND c.relkind IN ('r', 'm') ORDER BY 1";
    let tables = admin.query(tables, &[]).await.unwrap();
    assert!(tables.len() > 15);
    let mut hashes = 0;
    for table in tables {
        let table: String = table.get(0);
        for row in admin.query(&format!("SELECT t::text FROM {table} t"), &[]).await.unwrap() {
            let row: String = row.get(0);
            assert!(!forms.iter().any(|form| row.contains(form.as_str())), "{table}");
            hashes += usize::from(row.contains(&hex(&key.sha256())));
        }
    }
    assert_eq!(hashes, 1, "so the search would have found it");

    let listed = serde_json::to_string(&keys::list(&admin, None).await.unwrap()).unwrap();
    assert!(listed.contains(key.prefix()));
    for shown in [listed, format!("{key:?} {key}"), format!("{principal:?}")] {
        assert!(!forms.iter().any(|form| shown.contains(form.as_str())), "{shown}");
        assert!(!shown.contains(&hex(&key.sha256())), "{shown}");
    }
}

#[tokio::test]
async fn the_applications_role_can_list_no_keys_in_any_context() {
    let database = TestDatabase::create().await;
    key_of(&database, "demo").await;
    key_of(&database, "enterprise").await;
    let app = database.connect_app().await;
    let demo = database.tenant("demo").await.id;
    for context in [
        "SELECT 1",
        &format!("SET LOCAL app.current_tenant_id = '{demo}'"),
        "SET LOCAL app.current_user_role = 'admin'",
    ] {
        for attack in [
            "SELECT count(*) FROM api_keys",
            "SELECT key_sha256 FROM api_keys",
            "UPDATE api_keys SET last_used_at = now()",
            "UPDATE api_keys SET revoked_at = NULL",
            "DELETE FROM api_keys",
        ] {
            app.batch_execute(&format!("BEGIN; {context}")).await.unwrap();
            let refused = app.execute(attack, &[]).await.unwrap_err();
            app.batch_execute("ROLLBACK").await.unwrap();
            assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{attack}");
        }
    }
    // Nor by anything but a full hash.
    for hash in ["NULL", "''", "'\\x00'", "sha256('')"] {
        let found = app.query(&format!("SELECT authenticate_api_key({hash})"), &[]).await.unwrap();
        assert!(found.is_empty(), "{hash}");
    }
}

#[tokio::test]
async fn the_role_behind_the_look_ups_may_move_one_column_alone() {
    let database = TestDatabase::create().await;
    let (_, id) = key_of(&database, "demo").await;
    let admin = database.connect_admin().await;
    for (attack, allowed) in [
        ("UPDATE api_keys SET last_used_at = now()", true),
        ("UPDATE api_keys SET revoked_at = now()", false),
        ("UPDATE api_keys SET scopes = '{all}'", false),
        ("UPDATE api_keys SET tenant_id = gen_random_uuid()", false),
        ("UPDATE tenants SET status = 'active'", false),
        ("DELETE FROM api_keys", false),
    ] {
        admin.batch_execute("BEGIN; SET LOCAL ROLE bailiwick_identity").await.unwrap();
        let outcome = admin.execute(attack, &[]).await;
        admin.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(outcome.is_ok(), allowed, "{id} {attack}: {outcome:?}");
    }
}
