use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_postgres::Row;
use uuid::Uuid;

use super::cursor::{Cursor, Order};
use crate::db::{DbError, Parameter, TenantTransaction};
use crate::identity::TenantId;
use crate::search::filter::Filter;

const LIST: &str = include_str!("../../sql/queries/documents/list.sql");
/// Of all rows of one answer, as JSON: about 8,000 tokens.
const LARGEST_PAGE_BYTES: usize = 32_000;

/// Which documents to list, and in which order. A cursor is bound to it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ListFilter {
    /// As for a search.
    pub filter: Filter,
    /// Changed at or after this instant.
    pub updated_after: Option<Timestamp>,
    /// By what.
    pub order: Order,
    /// Last first.
    pub is_descending: bool,
}

/// A page of documents.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listing {
    /// Documents, without their text.
    pub documents: Vec<Listed>,
    /// Give it as cursor, with the same filters and order, to go on; absent if there are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A document without its text.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed {
    /// Its id.
    pub document_id: Uuid,
    /// Its title.
    pub title: String,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its metadata, unless larger than 1,000 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// Language it is indexed in.
    pub language: String,
    /// Size of its text, in bytes.
    pub content_bytes: i32,
    /// embedded: searchable by meaning too. pending: by words only, until an embedder has seen it. failed: no embedder could.
    pub embedding_status: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When title, text, source, metadata or language last changed.
    pub updated_at: Timestamp,
}

/// The next `limit` documents that pass, after the one that the cursor names; fewer if they are large.
///
/// # Errors
/// Any [`DbError`].
pub async fn list(
    transaction: &TenantTransaction,
    tenant_id: TenantId,
    filter: &ListFilter,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Listing, DbError> {
    let Filter { source, metadata, created_after, created_before, language } = &filter.filter;
    let (order, after_id) = (filter.order.name(), after.map(|cursor| cursor.id));
    let after_at = after.and_then(|cursor| cursor.at);
    let after_title = after.and_then(|cursor| cursor.title.as_deref());
    // One more, to see whether there are more.
    let most = i32::try_from(limit + 1).unwrap_or(i32::MAX);
    let parameters: [Parameter<'_>; 13] = [
        &tenant_id,
        source,
        metadata,
        created_after,
        created_before,
        &filter.updated_after,
        language,
        &order,
        &filter.is_descending,
        &after_id,
        &after_at,
        &after_title,
        &most,
    ];
    let rows = transaction.query_planned(LIST, &parameters).await?;
    let mut documents: Vec<Listed> = Vec::new();
    let mut bytes = 0;
    for row in rows.iter().take(limit) {
        let listed = listed(row)?;
        bytes += serde_json::to_string(&listed).map_or(0, |text| text.len());
        if bytes > LARGEST_PAGE_BYTES && !documents.is_empty() {
            break;
        }
        documents.push(listed);
    }
    let last = documents.last().filter(|_| documents.len() < rows.len());
    let next_cursor = last.map(|last| Cursor::behind(last, filter.order).encode(filter));
    Ok(Listing { documents, next_cursor })
}

fn listed(row: &Row) -> Result<Listed, DbError> {
    Ok(Listed {
        document_id: row.try_get("id")?,
        title: row.try_get("title")?,
        source: row.try_get("source")?,
        metadata: match row.try_get::<_, Option<Value>>("metadata")? {
            Some(Value::Object(metadata)) => Some(metadata),
            _ => None,
        },
        language: row.try_get("language")?,
        content_bytes: row.try_get("content_bytes")?,
        embedding_status: row.try_get("embedding_status")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
