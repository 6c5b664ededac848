use pgvector::Vector;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::chunking::{self, Chunk};
use super::idempotency::{self, Claim};
use super::language::Language;
use crate::db::{DbError, TenantTransaction};
use crate::identity::{DocumentId, TenantId};

const INSERT: &str = include_str!("../../sql/queries/documents/insert.sql");

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
    /// Repeating a call with the same key changes nothing.
    pub idempotency_key: Option<String>,
    /// What the text itself says: made once, before there is a transaction.
    pub analysis: Analysis,
}

/// What a text shows by itself.
#[derive(Debug, Clone)]
pub struct Analysis {
    chunks: Vec<Chunk>,
    language: Option<Language>,
}

impl Analysis {
    /// Cuts a text into chunks and guesses its language.
    #[must_use]
    pub fn of(content: &str) -> Self {
        Self { chunks: chunking::chunk(content), language: Language::detect(content) }
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

/// What was stored, as it is also kept for the idempotency key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inserted {
    /// The new document's id.
    pub document_id: uuid::Uuid,
    /// Passages it was cut into.
    pub chunk_count: usize,
    /// `embedded` if the caller gave a vector, else `pending`.
    pub embedding_status: String,
    /// Code of the language it is indexed in.
    pub language: String,
    /// Whether this is the answer to an earlier call with the same key.
    #[serde(skip)]
    pub repeated: bool,
}

/// Stores a document with its chunks and their postings, all or nothing. `None` if its idempotency key was used for
/// another document.
///
/// # Errors
/// [`DbError::QuotaReached`] and any other [`DbError`].
pub async fn insert(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    document: &NewDocument,
) -> Result<Option<Inserted>, DbError> {
    let Some(key) = &document.idempotency_key else {
        return store(transaction, tenant_id, document).await.map(Some);
    };
    match idempotency::claim(transaction, tenant_id, key, document).await? {
        Claim::Conflict => Ok(None),
        Claim::Repeated(answer) => {
            let inserted: Inserted =
                serde_json::from_value(answer).map_err(|error| DbError::Other(format!("kept answer: {error}")))?;
            Ok(Some(Inserted { repeated: true, ..inserted }))
        }
        Claim::New => {
            let inserted = store(transaction, tenant_id, document).await?;
            let answer = serde_json::to_value(&inserted).map_err(|error| DbError::Other(error.to_string()))?;
            idempotency::answer(transaction, tenant_id, key, &answer).await?;
            Ok(Some(inserted))
        }
    }
}

async fn store(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    document: &NewDocument,
) -> Result<Inserted, DbError> {
    let language = match document.language.or(document.analysis.language) {
        Some(language) => language,
        None => default_language(&transaction.tenant().await?.settings),
    };
    let chunks = &document.analysis.chunks;
    let column = |of: fn(&Chunk) -> i32| chunks.iter().map(of).collect::<Vec<_>>();
    let (starts, ends, tokens) = (column(|c| c.char_start), column(|c| c.char_end), column(|c| c.token_count));
    let document_id = DocumentId::new();
    let vector = document.embedding.as_ref().map(|embedding| Vector::from(embedding.vector.clone()));
    let (model_id, model) = match &document.embedding {
        Some(embedding) => (Some(embedding.model.0), Some(embedding.model.1.as_str())),
        None => (None, None),
    };
    let status = if vector.is_some() { "embedded" } else { "pending" };
    transaction
        .query_one(
            INSERT,
            &[
                &tenant_id,
                &document_id,
                &document.title,
                &document.content,
                &document.source,
                &document.metadata,
                &language.code(),
                &vector,
                &model,
                &status,
                &model_id,
                &starts,
                &ends,
                &tokens,
            ],
        )
        .await?;
    Ok(Inserted {
        document_id: document_id.as_uuid(),
        chunk_count: chunks.len(),
        embedding_status: status.to_owned(),
        language: language.code().to_owned(),
        repeated: false,
    })
}

/// `settings.default_language`, else English.
fn default_language(settings: &Value) -> Language {
    let named = settings.get("default_language").and_then(Value::as_str);
    named.and_then(|code| Language::from_code(code).ok()).unwrap_or(Language::ENGLISH)
}
