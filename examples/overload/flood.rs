//! Calls that come four times as fast as they can be served.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Result;
use crate::figures::{percentile_ms, resident_mib};
use crate::service::{Ended, Service};

const FACTOR: f64 = 4.0;
/// Callers, each of which calls again when it was answered: enough to keep every connection busy.
const CLOSED_LOOP: usize = 24;

/// Prints peak and flood; returns the peak in calls a second.
pub async fn measure(service: &Arc<Service>, seconds: u64) -> Result<f64> {
    closed_loop(service, Duration::from_secs(2)).await?;
    let time = Duration::from_secs(seconds.clamp(5, 15));
    let mut served = closed_loop(service, time).await?;
    let peak = served.len() as f64 / time.as_secs_f64();
    println!(
        "peak, {CLOSED_LOOP} callers: {peak:.0} searches a second, p50 {:.1} ms, p99 {:.1} ms",
        percentile_ms(&mut served, 0.5),
        percentile_ms(&mut served, 0.99)
    );

    let before = resident_mib();
    let (rate, time) = (peak * FACTOR, Duration::from_secs(seconds));
    let (begun, mut calls, mut number, mut middle) = (Instant::now(), JoinSet::new(), 0usize, f64::NAN);
    while begun.elapsed() < time {
        if middle.is_nan() && begun.elapsed() > time / 2 {
            middle = resident_mib();
        }
        let due = (begun.elapsed().as_secs_f64() * rate) as usize;
        while number < due {
            let service = Arc::clone(service);
            calls.spawn(async move {
                let ended = service.search(&service.callers[number % service.callers.len()], number).await;
                (ended, begun.elapsed())
            });
            number += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let late = resident_mib();
    let ended = calls.join_all().await;
    let in_time = ended.iter().filter(|(ended, at)| ended.code.is_none() && *at <= time).count();
    let goodput = in_time as f64 / time.as_secs_f64();
    println!(
        "flood: {:.0} calls a second for {seconds} s; served {goodput:.0} a second, {:.0} % of the peak",
        number as f64 / time.as_secs_f64(),
        goodput / peak * 100.0
    );
    let mut by_end = BTreeMap::<&str, Vec<Duration>>::new();
    for (Ended { code, took }, _) in ended {
        by_end.entry(code.map_or("ok", |code| code.name())).or_default().push(took);
    }
    for (end, times) in &mut by_end {
        println!(
            "  {end:12} {:7} calls, p50 {:8.1} ms, p99 {:8.1} ms",
            times.len(),
            percentile_ms(times, 0.5),
            percentile_ms(times, 0.99)
        );
    }
    println!(
        "  memory: {before:.0} MiB before, {middle:.0} in the middle, {late:.0} at the end, {:.0} afterwards",
        resident_mib()
    );
    Ok(peak)
}

/// Times of the calls that were served.
async fn closed_loop(service: &Arc<Service>, time: Duration) -> Result<Vec<Duration>> {
    let (begun, next) = (Instant::now(), Arc::new(AtomicUsize::default()));
    let mut callers = JoinSet::new();
    for caller in 0..CLOSED_LOOP {
        let (service, next) = (Arc::clone(service), Arc::clone(&next));
        callers.spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < time {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let ended = service.search(&service.callers[caller % service.callers.len()], number).await;
                times.extend(ended.code.is_none().then_some(ended.took));
            }
            times
        });
    }
    Ok(callers.join_all().await.into_iter().flatten().collect())
}
