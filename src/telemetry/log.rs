use std::io::IsTerminal;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use crate::configuration::LogFormat;

/// Lines on stderr: stdout belongs to JSON-RPC.
pub(super) fn layer<S>(filter: &str, format: LogFormat) -> Result<Box<dyn Layer<S> + Send + Sync>, String>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let wanted = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .parse(scoped(filter))
        .map_err(|error| format!("BAILIWICK_LOG is {filter:?}, which is no filter: {error}"))?;
    // A line names its request and its call at whatever level lines are wanted.
    let filter = wanted.or(filter_fn(places_a_line)).and(filter_fn(may_be_told));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    Ok(match format {
        LogFormat::Text => {
            lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).with_filter(filter).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_filter(filter).boxed(),
    })
}

/// Whether it is a span of ours that says which request or call a line is about.
fn places_a_line(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO && is_ours(metadata)
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().split("::").next() == Some("bailiwick")
}

/// Below warnings libraries may print what passes through them (`rmcp` whole messages, with the documents and queries in
/// them; `tokio_postgres` statements and notices), so no filter, however precise, lets that through.
fn may_be_told(metadata: &Metadata<'_>) -> bool {
    let quietest = match metadata.target().split("::").next() {
        _ if is_ours(metadata) => Level::TRACE,
        // Of a message's way it tells what a client that has gone brings about at will.
        Some("rmcp") if metadata.target() == "rmcp::service" => return false,
        Some("rmcp") => Level::ERROR,
        _ => Level::WARN,
    };
    *metadata.level() <= quietest
}

/// A bare level is meant for this program, not for its libraries.
fn scoped(filter: &str) -> String {
    match filter.trim().parse::<LevelFilter>() {
        Ok(level) => format!("warn,bailiwick={level}"),
        Err(_) => filter.to_owned(),
    }
}
