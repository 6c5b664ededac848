//! API keys: made, looked up, taken back; what the application's role may learn of them, and the command line.

mod commands;
mod life;
mod ring;
mod secrecy;

use bailiwick::db::admin::keys::{self, Creation, NewKey};
use bailiwick::db::{Pool, PoolOptions, System};
use bailiwick::identity::{ApiKey, Scopes, UserId};
use jiff::Timestamp;
use uuid::Uuid;

use crate::harness::TestDatabase;

/// The application's own way to the database.
fn system(database: &TestDatabase) -> System {
    System::new(Pool::new(database.app().clone(), &PoolOptions::default()).unwrap())
}

/// A key that never ends, of user `ada` with all scopes.
async fn key_of(database: &TestDatabase, tenant: &str) -> (ApiKey, Uuid) {
    let new = NewKey {
        tenant: tenant.to_owned(),
        user_id: UserId::parse("ada").unwrap(),
        scopes: Scopes::all(),
        expires_at: None,
    };
    make(database, &new).await
}

async fn make(database: &TestDatabase, new: &NewKey) -> (ApiKey, Uuid) {
    let key = ApiKey::generate().unwrap();
    match keys::create(&database.connect_admin().await, &key, new).await.unwrap() {
        Creation::Made(id) => (key, id),
        other => panic!("{other:?}"),
    }
}

async fn revoke(database: &TestDatabase, id: Uuid) {
    database.execute(&format!("UPDATE api_keys SET revoked_at = now() WHERE id = '{id}'")).await;
}

async fn last_used(database: &TestDatabase, id: Uuid) -> Option<Timestamp> {
    database.value(&format!("SELECT last_used_at FROM api_keys WHERE id = '{id}'")).await
}
