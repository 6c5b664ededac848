use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::telemetry;

/// Even where nothing is counted for a while it is to be seen that the program lives.
const TICK: Duration = Duration::from_millis(200);

/// The bar of every command that goes on for a while: so many of something, their rate and what is left, or what was counted where the total
/// is not known. On stderr, and only where a person watches it.
pub(crate) fn counter(what: &str, total: Option<u64>) -> ProgressBar {
    if !telemetry::is_watched() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(5));
    let template = match total {
        Some(_) => format!("{{wide_bar}} {{pos}}/{{len}} {what} ({{per_sec}}, {{eta}} left) {{msg}}"),
        None => format!("{{spinner}} {{pos}} {what} ({{per_sec}}) {{msg}}"),
    };
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// A bar of bytes on stderr, where that is a terminal.
pub(super) fn bytes() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) =
        ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} ({bytes_per_sec}, {eta} left) {msg}")
    {
        bar.set_style(style);
    }
    bar
}
