//! JSON Schemas of tool inputs and outputs, in the plain form that every MCP client understands.
//!
//! schemars describes a type exactly; clients choke on how. Some reject `$ref`, types that are
//! lists, `null`, formats they do not know, or a union at the root (and with it the whole list of
//! tools), and Claude Desktop demands any parameter that has a `default`. So the schema is inlined
//! and simplified here, and [`lint()`] tells in tests whatever remains. The dialect is JSON Schema
//! 2020-12, MCP's default, so that `$schema` can be left out (MCP 2025-11-25, SEP-1613).

mod lint;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

pub use lint::{lint, written_nulls};

/// Formats that clients know; schemars' others (`uint32`, `double`, …) are dropped.
const FORMATS: [&str; 6] = ["date", "date-time", "duration", "email", "time", "uuid"];
const UNIONS: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// The schema of what a tool accepts as `T`.
pub fn input_schema<T: JsonSchema>() -> Map<String, Value> {
    let mut schema = flatten(inlined::<T>(SchemaSettings::draft2020_12().for_deserialize()));
    // Some clients want to see that a tool without arguments has none.
    schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    schema
}

/// The schema of what a tool answers as `T`.
///
/// It says nothing of null, so that an absent value must not be written as null: optional fields of
/// output types need `#[serde(skip_serializing_if = "Option::is_none")]`. [`written_nulls`] finds
/// those that lack it.
pub fn output_schema<T: JsonSchema>() -> Map<String, Value> {
    flatten(inlined::<T>(SchemaSettings::draft2020_12().for_serialize()))
}

/// What schemars says, with references in recursive types alone.
fn inlined<T: JsonSchema>(settings: SchemaSettings) -> Map<String, Value> {
    let settings = settings.with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    match settings.into_generator().into_root_schema_for::<T>().to_value() {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

fn flatten(mut schema: Map<String, Value>) -> Map<String, Value> {
    let root = schema.clone();
    simplify(&mut schema, &root);
    merge_root_union(&mut schema);
    // The tool has a name and a description of its own.
    schema.remove("title");
    schema.remove("description");
    schema.insert("type".into(), "object".into());
    schema
}

/// Simplifies one schema and all within it; `root` is where references lead.
fn simplify(schema: &mut Map<String, Value>, root: &Map<String, Value>) {
    for keyword in ["$schema", "$defs", "definitions", "default"] {
        schema.remove(keyword);
    }
    drop_null(schema);
    cut_reference(schema, root);
    unions_of_constants(schema);
    if let Some(constant) = schema.remove("const") {
        schema.insert("enum".into(), json!([constant]));
    }
    let known = |format: &Value| format.as_str().is_some_and(|format| FORMATS.contains(&format));
    if schema.get("format").is_some_and(|format| !known(format)) {
        schema.remove("format");
    }
    // What deny_unknown_fields becomes beside flattened fields, which are merged by now.
    if schema.get("unevaluatedProperties") == Some(&Value::Bool(false)) && !has_union(schema) {
        schema.remove("unevaluatedProperties");
        schema.insert("additionalProperties".into(), false.into());
    }
    nullable_is_not_required(schema);
    for (keyword, value) in schema.iter_mut() {
        match (keyword.as_str(), value) {
            ("properties" | "patternProperties", Value::Object(children)) => {
                children.values_mut().for_each(|child| simplify_value(child, root));
            }
            ("items" | "contains" | "not" | "propertyNames", child) => simplify_value(child, root),
            // A boolean is plain enough here.
            ("additionalProperties", child @ Value::Object(_)) => simplify_value(child, root),
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(children)) => {
                children.iter_mut().for_each(|child| simplify_value(child, root));
            }
            _ => {}
        }
    }
}

fn simplify_value(value: &mut Value, root: &Map<String, Value>) {
    match value {
        Value::Object(schema) => simplify(schema, root),
        // "Anything", as serde_json::Value is described.
        Value::Bool(true) => *value = json!({}),
        _ => {}
    }
}

/// A type within itself is described once, and then by its JSON type alone.
fn cut_reference(schema: &mut Map<String, Value>, root: &Map<String, Value>) {
    let Some(reference) = schema.remove("$ref") else {
        return;
    };
    let path = reference.as_str().unwrap_or_default().trim_start_matches('#');
    let definition = path
        .strip_prefix("/$defs/")
        .map_or(Some(root), |name| root.get("$defs")?.get(name.replace("~1", "/").replace("~0", "~"))?.as_object());
    let json_type = definition.and_then(|definition| definition.get("type")?.as_str());
    schema.insert("type".into(), json_type.unwrap_or("object").into());
}

fn is_null(schema: &Value) -> bool {
    schema.get("type") == Some(&"null".into()) || schema.get("const") == Some(&Value::Null)
}

/// Whether null is among what a schema allows (but not that it allows anything).
fn allows_null(schema: &Value) -> bool {
    let lists = |keyword: &str, test: &dyn Fn(&Value) -> bool| {
        schema.get(keyword).and_then(Value::as_array).is_some_and(|list| list.iter().any(test))
    };
    lists("type", &|name| name == "null") || lists("anyOf", &is_null) || lists("oneOf", &is_null)
}

/// An `Option` is what it holds; that it may be absent is said by `required`.
fn drop_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    for union in UNIONS {
        let Some(Value::Array(members)) = schema.get_mut(union) else {
            continue;
        };
        members.retain(|member| !is_null(member));
        if let [Value::Object(only)] = members.as_mut_slice() {
            let only = std::mem::take(only);
            schema.remove(union);
            for (keyword, value) in only {
                // The field's own words say more than its type's.
                schema.entry(keyword).or_insert(value);
            }
            // What came in may have a union or null of its own.
            drop_null(schema);
        }
    }
}

