use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging to stderr: stdout belongs to JSON-RPC.
pub(super) fn start(filter: &str) -> Result<(), String> {
    let mut filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .parse(scoped(filter))
        .map_err(|error| format!("BAILIWICK_LOG is {filter:?}, which is no filter: {error}"))?;
    // rmcp logs whole messages, and with them documents and queries: from warnings downwards it must stay silent.
    for quiet in ["rmcp=error", "tokio_postgres=warn"] {
        if let Ok(directive) = quiet.parse() {
            filter = filter.add_directive(directive);
        }
    }
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    Ok(())
}

/// A bare level is meant for this program, not for its libraries.
fn scoped(filter: &str) -> String {
    match filter.trim().parse::<LevelFilter>() {
        Ok(level) => format!("warn,bailiwick={level}"),
        Err(_) => filter.to_owned(),
    }
}
