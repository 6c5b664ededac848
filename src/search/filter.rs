//! Which documents may be found.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A checked filter; an empty one lets every document pass.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Filter {
    /// Exactly this source.
    pub source: Option<String>,
    /// Metadata that contains this JSON object (PostgreSQL's `@>`).
    pub metadata: Option<Value>,
    /// Created at or after this instant.
    pub created_after: Option<Timestamp>,
    /// Created before this instant.
    pub created_before: Option<Timestamp>,
    /// Written in this language (the code kept in `documents.language`).
    pub language: Option<&'static str>,
}

impl Filter {
    /// Whether every document passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether facets tell some documents that do not pass.
    #[must_use]
    pub fn has_facets(&self) -> bool {
        self.source.is_some() || self.language.is_some() || self.metadata.is_some()
    }

    /// Whether a document with all facets of the filter passes, with no need to look at it: there is no date, and the
    /// metadata has no array of objects (whose facets may come from different elements) and nothing empty.
    #[must_use]
    pub fn is_told_by_facets(&self) -> bool {
        let dates = self.created_after.is_some() || self.created_before.is_some();
        !dates
            && self
                .metadata
                .as_ref()
                .is_none_or(|metadata| metadata.as_object().is_some_and(|top| top.values().all(is_plain)))
    }
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::Object(object) => !object.is_empty() && object.values().all(is_plain),
        Value::Array(array) => {
            !array.is_empty() && array.iter().all(|element| !element.is_object() && !element.is_array())
        }
        _ => true,
    }
}

/// Reads an instant: RFC 3339 with an offset, or a date, which means its first moment in UTC.
#[must_use]
pub fn parse_instant(text: &str) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let date = text.parse::<jiff::civil::Date>().ok()?;
    // A civil date also parses from the head of a date-time; only a plain date may go without an offset.
    if text.len() > 10 {
        return None;
    }
    date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}
