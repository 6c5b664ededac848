use std::path::Path;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Plain text, in whatever encoding.
    Text,
    /// Markdown, maybe with YAML front matter.
    Markdown,
    /// HTML.
    Html,
    /// PDF with text in it.
    Pdf,
    /// A Word document (Office Open XML).
    Docx,
    /// A JSON object a line: title, content, source, metadata, language.
    Jsonl,
}

/// Files whose text is longer than a document can be are not even read.
const LARGEST_TEXT_BYTES: u64 = 8 << 20;
/// Markup and pictures take room beside the text.
const LARGEST_HTML_BYTES: u64 = 32 << 20;
const LARGEST_BINARY_BYTES: u64 = 256 << 20;

impl Format {
    /// By the ending of a file's name; `None` for what is not known to be text.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match ending.as_str() {
            "txt" | "text" | "rst" | "adoc" | "org" => Self::Text,
            "md" | "markdown" | "mdx" => Self::Markdown,
            "html" | "htm" | "xhtml" => Self::Html,
            "pdf" => Self::Pdf,
            "docx" => Self::Docx,
            "jsonl" | "ndjson" => Self::Jsonl,
            _ => return None,
        })
    }

    /// As metadata and `--format` name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Jsonl => "jsonl",
        }
    }

    /// The largest file of the kind that is read, in bytes; a stream of lines may be of any size.
    #[must_use]
    pub const fn largest_bytes(self) -> u64 {
        match self {
            Self::Text | Self::Markdown => LARGEST_TEXT_BYTES,
            Self::Html => LARGEST_HTML_BYTES,
            Self::Pdf | Self::Docx => LARGEST_BINARY_BYTES,
            Self::Jsonl => u64::MAX,
        }
    }
}
