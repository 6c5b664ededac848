//! Between rows and what stands in a file.

use pgvector::{HalfVector, Vector};
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use super::format::{Chunk, Document, Floats, Header, Tenant};
use crate::db::DbError;

/// The header, as `administration/export_header` reads it.
pub(super) fn header(row: &Row) -> Result<Header, DbError> {
    let models: Value = row.try_get("models")?;
    Ok(Header {
        format: super::FORMAT.to_owned(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        exported_at: jiff::Timestamp::now(),
        tenant: Tenant {
            id: row.try_get("id")?,
            slug: row.try_get("slug")?,
            name: row.try_get("name")?,
            status: row.try_get("status")?,
            settings: row.try_get("settings")?,
            max_documents: row.try_get("max_documents")?,
            max_storage_mb: row.try_get("max_storage_mb")?,
            monthly_budget_usd: row.try_get("monthly_budget_usd")?,
        },
        dimensions: row.try_get("dimensions")?,
        models: serde_json::from_value(models).map_err(|error| DbError::Other(error.to_string()))?,
    })
}

/// A document, as `administration/export_documents` reads it.
pub(super) fn document(row: &Row) -> Result<Document, DbError> {
    let starts: Vec<i32> = row.try_get("starts")?;
    let ends: Vec<i32> = row.try_get("ends")?;
    let tokens: Vec<i32> = row.try_get("tokens")?;
    let models: Vec<Option<String>> = row.try_get("models")?;
    let embeddings: Vec<Option<HalfVector>> = row.try_get("embeddings")?;
    let chunks = starts.into_iter().zip(ends).zip(tokens).zip(models).zip(embeddings);
    let chunks = chunks.map(|((((char_start, char_end), token_count), model), embedding)| Chunk {
        char_start,
        char_end,
        token_count,
        model,
        // Each half is a float exactly.
        embedding: embedding.map(|vector| Floats(vector.to_vec().into_iter().map(f32::from).collect())),
    });
    let metadata = match row.try_get("metadata")? {
        Value::Object(metadata) => metadata,
        _ => return Err(DbError::Other("metadata that are no object".to_owned())),
    };
    Ok(Document {
        id: row.try_get("id")?,
        title: row.try_get("title")?,
        content: row.try_get("content")?,
        source: row.try_get("source")?,
        metadata,
        language: row.try_get("language")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        embedding_status: row.try_get("embedding_status")?,
        embedding_model: row.try_get("embedding_model")?,
        embedding: row.try_get::<_, Option<Vector>>("embedding")?.map(|vector| Floats(vector.to_vec())),
        chunks: chunks.collect(),
    })
}

/// Documents as columns, for `administration/import_documents`.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub ids: Vec<Uuid>,
    pub titles: Vec<String>,
    pub contents: Vec<String>,
    pub sources: Vec<Option<String>>,
    pub metadata: Vec<Value>,
    pub languages: Vec<String>,
    pub created: Vec<jiff::Timestamp>,
    pub updated: Vec<jiff::Timestamp>,
    pub statuses: Vec<String>,
    pub models: Vec<Option<String>>,
    pub embeddings: Vec<Option<Vector>>,
    pub places: Vec<i32>,
    pub ordinals: Vec<i32>,
    pub starts: Vec<i32>,
    pub ends: Vec<i32>,
    pub tokens: Vec<i32>,
    pub chunk_embeddings: Vec<Option<HalfVector>>,
    pub chunk_models: Vec<Option<i16>>,
}

impl Columns {
    /// Adds a document; `model_id` knows the models of its vectors.
    pub fn push(&mut self, document: Document, model_id: impl Fn(&str) -> Option<i16>) {
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        self.ids.push(document.id);
        self.titles.push(document.title);
        self.contents.push(document.content);
        self.sources.push(document.source);
        self.metadata.push(Value::Object(document.metadata));
        self.languages.push(document.language);
        self.created.push(document.created_at);
        self.updated.push(document.updated_at);
        self.statuses.push(document.embedding_status);
        self.models.push(document.embedding_model);
        self.embeddings.push(document.embedding.map(|floats| floats.0.into()));
        for (ordinal, chunk) in document.chunks.into_iter().enumerate() {
            self.places.push(count(self.ids.len()));
            self.ordinals.push(count(ordinal));
            self.starts.push(chunk.char_start);
            self.ends.push(chunk.char_end);
            self.tokens.push(chunk.token_count);
            self.chunk_models.push(chunk.model.as_deref().filter(|_| chunk.embedding.is_some()).and_then(&model_id));
            self.chunk_embeddings.push(chunk.embedding.map(|floats| HalfVector::from_f32_slice(&floats.0)));
        }
    }
}
