//! What the process tells its operator: lines on stderr, spans to an OpenTelemetry collector.
//!
//! Nothing here ever holds a document's or query's text, a credential or a password, whatever level is asked for: the
//! program's own lines and spans name lengths, counts and ids, and of the libraries, some of which print whole messages, only
//! warnings are let through.

mod context;
mod log;
mod panics;
mod traces;

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use context::{RemoteContext, RequestSpan};
pub(crate) use panics::UNREAD;

use crate::configuration::{LogFormat, TelemetryArguments};

/// How lines are written, once that is known.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// The running telemetry; [`Telemetry::end`] sends what is not sent yet.
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Starts it for the whole process: once.
    ///
    /// # Errors
    /// What is wrong with the configuration, for the person at the terminal.
    pub fn start(arguments: &TelemetryArguments) -> Result<Self, String> {
        let lines = log::layer(&arguments.log, arguments.log_format)?;
        let traces = arguments.otlp_endpoint.as_deref().map(str::trim).filter(|endpoint| !endpoint.is_empty());
        let traces = traces.map(traces::provider).transpose()?;
        let spans = traces.as_ref().map(traces::layer);
        // The type of each layer names what lies below it: the boxed one first.
        tracing_subscriber::registry().with(lines).with(spans.map(Layer::boxed)).init();
        panics::tell();
        // The first one stays, as the subscriber does.
        let _ = FORMAT.set(arguments.log_format);
        Ok(Self { traces })
    }

    /// Sends the spans that wait, for some seconds at most.
    pub async fn end(self) {
        let Some(provider) = self.traces else { return };
        // It waits for its own thread, and so must not be on one of ours.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(traces::LAST_SPANS)).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// Tells a person at the terminal where the program stands, on stderr; a machine gets it as a line of the log.
pub fn announce(text: &str) {
    match FORMAT.get() {
        Some(LogFormat::Json) => tracing::info!("{text}"),
        _ => {
            // A closed stderr is no reason to end.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }
}

/// Whether a person at a terminal reads stderr, so that bars and spinners may be drawn there.
#[must_use]
pub fn is_watched() -> bool {
    FORMAT.get() != Some(&LogFormat::Json) && std::io::stderr().is_terminal()
}

/// Tells why the program does not go on that could not start telling anything.
pub fn give_up_untold(format: LogFormat, text: &str) {
    match format {
        LogFormat::Json => {
            let timestamp = jiff::Timestamp::now().to_string();
            let line = json!({ "timestamp": timestamp, "level": "ERROR", "message": text, "target": module_path!() });
            eprintln!("{line}");
        }
        LogFormat::Text => eprintln!("error: {text}"),
    }
}

/// Tells why the program does not go on, in the same way as [`announce`].
pub fn give_up(text: &str) {
    match FORMAT.get() {
        Some(LogFormat::Json) => tracing::error!("{text}"),
        _ => eprintln!("error: {text}"),
    }
}
