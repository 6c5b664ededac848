use bailiwick::audit::{FaultKind, Keeping, SealKey, Sealer};

use super::edits::{Edit, Random, Rebuild, edit};
use super::trail::{PATIENCE, Trail};

const ROWS: i64 = 40;
const SEALS: i64 = 6;

/// A sealed trail and a copy of it.
async fn sealed() -> Trail {
    let trail = Trail::create().await;
    trail.add(40, "2026-11-02").await;
    let mut sealer = Sealer::new(trail.keeping.clone()).most_rows(7);
    sealer.settle(&trail.client, PATIENCE).await.unwrap();
    let found = trail.assert_sound().await;
    assert_eq!((found.rows_checked, found.seals_checked, found.heads_checked), (40, 6, 6));
    let keep =
        "CREATE TABLE kept_logs AS SELECT * FROM audit_logs; CREATE TABLE kept_seals AS SELECT * FROM audit_seals";
    trail.client.batch_execute(keep).await.unwrap();
    trail
}

async fn restore(trail: &Trail) {
    let restore = "DELETE FROM audit_logs; DELETE FROM audit_seals;
                   INSERT INTO audit_logs SELECT * FROM kept_logs; INSERT INTO audit_seals SELECT * FROM kept_seals";
    trail.client.batch_execute(restore).await.unwrap();
}

async fn tamper(trail: &Trail, edit: &Edit) {
    trail.client.batch_execute(&edit.sql).await.unwrap_or_else(|error| panic!("{}: {error:?}", edit.sql));
    let key = match edit.rebuild {
        None => return,
        Some(Rebuild::Unsigned) => None,
        Some(Rebuild::WithAnotherKey) => {
            Some(SealKey::load_or_create(&trail.folder.path().join("theirs.pem")).unwrap())
        }
    };
    let mut sealer = Sealer::new(Keeping { key, heads: None }).most_rows(7);
    sealer.settle(&trail.client, PATIENCE).await.unwrap();
}

/// `BAILIWICK_TAMPER_EDITS=1000` is the full size.
#[tokio::test]
async fn every_edit_is_found_and_named() {
    let edits: u64 = std::env::var("BAILIWICK_TAMPER_EDITS").map_or(60, |edits| edits.parse().unwrap());
    let trail = sealed().await;
    for number in 0..edits {
        let edit = edit(&mut Random::new(number + 1), ROWS, SEALS);
        tamper(&trail, &edit).await;
        let found = trail.verify().await.findings;
        assert!(found.fault_count > 0, "{number} not found: {}", edit.sql);
        assert!(!found.faults.is_empty() && found.faults.len() <= 20, "{number}: {found:#?}");
        if let Some(row) = edit.row {
            let first = found.first_bad_row.as_ref().map(|row| row.id);
            assert_eq!(first, Some(row), "{number}: {}: {found:#?}", edit.sql);
        }
        if edit.rebuild.is_some() {
            // The key alone finds a chain made anew, without a head from outside.
            let found = bailiwick::audit::verify(&trail.client, &trail.expectations).await.unwrap().findings;
            assert!(found.faults.iter().all(|fault| fault.kind == FaultKind::Signature), "{found:#?}");
            assert!(found.fault_count > 0, "{number}: {}", edit.sql);
        }
        restore(&trail).await;
    }
    trail.assert_sound().await;
}

#[tokio::test]
async fn a_fault_names_the_row_and_what_happened_to_it() {
    let trail = sealed().await;
    let call_id: uuid::Uuid = trail.database.value("SELECT call_id FROM audit_logs WHERE id = 9").await;
    let cases = [
        ("UPDATE audit_logs SET user_id = 'somebody' WHERE id = 9", FaultKind::Changed, 9, "is not as it was sealed"),
        ("DELETE FROM audit_logs WHERE id = 9", FaultKind::Removed, 9, "is gone"),
        (
            "UPDATE audit_logs SET \"timestamp\" = '2026-12-01' WHERE id = 9",
            FaultKind::Moved,
            9,
            "it began at 2026-11-02T00:09:00Z",
        ),
        ("UPDATE audit_logs SET id = 0 WHERE id = 9", FaultKind::Moved, 0, "sealed with id 9"),
        ("UPDATE audit_logs SET id = 16 - id WHERE id IN (7, 9)", FaultKind::Moved, 7, "sealed with id 9"),
        (
            "UPDATE audit_logs SET tenant_id = (SELECT t.id FROM tenants t WHERE t.id <> tenant_id) WHERE id = 9",
            FaultKind::Moved,
            9,
            "moved there from the tenant",
        ),
        ("UPDATE audit_logs SET id = 5000 WHERE id = 9", FaultKind::Removed, 9, "is gone"),
    ];
    for (sql, kind, id, words) in cases {
        trail.client.batch_execute(sql).await.unwrap();
        let found = trail.verify().await.findings;
        let (first, row) = (&found.faults[0], found.first_bad_row.as_ref().unwrap());
        assert!(first.kind == kind && row.id == id && first.what.contains(words), "{sql}: {found:#?}");
        if kind == FaultKind::Changed {
            assert_eq!(row.call_id, Some(call_id));
            assert!(first.to_string().contains(&call_id.to_string()), "{first}");
        }
        restore(&trail).await;
    }
}

#[tokio::test]
async fn a_tail_cut_off_is_known_by_a_head_that_was_kept() {
    let trail = sealed().await;
    let cut = "DELETE FROM audit_logs WHERE id > 35; DELETE FROM audit_seals WHERE seal_no = 6";
    trail.client.batch_execute(cut).await.unwrap();
    // The honest limit: without a head from outside the shorter chain is as good as the longer one.
    assert!(bailiwick::audit::verify(&trail.client, &trail.expectations).await.unwrap().is_sound());
    let found = trail.verify().await.findings;
    assert_eq!((found.fault_count, found.faults[0].kind, found.faults[0].seal_no), (1, FaultKind::Head, Some(6)));
}
