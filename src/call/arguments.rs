//! From the client's JSON to a checked request.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::admission::Permit;
use super::{Problems, Tool};

/// Reads and checks the arguments, on a thread that may be kept busy (a document is cut into passages here) and before
/// there is a transaction to keep waiting.
///
/// A call that is taken back meanwhile keeps its turn until the thread is done: threads are bounded by turns.
pub(super) async fn prepare<T: Tool>(
    tool: &Arc<T>,
    arguments: Map<String, Value>,
    permit: Option<Arc<Permit>>,
) -> Result<T::Request, Problems> {
    let tool = Arc::clone(tool);
    let checked = tokio::task::spawn_blocking(move || {
        let _turn = permit;
        tool.check(parse::<T>(arguments)?)
    });
    match checked.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(request) => request,
        // A panic in a check is one of the call's.
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // Only a runtime that shuts down cancels the thread, and with it this call.
        Err(Err(_cancelled)) => std::future::pending().await,
    }
}

/// Reads arguments into the tool's input; the problem names the path of what does not fit.
fn parse<T: Tool>(arguments: Map<String, Value>) -> Result<T::Input, Problems> {
    serde_path_to_error::deserialize(Value::Object(arguments)).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "arguments".to_owned() } else { path };
        Problems::one(field, format_args!("does not fit: {}", plain(&error.inner().to_string())))
    })
}

/// serde's words with Rust's type names put into a model's words.
fn plain(text: &str) -> String {
    let Some((given, expected)) = text.rsplit_once("expected ") else { return text.to_owned() };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a map" | "a Map" => "an object",
        "a sequence" => "an array",
        other => other,
    };
    format!("{given}expected {expected}")
}
