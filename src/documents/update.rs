use std::collections::HashMap;

use jiff::Timestamp;
use pgvector::Vector;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chunking::Chunk;
use super::idempotency::{self, Claim, Fingerprint, Key};
use super::language::Language;
use super::new::{Analysis, OwnEmbedding};
use crate::db::{DbError, TenantTransaction};
use crate::identity::{DocumentId, TenantId};

const LOCK: &str = include_str!("../../sql/queries/documents/lock.sql");
const CHUNKS: &str = include_str!("../../sql/queries/documents/chunks.sql");
const CHANGE: &str = include_str!("../../sql/queries/documents/change.sql");
const PLACE_EMBEDDING: &str = include_str!("../../sql/queries/documents/place_embedding.sql");
pub(super) const REWRITE: &str = include_str!("../../sql/queries/documents/rewrite.sql");

/// What a document is to become; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Another title.
    pub title: Option<String>,
    /// Another text, and what it shows by itself.
    pub content: Option<(String, Analysis)>,
    /// Another source, or none.
    pub source: Option<Option<String>>,
    /// Another JSON object.
    pub metadata: Option<Value>,
    /// Another language. Where it is absent a new text's own takes the place of one that was the old text's own.
    pub language: Option<Language>,
    /// The caller's vector for the whole document, in the place of those of its passages.
    pub embedding: Option<OwnEmbedding>,
}

/// A change of one document, as it was asked for.
#[derive(Debug, Clone)]
pub struct Update {
    /// The document.
    pub document_id: DocumentId,
    /// When the caller last saw it change; somebody else's later change is not overwritten.
    pub expected_updated_at: Option<Timestamp>,
    /// What it is to become.
    pub change: Change,
    /// Repeating a call with the same key changes nothing.
    pub idempotency_key: Option<String>,
}

/// What came of an update.
#[derive(Debug)]
pub enum Updated {
    /// The document is as asked.
    Done(Changed),
    /// There is no such document in the tenant.
    NotFound,
    /// It was changed since the caller read it.
    Stale {
        /// When it last changed.
        updated_at: Timestamp,
    },
    /// The idempotency key was used for another request.
    OtherRequest,
}

/// What an update did, as it is also kept for the idempotency key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Changed {
    /// The fields that are not what they were.
    pub fields: Vec<String>,
    /// Passages that the document has, if they were cut anew.
    pub chunks: Option<Recut>,
    /// `embedded` or `pending`.
    pub embedding_status: String,
    /// Code of the language it is indexed in.
    pub language: String,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Whether this is the answer to an earlier call with the same key.
    #[serde(skip)]
    pub repeated: bool,
}

/// How a new text was cut.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Recut {
    /// Passages it has now.
    pub count: usize,
    /// Of them, those that keep their vectors, for they and the title say what they said before.
    pub kept: usize,
}

/// Changes a document, all or nothing.
///
/// # Errors
/// [`DbError::QuotaReached`] and any other [`DbError`].
pub async fn update(transaction: &TenantTransaction, tenant_id: TenantId, update: &Update) -> Result<Updated, DbError> {
    let key = update.idempotency_key.as_deref().map(|name| Key { name, fingerprint: fingerprint(update) });
    if let Some(key) = &key {
        match idempotency::claim::<Changed>(transaction, tenant_id, key).await? {
            Claim::New => {}
            Claim::Repeated(changed) => return Ok(Updated::Done(Changed { repeated: true, ..changed })),
            Claim::Conflict => return Ok(Updated::OtherRequest),
        }
    }
    let recuts = update.change.content.is_some();
    let Some(current) = Current::lock(transaction, tenant_id, update.document_id, recuts).await? else {
        return Ok(Updated::NotFound);
    };
    if update.expected_updated_at.is_some_and(|expected| expected != current.updated_at) {
        return Ok(Updated::Stale { updated_at: current.updated_at });
    }
    let changed = apply(transaction, tenant_id, update.document_id, current, &update.change).await?;
    if let Some(key) = &key {
        idempotency::answer(transaction, tenant_id, key, &changed).await?;
    }
    Ok(Updated::Done(changed))
}

