use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on stderr, where that is a terminal, for so many of something; one that only counts where that is not known.
pub(super) fn counter(what: &'static str, total: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(5));
    let template = match total {
        Some(_) => format!("{{wide_bar}} {{pos}}/{{len}} {what} ({{per_sec}}, {{eta}} left) {{msg}}"),
        None => format!("{{spinner}} {{pos}} {what} ({{per_sec}}) {{msg}}"),
    };
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style);
    }
    bar
}
