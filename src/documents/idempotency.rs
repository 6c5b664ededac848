use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::db::{DbError, TenantTransaction};
use crate::identity::TenantId;

const CLAIM: &str = include_str!("../../sql/queries/documents/claim_idempotency_key.sql");
const RECALL: &str = include_str!("../../sql/queries/documents/recall_idempotency_key.sql");
const ANSWER: &str = include_str!("../../sql/queries/documents/answer_idempotency_key.sql");

/// A caller's name for a request, and what the request was.
pub(crate) struct Key<'a> {
    pub name: &'a str,
    pub fingerprint: Vec<u8>,
}

/// What an idempotency key says of a request.
pub(crate) enum Claim<T> {
    /// The key is new: do the work, then [`answer`].
    New,
    /// The same request was carried out before, with this answer.
    Repeated(T),
    /// The key belongs to another request.
    Conflict,
}

/// Takes the key for a request, waiting for a concurrent call that holds it.
pub(crate) async fn claim<T: DeserializeOwned>(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    Key { name, fingerprint }: &Key<'_>,
) -> Result<Claim<T>, DbError> {
    if transaction.query_one(CLAIM, &[&tenant_id, name, fingerprint]).await?.try_get("is_new")? {
        return Ok(Claim::New);
    }
    let row = transaction.query_one(RECALL, &[&tenant_id, name, fingerprint]).await?;
    if !row.try_get::<_, bool>("is_same_request")? {
        return Ok(Claim::Conflict);
    }
    let answer = row.try_get::<_, Option<Value>>("response")?.unwrap_or_default();
    let answer = serde_json::from_value(answer).map_err(|error| DbError::Other(format!("kept answer: {error}")))?;
    Ok(Claim::Repeated(answer))
}

/// Keeps the answer for the key's next caller.
pub(crate) async fn answer(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    key: &Key<'_>,
    response: &impl Serialize,
) -> Result<(), DbError> {
    let response = serde_json::to_value(response).map_err(|error| DbError::Other(error.to_string()))?;
    transaction.query_one(ANSWER, &[&tenant_id, &key.name, &response]).await?;
    Ok(())
}

/// SHA-256 over the fields of a request, each preceded by its length so that no two requests run together.
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    /// For requests of that kind.
    pub(crate) fn of(kind: &str) -> Self {
        let mut fingerprint = Self(Sha256::new());
        fingerprint.feed(kind.as_bytes());
        fingerprint
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.0.update(bytes.len().to_le_bytes());
        self.0.update(bytes);
    }

    /// A field that may be absent, which is another thing than empty.
    pub(crate) fn feed_optional(&mut self, bytes: Option<&[u8]>) {
        self.feed(&[u8::from(bytes.is_some())]);
        self.feed(bytes.unwrap_or_default());
    }

    pub(crate) fn feed_vector(&mut self, vector: Option<&[f32]>) {
        let bytes: Option<Vec<u8>> =
            vector.map(|vector| vector.iter().flat_map(|component| component.to_le_bytes()).collect());
        self.feed_optional(bytes.as_deref());
    }

    pub(crate) fn end(self) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}