fn nullable_is_not_required(schema: &mut Map<String, Value>) {
    let nullable: Vec<String> = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, property)| allows_null(property))
        .map(|(name, _)| name.clone())
        .collect();
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| !name.as_str().is_some_and(|name| nullable.iter().any(|n| n == name)));
        if required.is_empty() {
            schema.remove("required");
        }
    }
}

/// An enum of unit variants whose variants have descriptions: one list of values, and what they
/// mean in the description.
fn unions_of_constants(schema: &mut Map<String, Value>) {
    for union in ["oneOf", "anyOf"] {
        let members = schema.get(union).and_then(Value::as_array);
        let Some(variants) = members.and_then(|members| members.iter().map(constants).collect::<Option<Vec<_>>>())
        else {
            continue;
        };
        let mut lines: Vec<String> =
            schema.get("description").and_then(Value::as_str).map(str::to_owned).into_iter().collect();
        for (values, description) in &variants {
            if let Some(description) = description {
                let names = values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("`, `");
                lines.push(format!("- `{names}`: {}", description.replace('\n', " ")));
            }
        }
        let values: Value = variants.into_iter().flat_map(|(values, _)| values).collect();
        schema.remove(union);
        schema.insert("type".into(), "string".into());
        schema.insert("enum".into(), values);
        if !lines.is_empty() {
            schema.insert("description".into(), lines.join("\n").into());
        }
    }
}

/// The strings that a schema allows and their description, if it allows some strings alone.
fn constants(schema: &Value) -> Option<(Vec<Value>, Option<&str>)> {
    let values = match (schema.get("const"), schema.get("enum")) {
        (Some(constant), _) => vec![constant.clone()],
        (None, Some(Value::Array(values))) => values.clone(),
        _ => return None,
    };
    let description = schema.get("description").and_then(Value::as_str);
    values.iter().all(Value::is_string).then_some((values, description))
}

fn has_union(schema: &Map<String, Value>) -> bool {
    UNIONS.iter().any(|union| schema.contains_key(*union))
}

/// An enum at the root becomes one object with the properties of all its variants, of which those
/// are required that every variant requires. Wider than the type, whose own check decides.
fn merge_root_union(schema: &mut Map<String, Value>) {
    for union in UNIONS {
        let Some(Value::Array(members)) = schema.remove(union) else {
            continue;
        };
        let mut common: Option<Vec<Value>> = None;
        for member in &members {
            let required = member.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            common = Some(match common {
                // All members of an allOf hold at once, one of the others.
                Some(so_far) if union == "allOf" => so_far.into_iter().chain(required).collect(),
                Some(so_far) => so_far.into_iter().filter(|name| required.contains(name)).collect(),
                None => required,
            });
            merge_properties(schema, member);
        }
        let common = common.unwrap_or_default();
        if let Value::Array(required) = schema.entry("required").or_insert_with(|| json!([])) {
            required.extend(common);
            required.dedup();
        }
        if schema.get("required") == Some(&json!([])) {
            schema.remove("required");
        }
    }
}

fn merge_properties(schema: &mut Map<String, Value>, member: &Value) {
    let Some(theirs) = member.get("properties").and_then(Value::as_object) else {
        return;
    };
    let Value::Object(ours) = schema.entry("properties").or_insert_with(|| json!({})) else {
        return;
    };
    for (name, property) in theirs {
        let known = ours.entry(name.clone()).or_insert_with(|| property.clone());
        // The tag of an internally tagged enum: one value from each variant.
        if let (Some(Value::Array(values)), Some(Value::Array(more))) = (known.get_mut("enum"), property.get("enum")) {
            let new: Vec<Value> = more.iter().filter(|value| !values.contains(value)).cloned().collect();
            values.extend(new);
        }
    }
}

#[cfg(test)]
mod tests;
