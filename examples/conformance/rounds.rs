//! Tools that ask the client before they answer (MCP 2026-07-28, multi round-trip requests).

use rmcp::ErrorData;
use rmcp::model::{CallToolRequestParams, ClientCapabilities, RequestStateCodec};
use serde_json::{Map, Value, json};

/// Nobody keeps the states of a test's server.
const KEY: &[u8] = b"the conformance fixtures' own key";

fn ask(message: &str, field: &str, kind: &str) -> Value {
    let schema = json!({ "type": "object", "properties": { field: { "type": kind } }, "required": [field] });
    json!({ "method": "elicitation/create", "params": { "mode": "form", "message": message, "requestedSchema": schema } })
}

fn sample(text: &str) -> Value {
    let messages = json!([{ "role": "user", "content": { "type": "text", "text": text } }]);
    json!({ "method": "sampling/createMessage", "params": { "messages": messages, "maxTokens": 100 } })
}

fn roots() -> Value {
    json!({ "method": "roots/list", "params": {} })
}

/// An answer that asks.
pub fn asking(requests: Value, state: Option<&str>) -> Value {
    let mut answer = json!({ "resultType": "input_required", "inputRequests": requests });
    if let Some(state) = state {
        answer["requestState"] = state.into();
    }
    answer
}

/// What a prompt asks first.
pub fn of_prompt() -> Value {
    asking(json!({ "user_context": ask("What context should the prompt use?", "context", "string") }), None)
}

/// The result of one round; none if the tool is none of these.
///
/// # Errors
/// A state that is not ours.
pub fn of_tool(request: &CallToolRequestParams, capabilities: &ClientCapabilities) -> Result<Option<Value>, ErrorData> {
    let codec = RequestStateCodec::try_new(KEY).map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    let state = request.request_state.as_deref().map(|sealed| codec.open(sealed));
    let state = state.transpose().map_err(|error| ErrorData::invalid_params(format!("requestState: {error}"), None))?;
    let sealed = |step: &str| codec.seal(step.as_bytes());
    // Only an object is an answer, whatever stands under its key.
    let answers: Map<String, Value> = request
        .input_responses
        .iter()
        .flatten()
        .filter(|(_, answer)| answer.is_object())
        .map(|(key, answer)| (key.clone(), answer.clone()))
        .collect();
    let has = |key: &str| answers.contains_key(key);
    let done = |text: &str| json!({ "content": [{ "type": "text", "text": text }] });
    let name = || ask("What is your name?", "name", "string");
    Ok(Some(match request.name.as_ref() {
        "test_input_required_result_elicitation" | "test_streaming_elicitation" => match answers.get("user_name") {
            Some(answer) => done(&format!("Hello, {}!", answer["content"]["name"].as_str().unwrap_or("you"))),
            None => asking(json!({ "user_name": name() }), None),
        },
        "test_input_required_result_sampling" if has("capital_question") => {
            done("The model said where the capital is.")
        }
        "test_input_required_result_sampling" => {
            asking(json!({ "capital_question": sample("What is the capital of France?") }), None)
        }
        "test_input_required_result_list_roots" if has("client_roots") => {
            done(&format!("Roots: {}", answers["client_roots"]))
        }
        "test_input_required_result_list_roots" => asking(json!({ "client_roots": roots() }), None),
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            if has("confirm") && state.is_some() {
                done("state-ok")
            } else {
                asking(json!({ "confirm": ask("Please confirm", "ok", "boolean") }), Some(&sealed("confirm")))
            }
        }
        "test_input_required_result_multiple_inputs"
            if state.is_some() && ["user_name", "greeting", "client_roots"].into_iter().all(has) =>
        {
            done("All three came.")
        }
        "test_input_required_result_multiple_inputs" => asking(
            json!({ "user_name": name(), "greeting": sample("Generate a greeting"), "client_roots": roots() }),
            Some(&sealed("three")),
        ),
        "test_input_required_result_multi_round" => match state.as_deref() {
            Some(b"second") if has("step2") => done("Both steps are done."),
            Some(b"first" | b"second") => asking(
                json!({ "step2": ask("Step 2: What is your favorite color?", "color", "string") }),
                Some(&sealed("second")),
            ),
            _ => {
                asking(json!({ "step1": ask("Step 1: What is your name?", "name", "string") }), Some(&sealed("first")))
            }
        },
        "test_input_required_result_capabilities" => {
            let mut requests = Map::new();
            if capabilities.sampling.is_some() {
                requests.insert("greeting".to_owned(), sample("Generate a greeting"));
            }
            if capabilities.elicitation.is_some() {
                requests.insert("user_name".to_owned(), name());
            }
            asking(requests.into(), None)
        }
        _ => return Ok(None),
    }))
}
