use rmcp::model::ErrorCode;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// As much of a message of JSON-RPC as tells whether it is one. A name that is given twice is an error: of two, what is before us
/// may have judged the other one.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "given")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    error: Option<&'a RawValue>,
}

/// `null`, too, is something that was given.
fn given<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Among those that a server may give a meaning of its own (JSON-RPC 2.0, section 5.1).
const UNREAD: ErrorCode = ErrorCode(-32_000);

/// What is no message, or gets no answer, and why.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Invalid {
    code: ErrorCode,
    /// The message's, where it has one that could be told; else null (JSON-RPC 2.0, section 5).
    id: Value,
    why: String,
}

impl Invalid {
    pub(super) fn request(id: Value, why: impl Into<String>) -> Self {
        Self { code: ErrorCode::INVALID_REQUEST, id, why: why.into() }
    }

    pub(super) fn parse(error: &serde_json::Error) -> Self {
        Self { code: ErrorCode::PARSE_ERROR, id: Value::Null, why: format!("the body is not JSON: {error}") }
    }

    /// An answer that is not given, for others wait to be read.
    pub(super) fn unread(id: Value, why: impl Into<String>) -> Self {
        Self { code: UNREAD, id, why: why.into() }
    }

    /// The answer that says so.
    pub(super) fn to_json(&self) -> Value {
        json!({ "jsonrpc": "2.0", "id": self.id, "error": { "code": self.code.0, "message": self.why } })
    }
}

/// Whether a body is a request, a notification or an answer of JSON-RPC, as MCP has them: ids are texts or whole numbers, and never
/// null; params are an object (MCP, Base Protocol, Messages).
pub(super) fn judge(body: &[u8]) -> Result<(), Invalid> {
    let envelope = match serde_json::from_slice::<Envelope<'_>>(body) {
        Ok(envelope) => envelope,
        Err(error) if error.is_data() => {
            let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
            let why = if is_object { error.to_string() } else { "a message is a JSON object".to_owned() };
            return Err(Invalid::request(Value::Null, why));
        }
        Err(error) => return Err(Invalid::parse(&error)),
    };
    let id = envelope.id.map(|id| whole_id(id.get()));
    if let Some(None) = id {
        return Err(Invalid::request(Value::Null, "an id is a text or a whole number of 64 bits, and not null"));
    }
    let id = id.flatten().unwrap_or_default();
    if text(envelope.jsonrpc).as_deref() != Some("2.0") {
        return Err(Invalid::request(id, "a message says \"jsonrpc\": \"2.0\""));
    }
    match envelope.method {
        Some(method) if text(Some(method)).is_none() => Err(Invalid::request(id, "a method is a text")),
        Some(_) if envelope.params.is_some_and(|params| !matches!(params.get().as_bytes(), [b'{', ..] | b"null")) => {
            Err(Invalid { code: ErrorCode::INVALID_PARAMS, ..Invalid::request(id, "params are an object") })
        }
        None if envelope.result.is_none() && envelope.error.is_none() => {
            Err(Invalid::request(id, "a message has a method, or is an answer"))
        }
        _ => Ok(()),
    }
}

/// What is JSON-RPC, and yet nothing that MCP has.
pub(super) fn unknown(body: &[u8]) -> Invalid {
    Invalid::request(id(body), "this is no message of MCP's, or is nested too deeply")
}

/// A message's id, where it can be told; else null.
pub(super) fn id(body: &[u8]) -> Value {
    let id = serde_json::from_slice::<Envelope<'_>>(body).ok().and_then(|envelope| whole_id(envelope.id?.get()));
    id.unwrap_or_default()
}

fn whole_id(text: &str) -> Option<Value> {
    let id: Value = serde_json::from_str(text).ok()?;
    (id.is_string() || id.is_i64()).then_some(id)
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_is_told_with_its_id_where_it_has_one() {
        let code_and_id = |body: &str| judge(body.as_bytes()).err().map(|invalid| (invalid.code.0, invalid.id));
        for good in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":"","method":"ping","params":{}}"#,
            r#" {"method":"ping","id":-9223372036854775808,"jsonrpc":"2.0","params":null,"more":[1]}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.\u0030","id":1,"error":{"code":1,"message":""}}"#,
        ] {
            assert_eq!(code_and_id(good), None, "{good}");
        }
        for (bad, code, id) in [
            ("", -32700, Value::Null),
            ("{", -32700, Value::Null),
            ("\u{0}", -32700, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{"#, -32700, Value::Null),
            ("7", -32600, Value::Null),
            ("null", -32600, Value::Null),
            (r#""{}""#, -32600, Value::Null),
            ("{}", -32600, Value::Null),
            (r#"{"id":7,"method":"ping"}"#, -32600, json!(7)),
            (r#"{"jsonrpc":2.0,"id":7,"method":"ping"}"#, -32600, json!(7)),
            (r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#, -32600, json!("a")),
            (r#"{"jsonrpc":"2.0","id":7}"#, -32600, json!(7)),
            (r#"{"jsonrpc":"2.0","id":7,"method":1}"#, -32600, json!(7)),
            (r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":[]}"#, -32602, json!(7)),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":9223372036854775808,"method":"ping"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#, -32600, Value::Null),
        ] {
            assert_eq!(code_and_id(bad), Some((code, id)), "{bad}");
        }
    }

    #[test]
    fn a_pile_of_brackets_is_judged_without_a_deep_stack() {
        let deep = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
        let message = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":{}}}}}"#, deep(1_000_000));
        assert_eq!(judge(message.as_bytes()), Ok(()));
        assert_eq!(unknown(message.as_bytes()).id, json!(1));
    }
}