/// A document as it is, held until the transaction ends.
pub(super) struct Current {
    pub title: String,
    pub source: Option<String>,
    pub metadata: Value,
    pub language: String,
    updated_at: Timestamp,
    embedding_status: String,
    content_sha256: Vec<u8>,
    pub content: Option<String>,
    /// What it takes of the tenant's storage quota.
    pub storage_bytes: i64,
}

impl Current {
    pub(super) async fn lock(
        transaction: &TenantTransaction,
        tenant_id: TenantId,
        document_id: DocumentId,
        with_content: bool,
    ) -> Result<Option<Self>, DbError> {
        let rows = transaction.query(LOCK, &[&tenant_id, &document_id, &with_content]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(Self {
            title: row.try_get("title")?,
            source: row.try_get("source")?,
            metadata: row.try_get("metadata")?,
            language: row.try_get("language")?,
            updated_at: row.try_get("updated_at")?,
            embedding_status: row.try_get("embedding_status")?,
            content_sha256: row.try_get("content_sha256")?,
            content: row.try_get("content")?,
            storage_bytes: row.try_get::<_, i32>("storage_bytes")?.into(),
        }))
    }
}

/// Makes the document what it is to become.
pub(super) async fn apply(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    document_id: DocumentId,
    current: Current,
    change: &Change,
) -> Result<Changed, DbError> {
    let content = change.content.as_ref().filter(|(_, analysis)| analysis.sha256 != current.content_sha256);
    // A language that the old text does not show was somebody's choice, and outlasts it.
    let chosen = || {
        let shown = Language::detect(current.content.as_deref().unwrap_or_default());
        shown.is_some_and(|shown| shown.code() != current.language)
    };
    let detected = content.and_then(|(_, analysis)| analysis.language).filter(|_| !chosen());
    let language = change.language.or(detected).map_or(current.language.as_str(), |language| language.code());
    let title = change.title.as_ref().unwrap_or(&current.title);
    let source = change.source.as_ref().unwrap_or(&current.source);
    let metadata = change.metadata.as_ref().unwrap_or(&current.metadata);
    let changes = [
        ("title", *title != current.title),
        ("content", content.is_some()),
        ("source", *source != current.source),
        ("metadata", *metadata != current.metadata),
        ("language", language != current.language),
        ("embedding", change.embedding.is_some()),
    ];
    let fields: Vec<String> =
        changes.iter().filter(|(_, is_other)| *is_other).map(|(field, _)| (*field).to_owned()).collect();
    if fields.is_empty() {
        return Ok(Changed {
            fields,
            chunks: None,
            language: language.to_owned(),
            embedding_status: current.embedding_status,
            updated_at: current.updated_at,
            repeated: false,
        });
    }
    let vector = change.embedding.as_ref().map(|embedding| Vector::from(embedding.vector.clone()));
    let model_id = change.embedding.as_ref().map(|embedding| embedding.model.0);
    let model = change.embedding.as_ref().map(|embedding| embedding.model.1.as_str());
    let mut chunks = None;
    let row = match content {
        None => {
            let parameters: [crate::db::Parameter<'_>; 8] =
                [&tenant_id, &document_id, title, source, metadata, &language, &vector, &model];
            let row = transaction.query_one(CHANGE, &parameters).await?;
            if vector.is_some() {
                transaction.query_one(PLACE_EMBEDDING, &[&tenant_id, &document_id, &vector, &model_id]).await?;
            }
            row
        }
        Some((content, analysis)) => {
            let old = current.content.as_deref().unwrap_or_default();
            // A passage is embedded with its title before it: under another title nothing of it stays.
            let kept = match *title == current.title {
                true => kept(transaction, tenant_id, document_id, old, content, &analysis.chunks).await?,
                false => vec![None; analysis.chunks.len()],
            };
            chunks = Some(Recut { count: analysis.chunks.len(), kept: kept.iter().flatten().count() });
            let starts = analysis.column(|c| c.char_start);
            let (ends, tokens) = (analysis.column(|c| c.char_end), analysis.column(|c| c.token_count));
            let parameters: [crate::db::Parameter<'_>; 14] = [
                &tenant_id,
                &document_id,
                title,
                content,
                source,
                metadata,
                &language,
                &vector,
                &model,
                &starts,
                &ends,
                &tokens,
                &kept,
                &model_id,
            ];
            transaction.query_one(REWRITE, &parameters).await?
        }
    };
    Ok(Changed {
        fields,
        chunks,
        language: language.to_owned(),
        embedding_status: row.try_get("embedding_status")?,
        updated_at: row.try_get("updated_at")?,
        repeated: false,
    })
}

/// For each new chunk the number of the old one that had the same text.
pub(super) async fn kept(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    document_id: DocumentId,
    old: &str,
    new: &str,
    chunks: &[Chunk],
) -> Result<Vec<Option<i32>>, DbError> {
    let rows = transaction.query(CHUNKS, &[&tenant_id, &document_id]).await?;
    let mut numbers = Vec::with_capacity(rows.len());
    let mut spans = Vec::with_capacity(rows.len());
    let mut vectors = 0;
    for row in &rows {
        numbers.push(row.try_get::<_, i32>("chunk_no")?);
        spans.push((row.try_get("char_start")?, row.try_get("char_end")?));
        vectors += usize::from(row.try_get::<_, bool>("has_vector")?);
    }
    // A caller's vector for the whole of several passages stands at the first; of another whole it says nothing.
    if rows.len() > 1 && vectors == 1 {
        return Ok(vec![None; chunks.len()]);
    }
    let mut known: HashMap<&str, i32> = HashMap::new();
    for (text, number) in stretches(old, &spans).into_iter().zip(numbers) {
        known.entry(text).or_insert(number);
    }
    let spans: Vec<_> = chunks.iter().map(|chunk| (chunk.char_start, chunk.char_end)).collect();
    Ok(stretches(new, &spans).into_iter().map(|text| known.get(text).copied()).collect())
}

/// The texts between pairs of characters, whose starts do not decrease, in one pass.
pub(super) fn stretches<'a>(text: &'a str, spans: &[(i32, i32)]) -> Vec<&'a str> {
    let (mut at_char, mut at_byte) = (0_usize, 0_usize);
    let to_byte = |from: usize, chars: usize| {
        text[from..].char_indices().nth(chars).map_or(text.len(), |(offset, _)| from + offset)
    };
    spans
        .iter()
        .map(|&(start, end)| {
            let (start, end) = (usize::try_from(start).unwrap_or(0), usize::try_from(end).unwrap_or(0));
            let from = if start >= at_char { to_byte(at_byte, start - at_char) } else { to_byte(0, start) };
            (at_char, at_byte) = (start, from);
            &text[from..to_byte(from, end.saturating_sub(start))]
        })
        .collect()
}

