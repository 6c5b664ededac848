//! What is in a line.
//!
//! The first is a header, the last an end; between them stands a document a line. Each line is an object that begins with
//! `"crc32"`: the CRC-32 (as zlib has it) of all lines up to and with this one, each without that member and without its line's end. So
//! a line that was changed, moved, doubled or left out is known by its own number. The end has the SHA-256 of everything before it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Names the format in the header; another number is another format.
pub const FORMAT: &str = "bailiwick-tenant-1";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Line {
    Header(Box<Header>),
    Document(Box<Document>),
    End(End),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub format: String,
    /// The program's version.
    pub program: String,
    pub exported_at: Timestamp,
    pub tenant: Tenant,
    /// Of every vector in the file.
    pub dimensions: i32,
    /// Whose vectors they are.
    pub models: Vec<Model>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tenant {
    /// What it was where it came from.
    pub id: Uuid,
    pub slug: String,
    pub name: String,
    /// `active` or `suspended`.
    pub status: String,
    pub settings: Value,
    pub max_documents: Option<i32>,
    pub max_storage_mb: Option<i32>,
    pub monthly_budget_usd: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    pub name: String,
    pub dimensions: i32,
    pub provider: String,
    pub languages: Option<Vec<String>>,
    pub prompt_style: String,
    pub longest_tokens: Option<i32>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub id: Uuid,
    pub title: String,
    pub content: String,
    pub source: Option<String>,
    pub metadata: Map<String, Value>,
    pub language: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// `pending`, `embedded` or `failed`.
    pub embedding_status: String,
    pub embedding_model: Option<String>,
    pub embedding: Option<Floats>,
    /// Its passages, in order.
    pub chunks: Vec<Chunk>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chunk {
    /// The passage is these characters (Unicode scalar values) of the content, half open.
    pub char_start: i32,
    pub char_end: i32,
    pub token_count: i32,
    pub model: Option<String>,
    pub embedding: Option<Floats>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub documents: i64,
    pub chunks: i64,
    /// Of the lines before, uncompressed, in hexadecimal.
    pub sha256: String,
}

/// A vector, written as the base64 of its components: 32-bit floats (IEEE 754), little-endian.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Floats(pub Vec<f32>);

impl Serialize for Floats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|float| float.to_le_bytes()).collect();
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Floats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD.decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        let (floats, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(serde::de::Error::custom("a vector of no whole number of floats"));
        }
        Ok(Self(floats.iter().map(|float| f32::from_le_bytes(*float)).collect()))
    }
}

impl Document {
    /// What is wrong with it, if anything is: what the database would refuse, and what it could not know.
    pub fn fault(&self, header: &Header) -> Option<String> {
        let texts = [Some(&self.title), Some(&self.content), self.source.as_ref()];
        if texts.iter().flatten().any(|text| text.contains('\0')) {
            return Some("a text with a NUL character".to_owned());
        }
        if self.title.trim().is_empty() || self.content.trim().is_empty() {
            return Some("a document without a title or a content".to_owned());
        }
        if !["pending", "embedded", "failed"].contains(&self.embedding_status.as_str()) {
            return Some(format!("the unknown embedding_status {:?}", self.embedding_status));
        }
        let length = i32::try_from(self.content.chars().count()).unwrap_or(i32::MAX);
        let vectors = self.chunks.iter().map(|chunk| (chunk.embedding.as_ref(), chunk.model.as_ref()));
        let vectors = vectors.chain([(self.embedding.as_ref(), self.embedding_model.as_ref())]);
        for (vector, model) in vectors {
            let dimensions = vector.map_or(header.dimensions, |vector| vector.0.len().try_into().unwrap_or(-1));
            if dimensions != header.dimensions {
                return Some(format!(
                    "a vector of {dimensions} dimensions; those of the file have {}",
                    header.dimensions
                ));
            }
            if vector.is_some_and(|vector| vector.0.iter().any(|float| !float.is_finite())) {
                return Some("a vector with a component that is no number".to_owned());
            }
            if let Some(model) = model.filter(|_| vector.is_some())
                && !header.models.iter().any(|known| known.name == *model)
            {
                return Some(format!("a vector of the model {model:?}, which is not in the header"));
            }
        }
        let mut bad = self.chunks.iter().filter(|chunk| {
            chunk.char_start < 0
                || chunk.char_end <= chunk.char_start
                || chunk.char_end > length
                || chunk.token_count < 0
        });
        bad.next().map(|chunk| {
            format!("a passage from {} to {} of a content of {length} characters", chunk.char_start, chunk.char_end)
        })
    }
}
