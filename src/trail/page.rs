use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{Cursor, Filter};
use crate::call::{Action, Outcome};
use crate::db::{DbError, Parameter, TenantReader};
use crate::identity::TenantId;

const PAGE: &str = include_str!("../../sql/queries/trail/page.sql");
const CALL: &str = include_str!("../../sql/queries/trail/call.sql");
/// How far a call's start may lie from the moment in its id, which another reading of the clock gave.
const CLOCKS_APART: SignedDuration = SignedDuration::from_hours(1);

/// Rows of the trail, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Page {
    /// Calls, the one that ended last first.
    pub rows: Vec<Entry>,
    /// Give it as cursor, with the same filters, to go on with older rows; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Rows completed before this moment are all there and cannot change unnoticed: a range that ends before it always gives the same rows, until the operator retires old months. Absent if nothing is sealed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed_until: Option<Timestamp>,
}

/// One call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Entry {
    /// Names the call in failures and logs.
    pub call_id: Uuid,
    /// When it reached the server.
    pub started_at: Timestamp,
    /// When it ended.
    pub completed_at: Timestamp,
    /// Who called.
    pub user: String,
    /// What it did: search, insert, update, delete, read, report, record, or unknown where no such tool exists.
    pub action: String,
    /// What was called, for example tools/hybrid_search.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The document or other row that it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<Uuid>,
    /// How it ended: ok, error, denied, cancelled, timeout, panic or interrupted.
    pub outcome: String,
    /// Code of the failure, for example invalid_input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Lengths, counts and ids of request and result; never text of documents or queries. Only a note if they take more than 2,000 characters.
    pub details: Map<String, Value>,
    /// The client program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Where the client called from, if it came over a network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_address: Option<String>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i32>,
}

/// The next `limit` rows of the tenant's trail that pass, after the one that the cursor names.
///
/// # Errors
/// Any [`DbError`].
pub async fn page(
    reader: &impl TenantReader,
    tenant_id: TenantId,
    filter: &Filter,
    after: Option<Cursor>,
    limit: usize,
) -> Result<Page, DbError> {
    // One more, to see whether there are more.
    let most = i32::try_from(limit + 1).unwrap_or(i32::MAX);
    let from = filter.from.unwrap_or(Timestamp::UNIX_EPOCH);
    let before = after.map(|cursor| cursor.completed_at).or(filter.to).unwrap_or_else(last_moment);
    let after_call = after.map(|cursor| cursor.call_id);
    let (action, outcome) = (filter.action.map(Action::name), filter.outcome.map(Outcome::name));
    let mut parameters: Vec<Parameter<'_>> = vec![
        &tenant_id,
        &from,
        &before,
        &after_call,
        &filter.user,
        &action,
        &outcome,
        &filter.success,
        &filter.resource,
        &most,
    ];
    let (earliest, latest) = filter.call_id.map_or_else(ever, starts);
    let found = if filter.call_id.is_some() {
        parameters.extend([&filter.call_id as Parameter<'_>, &earliest, &latest]);
        reader.rows(CALL, &parameters).await?
    } else {
        reader.rows(PAGE, &parameters).await?
    };
    let first = found.first().ok_or_else(|| DbError::Other("a page without its seal".to_owned()))?;
    let sealed_until = first.try_get("sealed_until")?;
    // Where no row passes there is the seal alone.
    let is_empty = first.try_get::<_, Option<i64>>("id")?.is_none();
    let shown = if is_empty { 0 } else { found.len().min(limit) };
    let rows = found[..shown].iter().map(entry).collect::<Result<Vec<_>, DbError>>()?;
    let last = rows.last().filter(|_| found.len() > limit);
    let next_cursor = last.map(|last| Cursor::behind(last).encode(filter));
    Ok(Page { rows, next_cursor, sealed_until })
}

/// Between which moments a call of that id began: our ids hold the moment in which they were made (uuid version 7).
fn starts(call_id: Uuid) -> (Timestamp, Timestamp) {
    let made = call_id.get_timestamp().filter(|_| call_id.get_version_num() == 7).and_then(|made| {
        let made = Timestamp::from_second(i64::try_from(made.to_unix().0).ok()?).ok()?;
        Some((made.checked_sub(CLOCKS_APART).ok()?, made.checked_add(CLOCKS_APART).ok()?))
    });
    made.unwrap_or_else(ever)
}

/// Between which moments all calls were made.
fn ever() -> (Timestamp, Timestamp) {
    (Timestamp::UNIX_EPOCH, last_moment())
}

/// Later than any call, and still a moment to both jiff and PostgreSQL, in whole microseconds.
fn last_moment() -> Timestamp {
    Timestamp::from_second(253_000_000_000).unwrap_or(Timestamp::MAX)
}

fn entry(row: &Row) -> Result<Entry, DbError> {
    let details = match row.try_get::<_, Option<Value>>("details")? {
        Some(Value::Object(details)) => details,
        _ => {
            let chars: i32 = row.try_get("details_chars")?;
            let note = format!("left out: {chars} characters of JSON");
            Map::from_iter([("note".to_owned(), note.into())])
        }
    };
    Ok(Entry {
        call_id: row.try_get("call_id")?,
        started_at: row.try_get("started_at")?,
        completed_at: row.try_get("completed_at")?,
        user: row.try_get("user_id")?,
        action: row.try_get("action")?,
        resource: row.try_get("resource")?,
        resource_id: row.try_get("resource_id")?,
        outcome: row.try_get("outcome")?,
        error: row.try_get("error_message")?,
        details,
        client: row.try_get("user_agent")?,
        ip_address: row.try_get("ip_address")?,
        duration_ms: row.try_get("duration_ms")?,
    })
}
