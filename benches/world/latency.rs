use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Times of many runs of one thing.
#[derive(Debug, Clone, Default)]
pub struct Latency {
    sorted_ms: Vec<f64>,
}

impl Latency {
    /// Adds the time since then.
    pub fn add(&mut self, since: Instant) {
        let ms = since.elapsed().as_secs_f64() * 1e3;
        let at = self.sorted_ms.partition_point(|other| *other < ms);
        self.sorted_ms.insert(at, ms);
    }

    /// Adds all of these.
    pub fn extend(&mut self, times: &[Duration]) {
        self.sorted_ms.extend(times.iter().map(|time| time.as_secs_f64() * 1e3));
        self.sorted_ms.sort_by(f64::total_cmp);
    }

    /// The time that this share of the runs stayed within, in milliseconds.
    pub fn percentile_ms(&self, share: f64) -> f64 {
        let last = self.sorted_ms.len().saturating_sub(1);
        self.sorted_ms.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// p50 and p95 for a table.
    pub fn cell(&self) -> String {
        format!("{:.2} / {:.2}", self.percentile_ms(0.5), self.percentile_ms(0.95))
    }

    /// For the report.
    pub fn json(&self) -> Value {
        json!({ "p50_ms": self.percentile_ms(0.5), "p95_ms": self.percentile_ms(0.95), "runs": self.sorted_ms.len() })
    }
}
