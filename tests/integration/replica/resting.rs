use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::answers::stock;
use super::pair::Pair;
use super::probe::Prober;

/// Rests of 1, 2, 4 … seconds, each ended by one trial: so many trials there may be in that time.
fn trials(elapsed: Duration) -> usize {
    (1..).take_while(|trials| Duration::from_secs((1 << trials) - 1) <= elapsed).count()
}

#[tokio::test]
async fn a_replica_that_fails_again_and_again_is_left_alone_for_a_while_and_found_again() {
    let pair = Pair::start(stock).await;
    pair.replayed().await;
    let prober = Prober::of(&pair, &pair.options(Duration::from_secs(3_600))).await;
    prober.until("replica").await;
    let begun = || prober.tool.begun.load(Ordering::SeqCst);
    prober.tool.fails.store(true, Ordering::SeqCst);
    let (before, since) = (begun(), Instant::now());
    let mut probed = 0;
    // Beyond the third each try is a trial.
    while probed < 40 || begun() < before + 4 {
        assert_eq!(prober.probe().await.read_from, "primary");
        probed += 1;
        let (tried, most) = (begun() - before, 3 + trials(since.elapsed()));
        assert!(tried <= most, "{tried} tries of {probed} in {:?}", since.elapsed());
        assert!(since.elapsed() < Duration::from_secs(60), "it was not tried again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    prober.tool.fails.store(false, Ordering::SeqCst);
    prober.until("replica").await;
    for _ in 0..3 {
        prober.until("replica").await;
    }
}
