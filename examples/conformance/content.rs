//! What the suite's simple tools, prompts and resources answer.

use serde_json::{Value, json};

/// A picture of one red pixel.
const IMAGE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";
/// A sound of no length.
const SOUND: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn image() -> Value {
    json!({ "type": "image", "data": IMAGE, "mimeType": "image/png" })
}

/// The names and descriptions of the tools without arguments, of this file and of `rounds`.
const TOOLS: [(&str, &str); 19] = [
    ("test_simple_text", "Answers with a text"),
    ("test_image_content", "Answers with a picture"),
    ("test_audio_content", "Answers with a sound"),
    ("test_embedded_resource", "Answers with a resource"),
    ("test_multiple_content_types", "Answers with several kinds of content"),
    ("test_error_handling", "Always fails"),
    ("test_tool_with_logging", "Sends lines of a log while it works"),
    ("test_tool_with_progress", "Tells how far it has come while it works"),
    ("test_logging_tool", "Sends lines of a log where the request wants them"),
    ("test_missing_capability", "Needs a client that can sample"),
    ("test_streaming_elicitation", "Asks the user on its stream"),
    ("test_input_required_result_elicitation", "Asks for a name"),
    ("test_input_required_result_sampling", "Asks the client's model"),
    ("test_input_required_result_list_roots", "Asks for the client's roots"),
    ("test_input_required_result_request_state", "Asks, and wants its state back"),
    ("test_input_required_result_multiple_inputs", "Asks three things at once"),
    ("test_input_required_result_multi_round", "Asks twice"),
    ("test_input_required_result_tampered_state", "Notices when its state was changed"),
    ("test_input_required_result_capabilities", "Asks only what the client can answer"),
];

/// The result of a tool that needs nothing; none if it is none of these.
pub fn of_tool(name: &str) -> Option<Value> {
    let content = match name {
        "test_simple_text" => vec![text("This is a simple text response for testing.")],
        "test_image_content" => vec![image()],
        "test_audio_content" => vec![json!({ "type": "audio", "data": SOUND, "mimeType": "audio/wav" })],
        "test_embedded_resource" => {
            vec![resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")]
        }
        "test_multiple_content_types" => vec![
            text("Multiple content types test:"),
            image(),
            resource("test://mixed-content-resource", "application/json", "{\"test\":\"data\",\"value\":123}"),
        ],
        "json_schema_2020_12_tool" | "test_x_mcp_header" => vec![text("Called.")],
        "test_error_handling" => {
            return Some(
                json!({ "isError": true, "content": [text("This tool intentionally returns an error for testing")] }),
            );
        }
        _ => return None,
    };
    Some(json!({ "content": content }))
}

fn resource(uri: &str, mime_type: &str, text: &str) -> Value {
    json!({ "type": "resource", "resource": { "uri": uri, "mimeType": mime_type, "text": text } })
}

/// The tools, as they are listed.
pub fn tools() -> Value {
    let plain = TOOLS.map(|(name, description)| {
        json!({ "name": name, "description": description, "inputSchema": { "type": "object", "properties": {} } })
    });
    let region =
        json!({ "type": "object", "properties": { "region": { "type": "string", "x-mcp-header": "Region" } } });
    let others = [
        json!({ "name": "json_schema_2020_12_tool", "description": "Has a schema of the 2020-12 draft", "inputSchema": schema_2020_12() }),
        json!({ "name": "test_x_mcp_header", "description": "Has an argument that stands in a header, too", "inputSchema": region }),
    ];
    plain.into_iter().chain(others).collect()
}

/// A schema that uses what the 2020-12 draft has.
fn schema_2020_12() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": { "$anchor": "addressDef", "type": "object", "properties": { "street": { "type": "string" }, "city": { "type": "string" } } },
        },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}

/// The prompts, as they are listed.
pub fn prompts() -> Value {
    json!({ "prompts": [
        { "name": "test_simple_prompt", "description": "A prompt without arguments" },
        { "name": "test_prompt_with_arguments", "description": "A prompt with arguments", "arguments": [
            { "name": "arg1", "description": "First test argument", "required": true },
            { "name": "arg2", "description": "Second test argument", "required": true },
        ] },
        { "name": "test_prompt_with_embedded_resource", "description": "A prompt with a resource", "arguments": [
            { "name": "resourceUri", "description": "URI of the resource to embed", "required": true },
        ] },
        { "name": "test_prompt_with_image", "description": "A prompt with a picture" },
        { "name": "test_input_required_result_prompt", "description": "A prompt that asks first" },
    ] })
}

/// A prompt's messages; none if there is no such prompt.
pub fn of_prompt(name: &str, argument: impl Fn(&str) -> String) -> Option<Value> {
    let contents = match name {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            vec![text(&format!("Prompt with arguments: arg1='{}', arg2='{}'", argument("arg1"), argument("arg2")))]
        }
        "test_prompt_with_embedded_resource" => vec![
            resource(&argument("resourceUri"), "text/plain", "Embedded resource content for testing."),
            text("Please process the embedded resource above."),
        ],
        "test_prompt_with_image" => vec![image(), text("Please analyze the image above.")],
        _ => return None,
    };
    let messages: Vec<_> = contents.into_iter().map(|content| json!({ "role": "user", "content": content })).collect();
    Some(json!({ "messages": messages }))
}

/// The resources, as they are listed.
pub fn resources() -> Value {
    json!({ "resources": [
        { "uri": "test://static-text", "name": "Static text", "mimeType": "text/plain" },
        { "uri": "test://static-binary", "name": "Static picture", "mimeType": "image/png" },
        { "uri": "test://watched-resource", "name": "Watched", "mimeType": "text/plain" },
    ] })
}

/// A resource's contents; none if there is no such resource.
pub fn of_resource(uri: &str) -> Option<Value> {
    let of_template = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
    let contents = match (uri, of_template) {
        ("test://static-text", _) => {
            json!({ "uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource." })
        }
        ("test://static-binary", _) => json!({ "uri": uri, "mimeType": "image/png", "blob": IMAGE }),
        ("test://watched-resource", _) => {
            json!({ "uri": uri, "mimeType": "text/plain", "text": "Watched resource content" })
        }
        (_, Some(id)) => {
            let text = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
            json!({ "uri": uri, "mimeType": "application/json", "text": text.to_string() })
        }
        _ => return None,
    };
    Some(json!({ "contents": [contents] }))
}
