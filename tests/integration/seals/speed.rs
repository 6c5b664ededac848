use std::time::Instant;

use bailiwick::audit::Sealer;

use super::trail::{PATIENCE, Trail};

/// `BAILIWICK_TRAIL_ROWS=200000 cargo test --test integration -- seals::speed --nocapture` measures.
#[tokio::test]
async fn a_long_trail_is_sealed_and_verified() {
    let rows: usize = std::env::var("BAILIWICK_TRAIL_ROWS").map_or(2_000, |rows| rows.parse().unwrap());
    let trail = Trail::create().await;
    trail.add(rows, "2026-01-01").await;
    let started = Instant::now();
    let rows_a_seal = std::env::var("BAILIWICK_ROWS_A_SEAL").map_or(50_000, |rows| rows.parse().unwrap());
    let mut sealer = Sealer::new(trail.keeping.clone()).most_rows(rows_a_seal);
    sealer.settle(&trail.client, PATIENCE).await.unwrap();
    let sealed = started.elapsed();
    let found = trail.assert_sound().await;
    assert_eq!(found.rows_checked, rows as u64);
    let (seals, verified) = (found.seals_checked, started.elapsed() - sealed);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    eprintln!("{rows} rows sealed under {seals} seals in {sealed:?}, verified in {verified:?}, {memory}");
}
