use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bailiwick::audit::{Expectations, FaultKind, Keeping, Sealed, Sealer, verify};
use tokio_postgres::Client;
use uuid::Uuid;

use super::trail::{PATIENCE, Trail};
use crate::harness::TestDatabase;

/// One call of the application, its transaction left open.
async fn call(client: &Client, tenant_id: Uuid) {
    let context = format!(
        "BEGIN; SET LOCAL app.current_tenant_id = '{tenant_id}'; SET LOCAL app.current_user_id = 'writer'; \
         SELECT complete_call(gen_random_uuid(), clock_timestamp(), false, 'search', 'tools/x', NULL, '{{}}', NULL, NULL, 1)"
    );
    client.batch_execute(&context).await.unwrap();
}

/// Calls that take a random while and are sometimes rolled back, until told to stop.
async fn write(database: &TestDatabase, seed: u64, stop: Arc<AtomicBool>) {
    let client = database.connect_app().await;
    let tenant_id = database.tenant(if seed.is_multiple_of(2) { "demo" } else { "enterprise" }).await.id.as_uuid();
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while !stop.load(Ordering::Relaxed) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        call(&client, tenant_id).await;
        tokio::time::sleep(Duration::from_millis(random % 40)).await;
        client.batch_execute(if random.is_multiple_of(5) { "ROLLBACK" } else { "COMMIT" }).await.unwrap();
    }
}

