//! Whole numbers. A2A's data is a `google.protobuf.Value`, which has floating point alone: clients that speak protobuf say 10.0 for
//! 10, and the crate that writes our answers does, too, although ProtoJSON has it written as 10.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde_json::Value;

/// Larger than any answer of ours, in bytes.
const LARGEST: usize = 64 << 20;

/// Whole numbers as such.
pub(super) fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            // What a double holds exactly.
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => Value::from(float as i64),
            _ => Value::Number(number),
        },
        Value::Array(list) => list.into_iter().map(whole).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, whole(value))).collect(),
        other => other,
    }
}

/// Writes the whole numbers of an answer as such.
pub(super) async fn whole_ones(request: Request, next: Next) -> Response {
    let (mut parts, body) = next.run(request).await.into_parts();
    let is_json = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !is_json {
        return Response::from_parts(parts, body);
    }
    parts.headers.remove(CONTENT_LENGTH);
    // It is in memory already: the crate writes an answer whole.
    let bytes = axum::body::to_bytes(body, LARGEST).await.unwrap_or_default();
    let body = match serde_json::from_slice::<Value>(&bytes) {
        Ok(answer) => Body::from(whole(answer).to_string()),
        Err(_) => Body::from(bytes),
    };
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_are_written_as_such_and_others_stay() {
        let given = json!({ "a": 0.0, "b": [10.0, -3.0, 0.5, 1e300, 7], "c": { "d": "1.0", "e": null, "f": 9e15 } });
        let written = r#"{"a":0,"b":[10,-3,0.5,1e+300,7],"c":{"d":"1.0","e":null,"f":9000000000000000.0}}"#;
        assert_eq!(whole(given).to_string(), written);
    }
}
