//! Finds what is not plain in a schema. For tests over all tools.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::{FORMATS, allows_null, inlined, is_null};

/// Everything in a tool's schema that some client is known to reject, each with its JSON pointer.
/// Empty for a schema from [`super::input_schema`] or [`super::output_schema`] of a sensible type.
pub fn lint(schema: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    if schema.get("type") != Some(&"object".into()) {
        found.push("the root's type is not object".to_owned());
    }
    for keyword in ["anyOf", "oneOf", "allOf", "not", "enum"] {
        if schema.contains_key(keyword) {
            found.push(format!("{keyword} at the root"));
        }
    }
    visit("", schema, &mut |path, schema| {
        found.extend(complaints(schema).into_iter().map(|complaint| format!("{path}: {complaint}")));
    });
    found
}

fn complaints(schema: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for keyword in [
        "$ref",
        "$dynamicRef",
        "$defs",
        "definitions",
        "$schema",
        "default",
        "nullable",
        "const",
        "prefixItems",
        "unevaluatedProperties",
        "if",
    ] {
        if schema.contains_key(keyword) {
            found.push(keyword.to_owned());
        }
    }
    match schema.get("type") {
        Some(Value::Array(_)) => found.push("a list of types".to_owned()),
        Some(Value::String(name)) if name == "null" => found.push("type null".to_owned()),
        _ => {}
    }
    let has = |keyword: &str, test: fn(&Value) -> bool| {
        schema.get(keyword).and_then(Value::as_array).is_some_and(|list| list.iter().any(test))
    };
    for keyword in ["anyOf", "oneOf", "allOf"] {
        if has(keyword, is_null) {
            found.push(format!("null in {keyword}"));
        }
    }
    if has("enum", Value::is_null) {
        found.push("null in enum".to_owned());
    }
    if let Some(format) = schema.get("format")
        && !format.as_str().is_some_and(|format| FORMATS.contains(&format))
    {
        found.push(format!("format {format}"));
    }
    for (name, child) in children(schema) {
        if child.is_boolean() && name != "/additionalProperties" {
            found.push(format!("a boolean schema at {name}"));
        }
    }
    found
}

/// Where `T` writes null, by JSON pointer into its schema: optional fields that lack
/// `skip_serializing_if`, and lists or maps of optional values. A client that validates results
/// against the flattened [`super::output_schema`] would refuse them.
pub fn written_nulls<T: JsonSchema>() -> Vec<String> {
    let mut found = Vec::new();
    let schema = inlined::<T>(SchemaSettings::draft2020_12().for_serialize());
    visit("", &schema, &mut |path, schema| {
        let required = schema.get("required").and_then(Value::as_array);
        for (name, child) in children(schema) {
            let written = match name.strip_prefix("/properties/") {
                Some(field) => required.is_some_and(|r| r.iter().any(|name| name == field)),
                None => name.starts_with("/items") || name.starts_with("/additionalProperties"),
            };
            if written && allows_null(child) {
                found.push(format!("{path}{name}"));
            }
        }
    });
    found
}

fn visit(path: &str, schema: &Map<String, Value>, visitor: &mut dyn FnMut(&str, &Map<String, Value>)) {
    visitor(path, schema);
    for (name, child) in children(schema) {
        if let Value::Object(child) = child {
            visit(&format!("{path}{name}"), child, visitor);
        }
    }
}

/// The schemas directly within a schema, each with its pointer from there.
fn children(schema: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut children = Vec::new();
    for (keyword, value) in schema {
        match (keyword.as_str(), value) {
            ("properties" | "patternProperties" | "$defs" | "definitions", Value::Object(map)) => {
                children.extend(map.iter().map(|(name, child)| (format!("/{keyword}/{name}"), child)));
            }
            ("items" | "contains" | "not" | "propertyNames" | "additionalProperties", child) => {
                children.push((format!("/{keyword}"), child));
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(list)) => {
                let numbered = list.iter().enumerate();
                children.extend(numbered.map(|(at, child)| (format!("/{keyword}/{at}"), child)));
            }
            _ => {}
        }
    }
    children
}