/// Seals and verifies while calls go on; the faults found at any moment.
async fn seal_beside_writers(trail: &Trail, mut sealer: Sealer, rounds: usize) -> Vec<FaultKind> {
    let stop = Arc::new(AtomicBool::new(false));
    let writers = futures_util::future::join_all((0..6).map(|seed| write(&trail.database, seed, Arc::clone(&stop))));
    let work = async {
        let mut faults = Vec::new();
        for round in 0.. {
            // Other tests' transactions hold seals up, so some have many rounds in vain.
            let seals = trail.database.value::<i64>("SELECT count(*) FROM audit_seals").await;
            if round >= rounds && (seals > 5 || round > 100 * rounds) {
                break;
            }
            sealer.pass(&trail.client).await.unwrap();
            let found = verify(&trail.client, &Expectations::default()).await.unwrap();
            faults.extend(found.findings.faults.into_iter().map(|fault| fault.kind));
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
        stop.store(true, Ordering::Relaxed);
        faults
    };
    let (faults, _) = tokio::join!(work, writers);
    faults
}

#[tokio::test]
async fn seals_are_sound_at_every_moment_beside_calls() {
    let trail = Trail::create().await;
    let faults = seal_beside_writers(&trail, Sealer::new(trail.keeping.clone()).most_rows(7), 60).await;
    assert_eq!(faults, []);
    trail.seal().await;
    let found = trail.assert_sound().await;
    let rows: i64 = trail.database.value("SELECT count(*) FROM audit_logs").await;
    assert!(rows > 50 && found.seals_checked > 5, "{rows} rows, {} seals", found.seals_checked);
    assert_eq!((found.rows_checked, found.unsealed_rows), (rows.cast_unsigned(), 0));
    // What was closed before a seal's moment is under it or an earlier one.
    let late =
        "SELECT count(*) FROM audit_logs a, audit_seals s WHERE a.completed_at < s.sealed_until AND a.id > s.last_id";
    assert_eq!(trail.database.value::<i64>(late).await, 0);
}

#[tokio::test]
async fn a_seal_that_does_not_wait_is_found_out() {
    let trail = Trail::create().await;
    let sealer = Sealer::new(Keeping::default()).without_waiting();
    let faults = seal_beside_writers(&trail, sealer, 60).await;
    assert!(!faults.is_empty() && faults.iter().all(|kind| *kind == FaultKind::Unsealed), "{faults:?}");
}

#[tokio::test]
async fn a_row_that_came_late_is_out_of_a_seal() {
    let trail = Trail::create().await;
    let tenant_id = trail.database.tenant("demo").await.id.as_uuid();
    let (late, done) = (trail.database.connect_app().await, trail.database.connect_app().await);
    call(&late, tenant_id).await;
    call(&done, tenant_id).await;
    done.batch_execute("COMMIT").await.unwrap();
    let mut sealer = Sealer::new(trail.keeping.clone()).without_waiting();
    assert_eq!(sealer.pass(&trail.client).await.unwrap(), Sealed::Rows { seals: 1, rows: 1 });
    late.batch_execute("COMMIT").await.unwrap();
    let found = trail.verify().await.findings;
    assert_eq!((found.fault_count, found.first_bad_row.unwrap().id), (1, 1));
    assert!(found.faults[0].what.contains("out of a seal"), "{}", found.faults[0]);
}

#[tokio::test]
async fn the_newest_transaction_is_waited_for_too() {
    let trail = Trail::create().await;
    let tenant_id = trail.database.tenant("demo").await.id.as_uuid();
    let (open, done) = (trail.database.connect_app().await, trail.database.connect_app().await);
    let mut sealer = Sealer::new(trail.keeping.clone());
    call(&done, tenant_id).await;
    // No later transaction has ended, so that the snapshot's xmax is this one's own number.
    call(&open, tenant_id).await;
    done.batch_execute("COMMIT").await.unwrap();
    assert_eq!(sealer.pass(&trail.client).await.unwrap(), Sealed::Pending);
    assert_eq!(sealer.pass(&trail.client).await.unwrap(), Sealed::Pending);
    open.batch_execute("COMMIT").await.unwrap();
    // The cut that waited, and not a later one: calls that keep coming do not put it off.
    call(&done, tenant_id).await;
    assert_eq!(sealer.settle(&trail.client, PATIENCE).await.unwrap(), Sealed::Rows { seals: 1, rows: 2 });
    assert_eq!(sealer.pass(&trail.client).await.unwrap(), Sealed::Pending);
    done.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(sealer.settle(&trail.client, PATIENCE).await.unwrap(), Sealed::Nothing);
    assert_eq!(trail.assert_sound().await.seals_checked, 1);
}

#[tokio::test]
async fn several_sealers_make_one_chain() {
    let trail = Trail::create().await;
    let run = async |rounds: usize| {
        let client = trail.database.connect_admin().await;
        let mut sealer = Sealer::new(trail.keeping.clone()).most_rows(3);
        let mut sealed = 0;
        for _ in 0..rounds {
            if let Sealed::Rows { rows, .. } = sealer.pass(&client).await.unwrap() {
                sealed += rows;
            }
            tokio::task::yield_now().await;
        }
        sealed
    };
    let add = async {
        for _ in 0..20 {
            trail.add(10, "2026-11-02").await;
        }
    };
    let (one, two, three, ()) = tokio::join!(run(40), run(40), run(40), add);
    let rest = match trail.seal().await {
        Sealed::Rows { rows, .. } => rows,
        _ => 0,
    };
    assert_eq!(one + two + three + rest, 200);
    assert_eq!(trail.assert_sound().await.rows_checked, 200);
}

#[tokio::test]
async fn a_signed_chain_is_not_continued_without_the_key() {
    let trail = Trail::create().await;
    trail.add(5, "2026-11-02").await;
    let mut unsigned = Sealer::new(Keeping::default());
    assert_eq!(unsigned.settle(&trail.client, PATIENCE).await.unwrap(), Sealed::Rows { seals: 1, rows: 5 });
    let found = verify(&trail.client, &trail.expectations).await.unwrap();
    assert_eq!(found.findings.faults[0].kind, FaultKind::Signature, "nobody vouches for it");
    trail.add(5, "2026-11-03").await;
    assert_eq!(trail.seal().await, Sealed::Rows { seals: 1, rows: 5 });
    trail.assert_sound().await;
    trail.add(5, "2026-11-04").await;
    assert_eq!(unsigned.pass(&trail.client).await.unwrap(), Sealed::KeyMissing);
    assert_eq!(trail.assert_sound().await.unsealed_rows, 5);
}

#[tokio::test]
async fn rows_are_not_sealed_anew_where_the_chain_was_cut_off() {
    let trail = Trail::create().await;
    let mut sealers =
        [Sealer::new(trail.keeping.clone()), Sealer::new(Keeping { heads: None, ..trail.keeping.clone() })];
    for day in 2..5 {
        trail.add(5, &format!("2026-11-0{day}")).await;
        for sealer in &mut sealers {
            sealer.settle(&trail.client, PATIENCE).await.unwrap();
        }
    }
    let cut = "DELETE FROM audit_seals WHERE seal_no = 3; UPDATE audit_logs SET user_id = 'nobody' WHERE id = 12";
    trail.client.batch_execute(cut).await.unwrap();
    // One that saw the seal, one that was told of its head, and one that starts now and reads of it.
    let fresh = Sealer::new(trail.keeping.clone());
    for mut sealer in sealers.into_iter().chain([fresh]) {
        let error = sealer.settle(&trail.client, PATIENCE).await.unwrap_err().to_string();
        assert!(error.contains("no longer has seal 3 with the head"), "{error}");
    }
    assert_eq!(trail.verify().await.unsealed_rows, 5);
}

#[tokio::test]
async fn the_role_for_maintenance_may_seal_and_verify() {
    let trail = Trail::create().await;
    trail.add(5, "2026-11-02").await;
    let config: tokio_postgres::Config = trail.database.url("bailiwick_maintenance").await.parse().unwrap();
    let client = bailiwick::db::admin::connect(&config).await.unwrap();
    let mut sealer = Sealer::new(trail.keeping.clone());
    let sealed = sealer.settle(&client, PATIENCE).await.unwrap();
    assert_eq!(sealed, Sealed::Rows { seals: 1, rows: 5 });
    let found = verify(&client, &trail.expectations).await.unwrap();
    assert_eq!((found.findings.fault_count, found.rows_checked), (0, 5));
}
