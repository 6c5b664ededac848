//! Says what a first start is doing, since it takes seconds.

use std::{sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use crate::telemetry;

/// Where the steps of a slow start are told. Later starts have no slow steps, and so say nothing.
#[derive(Clone, Default)]
pub struct Progress(Sink);

#[derive(Clone, Default)]
enum Sink {
    #[default]
    Silent,
    Stderr,
    Callback(Arc<dyn Fn(&str) + Send + Sync>),
}

impl Progress {
    /// Tells nothing.
    pub fn silent() -> Self {
        Self(Sink::Silent)
    }

    /// A line a step on stderr, with a spinner where that is a terminal.
    pub fn stderr() -> Self {
        Self(Sink::Stderr)
    }

    /// Calls `tell` at the beginning of each step.
    pub fn callback(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Sink::Callback(Arc::new(tell)))
    }

    /// Begins a step, which ends when the returned value is dropped.
    pub(super) fn step(&self, what: &str) -> Step {
        tracing::debug!(step = what, "embedded PostgreSQL");
        match &self.0 {
            Sink::Silent => Step(None),
            Sink::Callback(tell) => {
                tell(what);
                Step(None)
            }
            Sink::Stderr if telemetry::is_watched() => Step(Some(spinner(what))),
            Sink::Stderr => {
                telemetry::announce(&format!("{what} ..."));
                Step(None)
            }
        }
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Sink::Silent => "Progress::silent()",
            Sink::Stderr => "Progress::stderr()",
            Sink::Callback(_) => "Progress::callback(..)",
        })
    }
}

/// A step under way.
#[must_use]
pub(super) struct Step(Option<ProgressBar>);

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(spinner) = self.0.take() {
            // Leaves the line, with the time it took, where the spinner was.
            spinner.finish();
        }
    }
}

fn spinner(what: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed_precise})") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
