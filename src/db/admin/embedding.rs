//! What `bailiwick embed` does to the schema, and what it counts over all tenants.

use serde::Serialize;
use tokio_postgres::Client;
use uuid::Uuid;

use super::as_owner;
use crate::db::{DbError, Parameter};
use crate::identity::TenantId;

const PREPARE_NEXT: &str = include_str!("../../../sql/queries/administration/prepare_next_embeddings.sql");
const SWITCH: &str = include_str!("../../../sql/queries/administration/switch_embedding_model.sql");
const COUNT_NEXT_LACKING: &str = include_str!("../../../sql/queries/administration/count_next_lacking.sql");
const COUNT_CHUNKS: &str = include_str!("../../../sql/queries/administration/count_chunks.sql");
const STATE: &str = include_str!("../../../sql/queries/administration/embedding_state.sql");
const FAILED: &str = include_str!("../../../sql/queries/administration/failed_embeddings.sql");
const EMBED_AGAIN: &str = include_str!("../../../sql/queries/administration/embed_again.sql");

/// How the documents of all tenants stand.
#[derive(Debug, Clone)]
pub struct EmbeddingState {
    /// The model whose vectors are searched.
    pub current_model: Option<String>,
    /// The model that the database is moving to.
    pub next_model: Option<String>,
    /// Of the vectors that are searched.
    pub dimensions: usize,
    /// Documents that wait.
    pub pending: i64,
    /// Of those, of active tenants, the ones that no server is at.
    pub unattended: i64,
    /// Documents that were given up.
    pub failed: i64,
    /// Documents whose vectors are of another model.
    pub foreign: i64,
    /// Passages without a vector.
    pub passages: i64,
}

/// Makes room for the vectors of another model.
///
/// # Errors
/// Any [`DbError`]; [`DbError::TimedOut`] if the tables are in use.
pub async fn prepare_next_embeddings(client: &Client, model_id: i16) -> Result<(), DbError> {
    as_owner(client, PREPARE_NEXT, &[&model_id]).await.map(drop)
}

/// Puts them in the place of those that are searched.
///
/// # Errors
/// Any [`DbError`]; [`DbError::TimedOut`] if the tables are in use.
pub async fn switch_embedding_model(client: &Client) -> Result<(), DbError> {
    as_owner(client, SWITCH, &[]).await.map(drop)
}

/// Passages that have no vector of the next model, by tenant.
///
/// # Errors
/// Any [`DbError`].
pub async fn count_next_lacking(client: &Client) -> Result<Vec<(TenantId, u64)>, DbError> {
    by_tenant(client, COUNT_NEXT_LACKING).await
}

/// Passages, by tenant.
///
/// # Errors
/// Any [`DbError`].
pub async fn count_chunks(client: &Client) -> Result<Vec<(TenantId, u64)>, DbError> {
    by_tenant(client, COUNT_CHUNKS).await
}

async fn by_tenant(client: &Client, sql: &'static str) -> Result<Vec<(TenantId, u64)>, DbError> {
    let rows = as_owner(client, sql, &[]).await?;
    rows.iter()
        .map(|row| {
            let passages = u64::try_from(row.try_get::<_, i64>("passages")?).unwrap_or_default();
            Ok((TenantId::from(row.try_get::<_, Uuid>("tenant_id")?), passages))
        })
        .collect()
}

/// How the documents stand.
///
/// # Errors
/// Any [`DbError`].
pub async fn embedding_state(client: &Client) -> Result<EmbeddingState, DbError> {
    let rows = as_owner(client, STATE, &[]).await?;
    let row = rows.first().ok_or_else(|| DbError::Other("embedding_state has no row".to_owned()))?;
    Ok(EmbeddingState {
        current_model: row.try_get("current_model")?,
        next_model: row.try_get("next_model")?,
        dimensions: usize::try_from(row.try_get::<_, i32>("dimensions")?).unwrap_or_default(),
        pending: row.try_get("pending")?,
        unattended: row.try_get("unattended")?,
        failed: row.try_get("failed")?,
        foreign: row.try_get("foreign_documents")?,
        passages: row.try_get("passages")?,
    })
}

/// Lets what waits be tried at once, and documents wait again whose vectors are of another model, and with `failed` those that were given up.
///
/// # Errors
/// Any [`DbError`].
pub async fn embed_again(client: &Client, failed: bool) -> Result<(), DbError> {
    let parameters: [Parameter<'_>; 1] = [&failed];
    as_owner(client, EMBED_AGAIN, &parameters).await.map(drop)
}

/// Documents of a tenant that were given up.
#[derive(Debug, Clone, Serialize)]
pub struct FailedEmbeddings {
    /// Whose.
    pub tenant: String,
    /// How many.
    pub documents: i64,
    /// What most of them ended with.
    pub error: String,
}

/// Documents that were given up, by tenant.
///
/// # Errors
/// Any [`DbError`].
pub async fn failed_embeddings(client: &Client) -> Result<Vec<FailedEmbeddings>, DbError> {
    let rows = as_owner(client, FAILED, &[]).await?;
    rows.iter()
        .map(|row| {
            let (tenant, error) = (row.try_get("slug")?, row.try_get("error")?);
            Ok(FailedEmbeddings { tenant, documents: row.try_get("documents")?, error })
        })
        .collect()
}
