//! The bounds of a document's fields, the same wherever they are given.

use serde_json::{Map, Value};

use super::EmbeddingSpace;
use crate::call::{Failure, Problems};
use crate::documents::OwnEmbedding;
use crate::documents::language::Language;

const LONGEST_TITLE: usize = 500;
pub(crate) const LONGEST_CONTENT: usize = 1_000_000;
/// A source is a key of an index, whose entries are bounded in bytes.
const LONGEST_SOURCE_BYTES: usize = 2_000;
const LONGEST_KEY: usize = 200;
const LARGEST_METADATA_BYTES: usize = 16_384;

pub(crate) fn title(field: &str, title: &str, problems: &mut Problems) {
    problems.text(field, title, LONGEST_TITLE);
}

pub(crate) fn content(field: &str, content: &str, problems: &mut Problems) {
    problems.text(field, content, LONGEST_CONTENT);
}

pub(crate) fn source(field: &str, source: &str, problems: &mut Problems) {
    problems.text(field, source, LONGEST_SOURCE_BYTES);
    if holds_a_password(source) {
        problems.add(
            field,
            "is a URL with a password in it, which everybody who finds the document would see; leave it out",
        );
    }
    if source.len() > LONGEST_SOURCE_BYTES && source.chars().count() <= LONGEST_SOURCE_BYTES {
        let bytes = source.len();
        problems.add(field, format_args!("takes {bytes} bytes in UTF-8; at most {LONGEST_SOURCE_BYTES} are allowed"));
    }
}

/// Whoever finds the document sees its source, and so does whoever reads the answer that cites it.
fn holds_a_password(source: &str) -> bool {
    source.parse::<reqwest::Url>().is_ok_and(|url| url.password().is_some())
}

pub(crate) fn metadata(field: &str, metadata: &Map<String, Value>, problems: &mut Problems) {
    problems.metadata(field, metadata, LARGEST_METADATA_BYTES);
}

pub(super) fn idempotency_key(key: Option<&str>, problems: &mut Problems) {
    if let Some(key) = key {
        problems.text("idempotency_key", key, LONGEST_KEY);
    }
}

pub(super) fn language(field: &str, code: Option<&str>, problems: &mut Problems) -> Option<Language> {
    Language::from_code(code?).map_err(|unknown| problems.add(field, unknown)).ok()
}

pub(super) fn embedding(
    field: &str,
    vector: Option<Vec<f32>>,
    space: &EmbeddingSpace,
    problems: &mut Problems,
) -> Option<OwnEmbedding> {
    let vector = vector?;
    let expected = space.expected();
    problems.embedding(field, &vector, expected.dimensions);
    Some(OwnEmbedding { vector, model: (expected.model_id, expected.model_name) })
}

/// An idempotency key that belongs to another request.
pub(super) fn key_was_used() -> Failure {
    let words = "was used before for another request; give a new key for a new one";
    Failure::InvalidInput(Problems::one("idempotency_key", words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_with_a_password_is_refused_and_not_repeated() {
        let refusal = |text: &str| {
            let mut problems = Problems::default();
            source("source", text, &mut problems);
            problems.or(()).err().map(|problems| problems.to_string())
        };
        let told = refusal("https://reader:hunter2@wiki.example/leave").unwrap();
        assert!(told.contains("password") && !told.contains("hunter2"), "{told}");
        for good in [
            "https://wiki.example/leave",
            "https://reader@wiki.example",
            "mailto:a@b.example",
            "notes/a:b@c.md",
            "s3://bucket/key",
        ] {
            assert_eq!(refusal(good), None, "{good}");
        }
    }
}
