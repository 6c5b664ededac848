//! What one tenant that calls as fast as it can costs the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::figures::percentile_ms;
use crate::service::Service;

const TIME: Duration = Duration::from_secs(10);
const NOISY_CALLERS: usize = 64;
/// What the others call together, of the peak.
const SHARE: f64 = 0.15;

pub async fn measure(service: &Arc<Service>, peak: f64) -> Result<()> {
    let rate = peak * SHARE;
    println!("neighbours: {} tenants call {rate:.0} times a second together", service.callers.len() - 1);
    others(service, rate, "alone").await?;
    let stop = CancellationToken::new();
    let mut noisy = JoinSet::new();
    for caller in 0..NOISY_CALLERS {
        let (service, stop) = (Arc::clone(service), stop.clone());
        noisy.spawn(async move {
            let mut served = 0u64;
            while !stop.is_cancelled() {
                let ended = service.search(&service.callers[0], caller + served as usize).await;
                served += u64::from(ended.code.is_none());
            }
            served
        });
    }
    let begun = Instant::now();
    others(service, rate, "with a noisy one").await?;
    stop.cancel();
    let served: u64 = noisy.join_all().await.into_iter().sum();
    println!("  the noisy one, {NOISY_CALLERS} callers: {:.0} a second", served as f64 / begun.elapsed().as_secs_f64());
    Ok(())
}

/// The steady calls of all tenants but the first, at times that do not wait for answers.
async fn others(service: &Arc<Service>, rate: f64, how: &str) -> Result<()> {
    let (begun, mut calls, mut number) = (Instant::now(), JoinSet::new(), 0usize);
    while begun.elapsed() < TIME {
        let service = Arc::clone(service);
        calls.spawn(async move {
            let quiet = &service.callers[1..];
            service.search(&quiet[number % quiet.len()], number).await
        });
        number += 1;
        tokio::time::sleep_until((begun + Duration::from_secs_f64(number as f64 / rate)).into()).await;
    }
    let ended = calls.join_all().await;
    let refused = ended.iter().filter(|ended| ended.code.is_some()).count();
    let mut times: Vec<_> = ended.iter().filter(|ended| ended.code.is_none()).map(|ended| ended.took).collect();
    println!(
        "  {how:18} {:6} served, {refused} refused, p50 {:6.1} ms, p99 {:6.1} ms",
        times.len(),
        percentile_ms(&mut times, 0.5),
        percentile_ms(&mut times, 0.99)
    );
    Ok(())
}
