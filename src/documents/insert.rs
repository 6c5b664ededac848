use pgvector::Vector;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::idempotency::{self, Claim, Fingerprint, Key};
use super::language::Language;
use super::new::NewDocument;
use super::plan::{self, Plan};
use super::quota::{Full, Quota, Room};
use super::update::{self, Change, Current};
use crate::db::{DbError, TenantTransaction};
use crate::identity::{DocumentId, TenantId};

const INSERT: &str = include_str!("../../sql/queries/documents/insert.sql");
const INSERT_MANY: &str = include_str!("../../sql/queries/documents/insert_many.sql");
const LOCK_USAGE: &str = include_str!("../../sql/queries/documents/lock_usage.sql");

/// What was stored, as it is also kept for the idempotency key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inserted {
    /// The document's id.
    pub document_id: uuid::Uuid,
    /// Passages it was cut into.
    pub chunk_count: usize,
    /// `embedded` if the caller gave a vector, else `pending`.
    pub embedding_status: String,
    /// Code of the language it is indexed in.
    pub language: String,
    /// How it came to be there.
    pub how: How,
}

impl Inserted {
    /// Whether it was there before, and nothing was changed.
    #[must_use]
    pub fn was_there(&self) -> bool {
        matches!(self.how, How::Repeated { .. })
    }
}

/// How a document that was to be stored came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It is new.
    New,
    /// It took the place of another text from the same source, under its id.
    Replaced,
    /// The same text from the same source was there before; nothing was changed.
    Repeated {
        /// Whether its title, metadata or language differ from those given.
        differs: bool,
    },
}

/// What became of one document of several.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// It is there.
    Stored(Inserted),
    /// It would take more than the tenant may store; why, and what to do.
    QuotaReached {
        /// What is used and what is allowed.
        message: String,
        /// What the caller can do.
        hint: String,
    },
    /// It was to replace the document of its source, but there are several; or it is the second of that source.
    Ambiguous,
}

impl From<Full> for Item {
    fn from(Full { message, hint }: Full) -> Self {
        Self::QuotaReached { message, hint }
    }
}

/// What became of documents that were to be stored together.
#[derive(Debug)]
pub enum Insertion {
    /// A result for each, in their order.
    Done {
        /// The results.
        items: Vec<Item>,
        /// Whether this is the answer to an earlier call with the same key.
        repeated: bool,
    },
    /// The idempotency key was used for another request.
    OtherRequest,
}

/// Stores documents with their chunks and postings in one transaction, each whole or not at all. One that the quota leaves
/// no room for, or that has no one document to replace, does not keep the others out.
///
/// # Errors
/// [`DbError::QuotaReached`] for a document by itself, and any other [`DbError`].
pub async fn insert(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    documents: &[NewDocument],
    idempotency_key: Option<&str>,
) -> Result<Insertion, DbError> {
    let Some(name) = idempotency_key else {
        let items = store(transaction, tenant_id, documents).await?;
        return Ok(Insertion::Done { items, repeated: false });
    };
    let mut fingerprint = Fingerprint::of("insert");
    documents.iter().for_each(|document| document.fingerprint(&mut fingerprint));
    let key = Key { name, fingerprint: fingerprint.end() };
    match idempotency::claim::<Vec<Item>>(transaction, tenant_id, &key).await? {
        Claim::Conflict => Ok(Insertion::OtherRequest),
        Claim::Repeated(items) => Ok(Insertion::Done { items, repeated: true }),
        Claim::New => {
            let items = store(transaction, tenant_id, documents).await?;
            idempotency::answer(transaction, tenant_id, &key, &items).await?;
            Ok(Insertion::Done { items, repeated: false })
        }
    }
}

async fn store(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    documents: &[NewDocument],
) -> Result<Vec<Item>, DbError> {
    let plans = plan::of(transaction, tenant_id, documents).await?;
    if let ([document], [Plan::New]) = (documents, plans.as_slice()) {
        return Ok(vec![Item::Stored(store_one(transaction, tenant_id, document).await?)]);
    }
    // Documents first and the tenant's usage after them, as everybody who locks both.
    let mut held = std::collections::BTreeMap::new();
    let mut replaced: Vec<DocumentId> = plans.iter().filter_map(Plan::replaced).collect();
    replaced.sort_unstable();
    for document_id in replaced {
        if let Some(current) = Current::lock(transaction, tenant_id, document_id, true).await? {
            held.insert(document_id, current);
        }
    }
    let room = room(transaction, tenant_id, documents, &plans).await?;
    let mut room = room.unwrap_or_else(Room::unlimited);
    let mut items = Vec::with_capacity(documents.len());
    let mut new = Vec::new();
    for (document, plan) in documents.iter().zip(plans) {
        items.push(match plan {
            Plan::Repeated(inserted) => Item::Stored(inserted),
            Plan::Ambiguous => Item::Ambiguous,
            Plan::SameAs(place) => repetition(&items[place]),
            Plan::New => match room.take(1, document.storage_bytes()) {
                Ok(()) => {
                    let language = language_of(transaction, document).await?;
                    let document_id = DocumentId::new();
                    new.push((document_id, document, language));
                    Item::Stored(stored(document_id, document, language))
                }
                Err(full) => full.into(),
            },
            Plan::Replace(document_id) => match held.remove(&document_id) {
                // It was deleted between the look and the lock.
                None => Item::Ambiguous,
                Some(current) => match room.take(0, document.storage_bytes() - current.storage_bytes) {
                    Ok(()) => replace(transaction, tenant_id, document_id, current, document).await?,
                    Err(full) => full.into(),
                },
            },
        });
    }
    store_many(transaction, tenant_id, &new).await?;
    Ok(items)
}

