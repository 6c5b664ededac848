//! Times and memory, in figures.

use std::time::Duration;

/// The time that this share of them stayed within, in milliseconds.
pub fn percentile_ms(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get((last as f64 * share).round() as usize).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
}

/// This process's resident memory in MiB, as Linux tells it.
pub fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}
