use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::db::{DbError, TenantTransaction};
use crate::identity::{DocumentId, TenantId};

const READ: &str = include_str!("../../sql/queries/documents/read.sql");

/// A part of a document's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// A passage, counted from 0.
    Passage(i32),
    /// Characters, counted from 0, half open.
    Characters {
        /// The first.
        from: i32,
        /// One past the last; to the end if absent.
        to: Option<i32>,
    },
}

/// A document with a part of its text.
#[derive(Debug)]
#[expect(missing_docs, reason = "as the columns of the same names")]
pub struct Read {
    pub title: String,
    pub source: Option<String>,
    pub metadata: Map<String, Value>,
    pub language: String,
    pub embedding_status: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub content_chars: usize,
    pub passages: usize,
    /// The passage that was asked for, if it is there.
    pub passage: Option<usize>,
    /// Where the stretch begins, in characters.
    pub char_start: usize,
    /// Where the stretch ends, however little of it `content` holds.
    pub char_end: usize,
    pub content: String,
}

/// Reads a document with at most `most_chars` characters of a stretch of its text; `None` if there is none of that id.
///
/// # Errors
/// Any [`DbError`].
pub async fn read(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    document_id: DocumentId,
    stretch: Stretch,
    most_chars: i32,
) -> Result<Option<Read>, DbError> {
    let (passage, from, to) = match stretch {
        Stretch::Passage(passage) => (Some(passage), 0, Some(0)),
        Stretch::Characters { from, to } => (None, from, to),
    };
    let rows = transaction.query(READ, &[&tenant_id, &document_id, &passage, &from, &to, &most_chars]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let count = |column| Ok::<_, DbError>(usize::try_from(row.try_get::<_, i32>(column)?).unwrap_or_default());
    Ok(Some(Read {
        title: row.try_get("title")?,
        source: row.try_get("source")?,
        metadata: match row.try_get("metadata")? {
            Value::Object(metadata) => metadata,
            _ => Map::new(),
        },
        language: row.try_get("language")?,
        embedding_status: row.try_get("embedding_status")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        content_chars: count("content_chars")?,
        passages: count("passages")?,
        passage: row.try_get::<_, Option<i32>>("passage")?.and_then(|passage| usize::try_from(passage).ok()),
        char_start: count("char_start")?,
        char_end: count("char_end")?,
        content: row.try_get("content")?,
    }))
}
