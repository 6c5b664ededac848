//! What is to be done with documents that are to be stored, in view of those that are there.

use std::collections::HashMap;

use serde_json::Value;

use super::insert::{How, Inserted};
use super::new::NewDocument;
use super::quota::Quota;
use crate::db::{DbError, TenantTransaction};
use crate::identity::{DocumentId, TenantId};

const LOCK_SOURCES: &str = include_str!("../../sql/queries/documents/lock_sources.sql");
const STORED: &str = include_str!("../../sql/queries/documents/stored.sql");
const SIZES: &str = include_str!("../../sql/queries/documents/sizes.sql");

/// What is to be done with one document.
#[derive(Debug)]
pub(super) enum Plan {
    /// Store it.
    New,
    /// Nothing: it is there.
    Repeated(Inserted),
    /// Nothing: it is the same as the one at that place of the list.
    SameAs(usize),
    /// Make that document what it says.
    Replace(DocumentId),
    /// There is no one document that it would replace.
    Ambiguous,
}

impl Plan {
    pub(super) fn replaced(&self) -> Option<DocumentId> {
        match self {
            Self::Replace(document_id) => Some(*document_id),
            _ => None,
        }
    }

    pub(super) fn needs_room(&self) -> bool {
        matches!(self, Self::New | Self::Replace(_))
    }
}

/// What storing a document would do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect {
    /// It would be stored.
    New {
        /// What it would add to what the tenant stores.
        bytes: i64,
    },
    /// It would take the place of what its source said before.
    Changed {
        /// The same; negative where it is the shorter.
        bytes: i64,
    },
    /// Nothing: it is there.
    Known,
    /// It could not be told which document it would replace.
    Ambiguous,
}

/// What storing these documents would do, as things stand, and what the tenant has and may have: nothing is locked, and whether they fit
/// is not looked at, for others may come before them.
///
/// # Errors
/// Any [`DbError`].
pub async fn prospects(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    documents: &[NewDocument],
) -> Result<(Vec<Prospect>, Quota), DbError> {
    let plans = made(transaction, tenant_id, documents).await?;
    let replaced: Vec<DocumentId> = plans.iter().filter_map(Plan::replaced).collect();
    let mut sizes: HashMap<DocumentId, i64> = HashMap::new();
    if !replaced.is_empty() {
        for row in transaction.query(SIZES, &[&tenant_id, &replaced]).await? {
            sizes.insert(row.try_get("id")?, row.try_get("storage_bytes")?);
        }
    }
    let of_each = documents.iter().zip(plans).map(|(document, plan)| match plan {
        Plan::New => Prospect::New { bytes: document.storage_bytes() },
        Plan::Replace(document_id) => {
            let before = sizes.get(&document_id).copied().unwrap_or_default();
            Prospect::Changed { bytes: document.storage_bytes() - before }
        }
        Plan::Repeated(_) | Plan::SameAs(_) => Prospect::Known,
        Plan::Ambiguous => Prospect::Ambiguous,
    });
    Ok((of_each.collect(), Quota::read(transaction, tenant_id).await?))
}

/// A plan for each document. Sources stay locked until the transaction ends: two who store the same at once store it once.
pub(super) async fn of(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    documents: &[NewDocument],
) -> Result<Vec<Plan>, DbError> {
    let sources = sources(documents);
    if sources.iter().any(Option::is_some) {
        transaction.query_one(LOCK_SOURCES, &[&tenant_id, &sources]).await?;
    }
    // A statement of its own, whose snapshot is younger than the locks.
    made(transaction, tenant_id, documents).await
}

fn sources(documents: &[NewDocument]) -> Vec<Option<&str>> {
    documents.iter().map(|document| document.source.as_deref()).collect()
}

/// A plan for each document, in view of what is there now.
async fn made(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    documents: &[NewDocument],
) -> Result<Vec<Plan>, DbError> {
    let sources = sources(documents);
    let mut plans: Vec<Plan> = documents.iter().map(|_| Plan::New).collect();
    if sources.iter().all(Option::is_none) {
        return Ok(plans);
    }
    let digests: Vec<&[u8]> = documents.iter().map(|document| document.analysis.sha256.as_slice()).collect();
    for row in transaction.query(STORED, &[&tenant_id, &sources, &digests]).await? {
        let place = usize::try_from(row.try_get::<_, i32>("place")? - 1).unwrap_or_default();
        let document = &documents[place];
        plans[place] = match row.try_get::<_, Option<uuid::Uuid>>("same_id")? {
            Some(document_id) => {
                let language: String = row.try_get("same_language")?;
                let differs = row.try_get::<_, &str>("same_title")? != document.title
                    || row.try_get::<_, Value>("same_metadata")? != document.metadata
                    || document.language.is_some_and(|wanted| wanted.code() != language);
                Plan::Repeated(Inserted {
                    document_id,
                    chunk_count: usize::try_from(row.try_get::<_, i64>("same_chunks")?).unwrap_or_default(),
                    embedding_status: row.try_get("same_embedding_status")?,
                    language,
                    how: How::Repeated { differs },
                })
            }
            None if document.replace => match row.try_get::<_, Vec<DocumentId>>("others")?.as_slice() {
                [] => Plan::New,
                [only] => Plan::Replace(*only),
                _ => Plan::Ambiguous,
            },
            None => Plan::New,
        };
    }
    within(documents, &mut plans);
    Ok(plans)
}

/// What documents of the same list say of each other.
fn within(documents: &[NewDocument], plans: &mut [Plan]) {
    let mut same: HashMap<(&str, &[u8]), usize> = HashMap::new();
    let mut replacing: HashMap<&str, usize> = HashMap::new();
    for (place, document) in documents.iter().enumerate() {
        let Some(source) = document.source.as_deref() else { continue };
        if !plans[place].needs_room() {
            continue;
        }
        let first = *same.entry((source, &document.analysis.sha256)).or_insert(place);
        if first != place {
            plans[place] = Plan::SameAs(first);
        } else if document.replace && *replacing.entry(source).or_insert(place) != place {
            plans[place] = Plan::Ambiguous;
        }
    }
}
