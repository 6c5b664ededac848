use serde_json::Value;
use sha2::{Digest, Sha256};

use super::NewDocument;
use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;

const CLAIM: &str = include_str!("../../sql/queries/documents/claim_idempotency_key.sql");
const RECALL: &str = include_str!("../../sql/queries/documents/recall_idempotency_key.sql");
const ANSWER: &str = include_str!("../../sql/queries/documents/answer_idempotency_key.sql");

/// What an idempotency key says of a request.
pub(super) enum Claim {
    /// The key is new: do the work, then [`answer`].
    New,
    /// The same request was carried out before, with this answer.
    Repeated(Value),
    /// The key belongs to another request.
    Conflict,
}

/// Takes the key for a request, waiting for a concurrent call that holds it.
pub(super) async fn claim(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    key: &str,
    document: &NewDocument,
) -> Result<Claim, DbError> {
    let fingerprint = fingerprint(document);
    if transaction.query_one(CLAIM, &[&tenant_id, &key, &fingerprint]).await?.try_get("is_new")? {
        return Ok(Claim::New);
    }
    let row = transaction.query_one(RECALL, &[&tenant_id, &key, &fingerprint]).await?;
    if !row.try_get::<_, bool>("is_same_request")? {
        return Ok(Claim::Conflict);
    }
    Ok(Claim::Repeated(row.try_get::<_, Option<Value>>("response")?.unwrap_or_default()))
}

/// Keeps the answer for the key's next caller.
pub(super) async fn answer(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    key: &str,
    response: &Value,
) -> Result<(), DbError> {
    transaction.query_one(ANSWER, &[&tenant_id, &key, response]).await?;
    Ok(())
}

/// SHA-256 over every field of the request, each preceded by its length so that no two requests run together.
fn fingerprint(document: &NewDocument) -> Vec<u8> {
    let mut hash = Sha256::new();
    let mut feed = |bytes: &[u8]| {
        hash.update(bytes.len().to_le_bytes());
        hash.update(bytes);
    };
    feed(document.title.as_bytes());
    feed(document.content.as_bytes());
    feed(document.source.as_deref().unwrap_or("\0").as_bytes());
    feed(document.metadata.to_string().as_bytes());
    feed(document.language.map_or("\0", |language| language.code()).as_bytes());
    for component in document.embedding.iter().flat_map(|embedding| &embedding.vector) {
        feed(&component.to_le_bytes());
    }
    hash.finalize().to_vec()
}
