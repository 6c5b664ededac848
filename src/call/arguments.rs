//! From the client's JSON to a checked request.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::admission::Permit;
use super::{Problems, Tool};

/// Text, in bytes, that is checked at once: cut into passages in a few milliseconds at most.
const LITTLE_TEXT_BYTES: usize = 2_048;
/// Numbers, members and the like that are checked at once: a vector is.
const FEW_VALUES: usize = 8_192;

/// Reads and checks the arguments, before there is a transaction to keep waiting: at once where they are small, for to wake a
/// thread takes longer than that; else on a thread that may be kept busy (a document is cut into passages here).
///
/// A call that is taken back meanwhile keeps its turn until the thread is done: threads are bounded by turns.
pub(super) async fn prepare<T: Tool>(
    tool: &Arc<T>,
    arguments: Map<String, Value>,
    permit: Option<Arc<Permit>>,
) -> Result<T::Request, Problems> {
    if is_small(&arguments) {
        let arguments = Value::Object(arguments);
        // To keep track of the path costs an allocation for each element, so only an error has it found out.
        return match T::Input::deserialize(&arguments) {
            Ok(input) => tool.check(input),
            Err(_) => tool.check(parse::<T>(arguments)?),
        };
    }
    let tool = Arc::clone(tool);
    let checked = tokio::task::spawn_blocking(move || {
        let _turn = permit;
        tool.check(parse::<T>(Value::Object(arguments))?)
    });
    match checked.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(request) => request,
        // A panic in a check is one of the call's.
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // Only a runtime that shuts down cancels the thread, and with it this call.
        Err(Err(_cancelled)) => std::future::pending().await,
    }
}

fn is_small(arguments: &Map<String, Value>) -> bool {
    let mut text_bytes: usize = arguments.keys().map(String::len).sum();
    let mut values = 0;
    let mut left: Vec<&Value> = arguments.values().collect();
    while let Some(value) = left.pop() {
        values += 1;
        match value {
            Value::String(text) => text_bytes += text.len(),
            Value::Array(array) if values + array.len() <= FEW_VALUES => left.extend(array),
            Value::Object(object) if values + object.len() <= FEW_VALUES => {
                text_bytes += object.keys().map(String::len).sum::<usize>();
                left.extend(object.values());
            }
            Value::Array(_) | Value::Object(_) => return false,
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        if text_bytes > LITTLE_TEXT_BYTES || values > FEW_VALUES {
            return false;
        }
    }
    true
}

/// Reads arguments into the tool's input; the problem names the path of what does not fit.
fn parse<T: Tool>(arguments: Value) -> Result<T::Input, Problems> {
    serde_path_to_error::deserialize(arguments).map_err(|error| {
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