fn fingerprint(update: &Update) -> Vec<u8> {
    let Update { document_id, expected_updated_at, change, idempotency_key: _ } = update;
    let mut fingerprint = Fingerprint::of("update");
    fingerprint.feed(document_id.as_uuid().as_bytes());
    let expected = expected_updated_at.map(|at| at.as_microsecond().to_le_bytes());
    fingerprint.feed_optional(expected.as_ref().map(<[u8; 8]>::as_slice));
    fingerprint.feed_optional(change.title.as_deref().map(str::as_bytes));
    fingerprint.feed_optional(change.content.as_ref().map(|(content, _)| content.as_bytes()));
    fingerprint.feed_optional(change.source.as_ref().map(|_| [].as_slice()));
    fingerprint.feed_optional(change.source.as_ref().and_then(|source| Some(source.as_deref()?.as_bytes())));
    fingerprint.feed_optional(change.metadata.as_ref().map(Value::to_string).as_deref().map(str::as_bytes));
    fingerprint.feed_optional(change.language.map(|language| language.code().as_bytes()));
    fingerprint.feed_vector(change.embedding.as_ref().map(|embedding| embedding.vector.as_slice()));
    fingerprint.end()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stretches_are_what_substr_cuts(text in "\\PC{0,60}", mut spans in prop::collection::vec((0..60_i32, 1..20_i32), 0..8)) {
            spans.sort_unstable();
            let spans: Vec<_> = spans.into_iter().map(|(start, length)| (start, start + length)).collect();
            let cut: Vec<String> = stretches(&text, &spans).into_iter().map(str::to_owned).collect();
            let expected: Vec<String> = spans
                .iter()
                .map(|&(start, end)| text.chars().skip(start as usize).take((end - start) as usize).collect())
                .collect();
            prop_assert_eq!(cut, expected);
        }
    }
}
