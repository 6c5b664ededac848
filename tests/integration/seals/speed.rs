use std::time::Instant;

use super::trail::Trail;

/// `BAILIWICK_TRAIL_ROWS=200000 cargo test --test integration -- seals::speed --nocapture` measures.
#[tokio::test]
async fn a_long_trail_is_sealed_and_verified() {
    let rows: usize = std::env::var("BAILIWICK_TRAIL_ROWS").map_or(2_000, |rows| rows.parse().unwrap());
    let trail = Trail::create().await;
    trail.add(rows, "2026-01-01").await;
    let started = Instant::now();
    trail.seal().await;
    let sealed = started.elapsed();
    let found = trail.assert_sound().await;
    assert_eq!(found.rows_checked, rows as u64);
    eprintln!("{rows} rows sealed in {sealed:?}, verified in {:?}", started.elapsed() - sealed);
}
