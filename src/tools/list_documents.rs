use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::filter::{FilterInput, checked, instant};
use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::documents::{self, Cursor, ListFilter, Listing, Order};
use crate::identity::Scope;

const MOST_ROWS: usize = 100;
const DEFAULT_ROWS: usize = 25;

/// `list_documents`.
pub struct ListDocuments;

/// Arguments of `list_documents`. All conditions given must hold together.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Only documents that satisfy all of these conditions.
    filter: Option<FilterInput>,
    /// Only documents that were stored or changed at or after this time: RFC 3339 (2026-03-01T09:00:00Z) or a UTC date (2026-03-01).
    updated_after: Option<String>,
    /// By what to order; created_at if absent.
    order_by: Option<Order>,
    /// true: last (newest, or last by title) first; false: first first. If absent, true for times and false for titles.
    descending: Option<bool>,
    /// Most documents to return, 1 to 100; 25 if absent. Fewer are returned where titles and metadata are long.
    #[schemars(range(min = 1, max = 100))]
    limit: Option<i64>,
    /// next_cursor of the previous answer, to go on. Repeat the same filters and order.
    cursor: Option<String>,
}

/// Checked arguments.
pub struct Request {
    filter: ListFilter,
    limit: usize,
    cursor: Option<Cursor>,
}

impl Tool for ListDocuments {
    type Input = Input;
    type Request = Request;
    type Output = Listing;

    const NAME: &'static str = "list_documents";
    const TITLE: &'static str = "List documents";
    const DESCRIPTION: &'static str = "List your organisation's documents without their text, newest first or in another order, narrowed by source, metadata, dates or language. \
For more call again with next_cursor and the same filters and order. \
Use it to see what there is or what changed (to follow changes start a minute before the last time you saw: a document's time is when its call began, and calls take a while); to find something by what it says, use hybrid_search.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, input: Input) -> Result<Request, Problems> {
        let mut problems = Problems::default();
        let limit = input.limit.unwrap_or(DEFAULT_ROWS as i64);
        problems.range("limit", limit, 1, MOST_ROWS as i64);
        let order = input.order_by.unwrap_or_default();
        let filter = ListFilter {
            filter: input.filter.map(|filter| checked(filter, &mut problems)).unwrap_or_default(),
            updated_after: instant("updated_after", input.updated_after.as_deref(), &mut problems),
            order,
            is_descending: input.descending.unwrap_or(order != Order::Title),
        };
        let cursor = input
            .cursor
            .and_then(|text| Cursor::decode(&text, &filter).map_err(|problem| problems.add("cursor", problem)).ok());
        problems.or(Request { filter, limit: usize::try_from(limit).unwrap_or(DEFAULT_ROWS), cursor })
    }

    fn describe(&self, request: &Request) -> Map<String, Value> {
        let has_filter = !request.filter.filter.is_empty() || request.filter.updated_after.is_some();
        Map::from_iter([
            ("order".to_owned(), request.filter.order.name().into()),
            ("has_filter".to_owned(), has_filter.into()),
            ("limit".to_owned(), request.limit.into()),
            ("goes_on".to_owned(), request.cursor.is_some().into()),
        ])
    }

    async fn run(&self, call: &Call<'_>, request: &Request) -> Result<Answer<Listing>, Failure> {
        let Request { filter, limit, cursor } = request;
        let listing = documents::list(call.transaction, call.caller.tenant_id, filter, cursor.as_ref(), *limit).await;
        let output = listing.map_err(|error| call.failed(&error))?;
        let details = Map::from_iter([("rows".to_owned(), output.documents.len().into())]);
        Ok(Answer::new(output).telling(details))
    }
}