/// What is left of the quota, under its lock, if these documents may come near its edge.
async fn room(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    documents: &[NewDocument],
    plans: &[Plan],
) -> Result<Option<Room>, DbError> {
    let wanted = || documents.iter().zip(plans).filter(|(_, plan)| plan.needs_room());
    let (count, bytes) = (wanted().count(), wanted().map(|(document, _)| document.storage_bytes()).sum());
    if count == 0
        || Quota::read(transaction, tenant_id).await?.is_ample(i64::try_from(count).unwrap_or(i64::MAX), bytes)
    {
        return Ok(None);
    }
    transaction.query_one(LOCK_USAGE, &[&tenant_id]).await?;
    Ok(Some(Room::of(&Quota::read(transaction, tenant_id).await?)))
}

/// The same document again in one call.
fn repetition(first: &Item) -> Item {
    match first {
        Item::Stored(inserted) => Item::Stored(Inserted { how: How::Repeated { differs: false }, ..inserted.clone() }),
        other => other.clone(),
    }
}

async fn replace(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    document_id: DocumentId,
    current: Current,
    document: &NewDocument,
) -> Result<Item, DbError> {
    let change = Change {
        title: Some(document.title.clone()),
        content: Some((document.content.clone(), document.analysis.clone())),
        source: None,
        metadata: Some(document.metadata.clone()),
        language: document.language,
        embedding: document.embedding.clone(),
    };
    let changed = update::apply(transaction, tenant_id, document_id, current, &change).await?;
    Ok(Item::Stored(Inserted {
        document_id: document_id.as_uuid(),
        chunk_count: document.analysis.chunk_count(),
        embedding_status: changed.embedding_status,
        language: changed.language,
        how: How::Replaced,
    }))
}

fn stored(document_id: DocumentId, document: &NewDocument, language: Language) -> Inserted {
    let status = if document.embedding.is_some() { "embedded" } else { "pending" };
    Inserted {
        document_id: document_id.as_uuid(),
        chunk_count: document.analysis.chunk_count(),
        embedding_status: status.to_owned(),
        language: language.code().to_owned(),
        how: How::New,
    }
}

async fn store_one(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    document: &NewDocument,
) -> Result<Inserted, DbError> {
    let language = language_of(transaction, document).await?;
    let document_id = DocumentId::new();
    let inserted = stored(document_id, document, language);
    let vector = document.embedding.as_ref().map(|embedding| Vector::from(embedding.vector.clone()));
    let (model_id, model) = match &document.embedding {
        Some(embedding) => (Some(embedding.model.0), Some(embedding.model.1.as_str())),
        None => (None, None),
    };
    let analysis = &document.analysis;
    let starts = analysis.column(|c| c.char_start);
    let (ends, tokens) = (analysis.column(|c| c.char_end), analysis.column(|c| c.token_count));
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
                &inserted.embedding_status,
                &model_id,
                &starts,
                &ends,
                &tokens,
            ],
        )
        .await?;
    Ok(inserted)
}

async fn store_many(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    new: &[(DocumentId, &NewDocument, Language)],
) -> Result<(), DbError> {
    if new.is_empty() {
        return Ok(());
    }
    let ids: Vec<DocumentId> = new.iter().map(|(id, _, _)| *id).collect();
    let titles: Vec<&str> = new.iter().map(|(_, document, _)| document.title.as_str()).collect();
    let contents: Vec<&str> = new.iter().map(|(_, document, _)| document.content.as_str()).collect();
    let sources: Vec<Option<&str>> = new.iter().map(|(_, document, _)| document.source.as_deref()).collect();
    let metadata: Vec<&Value> = new.iter().map(|(_, document, _)| &document.metadata).collect();
    let languages: Vec<&str> = new.iter().map(|(_, _, language)| language.code()).collect();
    let vectors: Vec<Option<Vector>> = new
        .iter()
        .map(|(_, document, _)| document.embedding.as_ref().map(|e| Vector::from(e.vector.clone())))
        .collect();
    let model = new.iter().find_map(|(_, document, _)| Some(&document.embedding.as_ref()?.model));
    let (model_id, model) = (model.map(|model| model.0), model.map(|model| model.1.as_str()));
    let (mut places, mut ordinals, mut starts, mut ends, mut tokens) = (vec![], vec![], vec![], vec![], vec![]);
    let mut passages = Vec::new();
    for ((_, document, _), place) in new.iter().zip(1_i32..) {
        passages.extend(document.passages());
        for (chunk, ordinal) in document.analysis.chunks.iter().zip(0_i32..) {
            places.push(place);
            ordinals.push(ordinal);
            starts.push(chunk.char_start);
            ends.push(chunk.char_end);
            tokens.push(chunk.token_count);
        }
    }
    let parameters: [crate::db::Parameter<'_>; 16] = [
        &tenant_id, &ids, &titles, &contents, &sources, &metadata, &languages, &vectors, &places, &ordinals, &starts,
        &ends, &tokens, &model_id, &model, &passages,
    ];
    transaction.query_one(INSERT_MANY, &parameters).await?;
    Ok(())
}

/// As given, as the text shows, or the tenant's default (`settings.default_language`, else English).
async fn language_of(transaction: &TenantTransaction, document: &NewDocument) -> Result<Language, DbError> {
    if let Some(language) = document.language.or(document.analysis.language) {
        return Ok(language);
    }
    let settings = &transaction.tenant().await?.settings;
    let named = settings.get("default_language").and_then(Value::as_str);
    Ok(named.and_then(|code| Language::from_code(code).ok()).unwrap_or(Language::ENGLISH))
}
