use serde_json::Value;
use sha2::{Digest, Sha256};

use super::chunking::Chunk;
use super::cutting::Cutting;
use super::idempotency::Fingerprint;
use super::language::Language;
use super::update::stretches;

/// A checked document to store.
#[derive(Debug, Clone)]
pub struct NewDocument {
    /// Its title.
    pub title: String,
    /// Its text.
    pub content: String,
    /// Where it came from.
    pub source: Option<String>,
    /// A JSON object.
    pub metadata: Value,
    /// The caller's vector for the whole document.
    pub embedding: Option<OwnEmbedding>,
    /// Its language; detected if absent, else the tenant's default.
    pub language: Option<Language>,
    /// Whether it takes the place of the document with the same source.
    pub replace: bool,
    /// What the text itself says: made once, before there is a transaction.
    pub analysis: Analysis,
}

impl NewDocument {
    pub(super) fn fingerprint(&self, into: &mut Fingerprint) {
        into.feed(self.title.as_bytes());
        into.feed(self.content.as_bytes());
        into.feed_optional(self.source.as_deref().map(str::as_bytes));
        into.feed(self.metadata.to_string().as_bytes());
        into.feed_optional(self.language.map(|language| language.code().as_bytes()));
        into.feed_vector(self.embedding.as_ref().map(|embedding| embedding.vector.as_slice()));
        into.feed(&[u8::from(self.replace)]);
    }

    /// The texts of its passages.
    pub(super) fn passages(&self) -> Vec<&str> {
        let spans: Vec<_> = self.analysis.chunks.iter().map(|chunk| (chunk.char_start, chunk.char_end)).collect();
        stretches(&self.content, &spans)
    }

    /// What it takes of the tenant's storage quota.
    pub(super) fn storage_bytes(&self) -> i64 {
        i64::try_from(self.title.len() + self.content.len()).unwrap_or(i64::MAX)
    }
}

/// What a text shows by itself.
#[derive(Debug, Clone, Default)]
pub struct Analysis {
    pub(super) chunks: Vec<Chunk>,
    pub(super) language: Option<Language>,
    /// As the column `content_sha256`.
    pub(super) sha256: Vec<u8>,
}

impl Analysis {
    /// Cuts a text into chunks and guesses its language.
    #[must_use]
    pub fn of(content: &str, cutting: &Cutting) -> Self {
        let language = Language::detect(content);
        Self {
            chunks: cutting.chunks(content, language),
            language,
            sha256: Sha256::digest(content.as_bytes()).to_vec(),
        }
    }

    /// Number of passages.
    #[must_use]
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    pub(super) fn column(&self, of: fn(&Chunk) -> i32) -> Vec<i32> {
        self.chunks.iter().map(of).collect()
    }
}

/// A vector that the caller computed.
#[derive(Debug, Clone)]
pub struct OwnEmbedding {
    /// The database's number of dimensions, not all zero.
    pub vector: Vec<f32>,
    /// The model it is of: `embedding_models.id` and name.
    pub model: (i16, String),
}
