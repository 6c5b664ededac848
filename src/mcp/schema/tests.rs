//! Sample types, with everything that a tool's types may hold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::*;

/// How rows are grouped.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum GroupBy {
    /// One row for each UTC day.
    Day,
    /// One row for each
    /// UTC month.
    Month,
    User,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Ok,
    Exceeded,
}

/// Which documents.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// Only these sources.
    source: Option<String>,
    created_after: Option<jiff::Timestamp>,
    day: Option<jiff::civil::Date>,
    metadata: Option<Map<String, Value>>,
}

/// A search.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Search {
    /// Words to look for.
    query: String,
    query_embedding: Option<Vec<f32>>,
    /// 1 to 50; 10 when absent.
    #[schemars(range(min = 1, max = 50))]
    limit: Option<u32>,
    #[serde(default = "half")]
    bm25_weight: f64,
    /// Narrows the search.
    filter: Option<Filter>,
    group_by: Option<GroupBy>,
    groups: Vec<GroupBy>,
    status: Option<Status>,
    document_id: uuid::Uuid,
    anything: Value,
    maybe_anything: Option<Value>,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    explain: bool,
}

fn half() -> f64 {
    0.5
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Tree {
    name: String,
    /// The branches below.
    children: Vec<Tree>,
    parent: Option<Box<Tree>>,
    twig: Option<Twig>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Twig {
    leaf: Option<Box<Twig>>,
}

/// An enum with data, which must not be a union at the root.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Choice {
    Circle { radius: f64, colour: Option<String> },
    Square { side: f64, colour: Option<String>, name: String },
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Answer {
    written: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped: Option<String>,
    rows: Vec<Option<i64>>,
    nested: Vec<Inner>,
    #[serde(default)]
    always: u64,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Inner {
    choice: Choice,
    written: Option<GroupBy>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Nothing {}

#[test]
fn an_input_is_plain() {
    let schema = input_schema::<Search>();
    assert_eq!(lint(&schema), Vec::<String>::new());
    insta::assert_json_snapshot!(schema);
}

#[test]
fn only_what_must_be_given_is_required() {
    let schema = input_schema::<Search>();
    assert_eq!(schema["required"], json!(["query", "groups", "document_id", "anything", "labels"]));
    assert_eq!(input_schema::<Filter>().get("required"), None);
    let output = output_schema::<Answer>();
    assert_eq!(output["required"], json!(["rows", "nested", "always"]));
}

#[test]
fn unknown_fields_are_denied_where_the_type_denies_them() {
    assert_eq!(input_schema::<Search>()["additionalProperties"], false);
    assert_eq!(input_schema::<Tree>().get("additionalProperties"), None);
}

#[test]
fn an_enum_is_a_list_of_strings_with_their_meaning() {
    let schema = input_schema::<Search>();
    let group_by = &schema["properties"]["group_by"];
    assert_eq!(group_by["type"], "string");
    let mut values: Vec<&str> = group_by["enum"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, ["day", "month", "user"]);
    let description = group_by["description"].as_str().unwrap();
    assert!(description.contains("- `day`: One row for each UTC day."), "{description}");
    assert!(description.contains("- `month`: One row for each UTC month."), "{description}");
    assert_eq!(schema["properties"]["status"], json!({"type": "string", "enum": ["OK", "EXCEEDED"]}));
}

#[test]
fn any_json_and_maps_stay_open() {
    let schema = input_schema::<Search>();
    assert_eq!(schema["properties"]["anything"], json!({}));
    let filter = &schema["properties"]["filter"]["properties"];
    assert_eq!(filter["metadata"]["type"], "object");
    assert_ne!(filter["metadata"].get("additionalProperties"), Some(&json!(false)));
    assert_eq!(filter["created_after"], json!({"type": "string", "format": "date-time"}));
    assert_eq!(filter["day"]["format"], "date");
    assert_eq!(schema["properties"]["document_id"]["format"], "uuid");
    assert_eq!(schema["properties"]["limit"]["maximum"], 50);
}

#[test]
fn a_recursive_type_ends_in_a_plain_object() {
    for schema in [input_schema::<Tree>(), output_schema::<Tree>(), input_schema::<Twig>()] {
        assert_eq!(lint(&schema), Vec::<String>::new(), "{schema:?}");
    }
    let children = &input_schema::<Tree>()["properties"]["children"];
    assert_eq!(children["items"]["type"], "object");
    assert_eq!(children["description"], "The branches below.");
}

#[test]
fn an_enum_at_the_root_is_one_object() {
    let schema = input_schema::<Choice>();
    assert_eq!(lint(&schema), Vec::<String>::new());
    assert_eq!(schema["required"], json!(["kind"]));
    assert_eq!(schema["properties"]["kind"]["enum"], json!(["circle", "square"]));
    assert!(schema["properties"]["radius"].is_object() && schema["properties"]["name"].is_object());
    for odd in [
        input_schema::<GroupBy>(),
        input_schema::<Value>(),
        input_schema::<Nothing>(),
        input_schema::<Option<String>>(),
    ] {
        assert_eq!(odd["type"], "object");
    }
    assert_eq!(lint(&input_schema::<Nothing>()), Vec::<String>::new());
}

#[test]
fn nulls_that_an_output_would_write_are_found() {
    let mut found = written_nulls::<Answer>();
    found.sort_unstable();
    let choice = "/properties/nested/items/properties/choice/oneOf";
    assert_eq!(
        found,
        [
            format!("{choice}/0/properties/colour"),
            format!("{choice}/1/properties/colour"),
            "/properties/nested/items/properties/written".to_owned(),
            "/properties/rows/items".to_owned(),
            "/properties/written".to_owned(),
        ]
    );
}

#[test]
fn lint_finds_what_schemars_leaves() {
    let raw = schemars::schema_for!(Search).to_value();
    let found = lint(raw.as_object().unwrap()).join("\n");
    for complaint in ["$ref", "$defs", "$schema", "default", "a list of types", "null in anyOf", "format \"uint32\""] {
        assert!(found.contains(complaint), "{complaint} in\n{found}");
    }
    let raw = schemars::schema_for!(Choice).to_value();
    assert!(lint(raw.as_object().unwrap()).contains(&"oneOf at the root".to_owned()));
}
