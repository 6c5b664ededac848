use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::report::Summary;
use crate::telemetry;

/// How far a run is, on stderr where that is a terminal: bytes read of all, the rate, what is left, documents and failures.
pub struct Progress(ProgressBar);

impl Progress {
    /// For so many bytes; unknown if none.
    #[must_use]
    pub fn start(bytes: u64) -> Self {
        if !telemetry::is_watched() {
            return Self(ProgressBar::hidden());
        }
        let (bar, template) = match bytes {
            0 => (ProgressBar::no_length(), "{spinner} {bytes} ({bytes_per_sec}) {msg}"),
            _ => (ProgressBar::new(bytes), "{wide_bar} {bytes}/{total_bytes} ({bytes_per_sec}, {eta} left) {msg}"),
        };
        bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(super) fn tell(&self, summary: &Summary) {
        self.0.set_position(summary.bytes);
        let rate = summary.documents() as f64 / self.0.elapsed().as_secs_f64().max(0.001);
        self.0.set_message(format!("{} documents ({rate:.0}/s), {} failed", summary.documents(), summary.failed));
    }

    /// A line that stays, above the bar.
    pub(super) fn line(&self, text: &str) {
        self.0.suspend(|| telemetry::announce(text));
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}
