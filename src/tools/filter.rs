use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::fields;
use crate::call::Problems;
use crate::documents::language::Language;
use crate::search::filter::{Filter, parse_instant};

/// Conditions on documents.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterInput {
    /// Exactly this source, as it was given when the document was stored.
    source: Option<String>,
    /// Metadata that contains this object: {"department": "hr"} or {"tags": ["leave"]} or nested.
    metadata: Option<Map<String, Value>>,
    /// Stored at or after this time: RFC 3339 (2026-03-01T09:00:00Z) or a UTC date (2026-03-01).
    created_after: Option<String>,
    /// Stored before this time: RFC 3339 or a UTC date.
    created_before: Option<String>,
    /// Written in this language: an ISO 639 code such as en or ko.
    language: Option<String>,
}

/// The filter that the conditions make.
pub(super) fn checked(input: FilterInput, problems: &mut Problems) -> Filter {
    if let Some(source) = &input.source {
        fields::source("filter.source", source, problems);
    }
    if let Some(metadata) = &input.metadata {
        fields::metadata("filter.metadata", metadata, problems);
    }
    let created_after = instant("filter.created_after", input.created_after.as_deref(), problems);
    let created_before = instant("filter.created_before", input.created_before.as_deref(), problems);
    if let (Some(after), Some(before)) = (created_after, created_before)
        && after >= before
    {
        problems.add("filter.created_after", "is not before created_before, so nothing could be found");
    }
    let language = input.language.and_then(|code| match Language::from_code(&code) {
        Ok(language) => Some(language.code()),
        Err(unknown) => {
            problems.add("filter.language", unknown);
            None
        }
    });
    Filter {
        source: input.source,
        metadata: input.metadata.map(Value::Object),
        created_after,
        created_before,
        language,
    }
}

/// A moment that the caller gave.
pub(super) fn instant(field: &str, text: Option<&str>, problems: &mut Problems) -> Option<Timestamp> {
    let text = text?;
    let instant = parse_instant(text);
    if instant.is_none() {
        let shown: String = text.chars().take(40).collect();
        problems.add(field, format_args!("is {shown:?}; allowed is RFC 3339 with an offset, like 2026-03-01T09:00:00Z, or a date, like 2026-03-01"));
    }
    instant
}
