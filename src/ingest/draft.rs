use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::format::Format;
use crate::call::Problems;
use crate::documents::language::Language;
use crate::tools::fields;

const LONGEST_TITLE: usize = 500;

/// A document that was found.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// What a person calls it: a path, and for a line its number.
    pub origin: String,
    pub title: String,
    pub content: String,
    pub source: Option<String>,
    pub metadata: Map<String, Value>,
    pub language: Option<String>,
    /// Whether it takes the place of what its source said before.
    pub replace: bool,
    /// Whether it is a line of a stream: of lines with one source the last counts, of files the first.
    pub is_line: bool,
}

/// What a file's text and fields came to, before it is known what the flags say.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Extracted {
    pub title: Option<String>,
    pub content: String,
    pub language: Option<String>,
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// From front matter: where it really came from.
    #[serde(default)]
    pub source: Option<String>,
}

/// What all documents of a run get.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// In the place of the file's path, before its source.
    pub source_prefix: String,
    /// The source of a stream, or of the one file.
    pub source: Option<String>,
    /// Added to each document's own metadata, which wins.
    pub metadata: Map<String, Value>,
    /// Their language, unless they say one.
    pub language: Option<String>,
    /// Whether a source's earlier text is replaced; by the kind of source if absent.
    pub replace: Option<bool>,
}

impl Given {
    /// The source of a file that has none but its place.
    pub(super) fn place_of(&self, origin: &str) -> String {
        format!("{}{origin}", self.source_prefix)
    }

    /// The source of what came by a stream, which is no place to find it at again: itself, so that who sends it again finds it.
    pub(super) fn source_of_stream(&self, bytes: &[u8]) -> String {
        let digest: String = Sha256::digest(bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("{}stdin#{digest}", self.source_prefix)
    }
}

impl Draft {
    /// The document of a file: what it says of itself first, then what its path and the run's flags say.
    pub(super) fn of_file(
        origin: &str,
        format: Format,
        extracted: Extracted,
        modified_at: Option<String>,
        given: &Given,
    ) -> Self {
        let name = origin.rsplit('/').next().unwrap_or(origin);
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let title = extracted.title.filter(|title| !title.trim().is_empty()).unwrap_or_else(|| stem.to_owned());
        let mut metadata = given.metadata.clone();
        metadata.insert("path".to_owned(), origin.into());
        metadata.insert("format".to_owned(), format.name().into());
        metadata.extend(modified_at.map(|at| ("modified_at".to_owned(), at.into())));
        metadata.extend(extracted.metadata);
        let source = extracted.source.or_else(|| given.source.clone());
        Self {
            origin: origin.to_owned(),
            title: shortened(&title),
            content: extracted.content,
            source: Some(source.unwrap_or_else(|| given.place_of(origin))),
            metadata,
            language: extracted.language.or_else(|| given.language.clone()),
            replace: given.replace.unwrap_or(true),
            is_line: false,
        }
    }

    /// What keeps it from being stored, in words.
    pub(super) fn problem(&self) -> Option<String> {
        let mut problems = Problems::default();
        if self.content.trim().is_empty() {
            return Some("has no text".to_owned());
        }
        fields::title("title", &self.title, &mut problems);
        fields::content("content", &self.content, &mut problems);
        if let Some(source) = &self.source {
            fields::source("source", source, &mut problems);
        }
        fields::metadata("metadata", &self.metadata, &mut problems);
        if let Some(Err(unknown)) = self.language.as_deref().map(Language::from_code) {
            problems.add("language", unknown);
        }
        problems.or(()).err().map(|problems| problems.to_string())
    }
}

/// A title in one line, cut to what a document's may have.
fn shortened(title: &str) -> String {
    let line = title.split_whitespace().collect::<Vec<_>>().join(" ").replace('\0', "");
    match line.char_indices().nth(LONGEST_TITLE) {
        Some(_) => line.chars().take(LONGEST_TITLE - 1).chain(['…']).collect(),
        None => line,
    }
}
