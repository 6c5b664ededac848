use std::time::{Duration, Instant};

use bailiwick::db::{Pool, PoolOptions, System};
use bailiwick::identity::{ApiKey, KeyRing};

use super::{key_of, last_used, revoke, system};
use crate::harness::TestDatabase;

/// Waits until it holds; how long it took.
async fn until(holds: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    crate::harness::until("what the ring is asked", holds).await;
    begun.elapsed()
}

/// Look-ups that reached this database, as far as its sessions have told.
async fn lookups(database: &TestDatabase) -> i64 {
    database
        .value(
            "SELECT coalesce(sum(calls), 0)::int8 FROM pg_stat_user_functions WHERE funcname = 'authenticate_api_key'",
        )
        .await
}

#[tokio::test]
async fn a_revocation_is_effective_within_a_second_although_the_ring_is_asked_all_the_time() {
    let database = TestDatabase::create().await;
    let ring = KeyRing::new(system(&database));
    let (key, id) = key_of(&database, "demo").await;
    assert_eq!(ring.principal(&key).await.unwrap().unwrap().key_id, id);
    // The ring believes its answer of just now, and not one of ever.
    revoke(&database, id).await;
    let took = until(async || ring.principal(&key).await.unwrap().is_none()).await;
    // One, and what a loaded machine takes to ask.
    assert!(took < Duration::from_secs(4), "{took:?}");
    database.execute(&format!("UPDATE api_keys SET revoked_at = NULL WHERE id = '{id}'")).await;
    let took = until(async || ring.principal(&key).await.unwrap().is_some()).await;
    assert!(took < Duration::from_secs(4), "a refusal is believed no longer: {took:?}");
}

#[tokio::test]
async fn equal_keys_at_once_are_looked_up_once() {
    let database = TestDatabase::create().await;
    database.execute(&format!("ALTER DATABASE {} SET track_functions = 'all'", database.name())).await;
    let pool = Pool::new(database.app().clone(), &PoolOptions::default()).unwrap();
    let ring = KeyRing::new(System::new(pool.clone()));
    let ((key, _), wrong) = (key_of(&database, "demo").await, ApiKey::generate().unwrap());
    let begun = Instant::now();
    for _ in 0..3 {
        let asked = (0..100).map(|n| ring.principal(if n % 2 == 0 { &key } else { &wrong }));
        let found = futures_util::future::try_join_all(asked).await.unwrap();
        assert_eq!(found.iter().flatten().count(), 50);
    }
    let seconds = begun.elapsed().as_secs();
    // A session tells its counts when it ends.
    pool.close();
    until(async || lookups(&database).await >= 2).await;
    let counted = lookups(&database).await;
    assert!((2..=2 * (1 + i64::try_from(seconds).unwrap())).contains(&counted), "{counted} in {seconds} s");
}

#[tokio::test]
async fn a_key_that_expires_while_it_is_believed_is_refused() {
    let database = TestDatabase::create().await;
    let (admin, system) = (database.connect_admin().await, system(&database));
    let (key, _) = key_of(&database, "demo").await;
    system.authenticate(&key).await.unwrap();
    // Refused by the ring alone it is only between its end and the ring's next look, and a loaded machine may miss that.
    for _ in 0..20 {
        let ring = KeyRing::new(system.clone());
        admin.batch_execute("UPDATE api_keys SET expires_at = clock_timestamp() + interval '500 ms'").await.unwrap();
        if ring.principal(&key).await.unwrap().is_none() {
            continue;
        }
        let begun = Instant::now();
        // From here on the database would let it in.
        admin.batch_execute("UPDATE api_keys SET expires_at = NULL").await.unwrap();
        while begun.elapsed() < Duration::from_millis(1_200) {
            if ring.principal(&key).await.unwrap().is_none() {
                until(async || ring.principal(&key).await.unwrap().is_some()).await;
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    panic!("it is let in until the ring looks again");
}

#[tokio::test]
async fn a_ring_notes_a_use_in_the_background_and_once() {
    let database = TestDatabase::create().await;
    let ring = KeyRing::new(system(&database));
    let (key, id) = key_of(&database, "demo").await;
    ring.principal(&key).await.unwrap().unwrap();
    until(async || last_used(&database, id).await.is_some()).await;
    // Were it asked again, the database would move it.
    database.execute(&format!("UPDATE api_keys SET last_used_at = '2026-01-01' WHERE id = '{id}'")).await;
    ring.principal(&key).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(last_used(&database, id).await.unwrap().to_string(), "2026-01-01T00:00:00Z");
    KeyRing::new(system(&database)).principal(&key).await.unwrap().unwrap();
    until(async || last_used(&database, id).await.unwrap().to_string().as_str() > "2026-01-02").await;
}

#[tokio::test]
async fn a_failed_look_up_is_not_remembered() {
    let database = TestDatabase::create().await;
    let ring = KeyRing::new(system(&database));
    let (key, _) = key_of(&database, "demo").await;
    database.execute("REVOKE EXECUTE ON FUNCTION authenticate_api_key(bytea) FROM bailiwick_app").await;
    ring.principal(&key).await.unwrap_err();
    database.execute("GRANT EXECUTE ON FUNCTION authenticate_api_key(bytea) TO bailiwick_app").await;
    assert!(ring.principal(&key).await.unwrap().is_some());
}
