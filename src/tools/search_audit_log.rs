use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::call::{Action, Answer, Call, Failure, Hints, Outcome, Problems, Tool};
use crate::identity::Scope;
use crate::trail::{self, Cursor, Filter, Page, Wanted};

/// Most rows of one answer.
const MOST_ROWS: usize = 100;
const DEFAULT_ROWS: usize = 25;

/// `search_audit_log`.
pub struct SearchAuditLog;

/// Arguments of `search_audit_log`. All conditions given must hold together.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Only calls that ended at this time or later: RFC 3339 (2026-03-01T09:00:00Z) or a UTC date (2026-03-01).
    from: Option<String>,
    /// Only calls that ended before this time: RFC 3339 or a UTC date.
    to: Option<String>,
    /// Only calls of exactly this user, as rows name it.
    user: Option<String>,
    /// Only calls that did this.
    action: Option<Action>,
    /// Only calls that ended so.
    outcome: Option<Outcome>,
    /// true: only calls that succeeded; false: only those that did not, whatever the outcome.
    success: Option<bool>,
    /// Only calls of this tool, for example hybrid_search.
    resource: Option<String>,
    /// Only this call: the id that a failure named.
    call_id: Option<Uuid>,
    /// Most rows to return, 1 to 100; 25 if absent.
    #[schemars(range(min = 1, max = 100))]
    limit: Option<i64>,
    /// next_cursor of the previous answer, to go on with older rows. Repeat the same filters.
    cursor: Option<String>,
}

/// Checked arguments.
pub struct Request {
    filter: Filter,
    limit: usize,
    cursor: Option<Cursor>,
}

impl Tool for SearchAuditLog {
    type Input = Input;
    type Request = Request;
    type Output = Page;

    const NAME: &'static str = "search_audit_log";
    const TITLE: &'static str = "Search the audit trail";
    const DESCRIPTION: &'static str = "Find calls in your organisation's audit trail, newest first: who called which tool when, how it ended and how long it \
took. Every call has exactly one row, also a failed or refused one; this call's own row is written after its answer. \
Narrow by time, user, action, outcome or tool; to look into a failure give its call_id. \
For more rows call again with next_cursor and the same filters. Rows tell lengths, counts and ids, never text of documents or queries.";
    const SCOPE: Scope = Scope::AuditRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, input: Input) -> Result<Request, Problems> {
        let mut problems = Problems::default();
        let limit = input.limit.unwrap_or(DEFAULT_ROWS as i64);
        problems.range("limit", limit, 1, MOST_ROWS as i64);
        let wanted = Wanted {
            from: input.from,
            to: input.to,
            user: input.user,
            action: input.action,
            outcome: input.outcome,
            success: input.success,
            resource: input.resource,
            call_id: input.call_id,
        };
        let filter = Filter::checked(wanted, &mut problems);
        let cursor = input
            .cursor
            .and_then(|text| Cursor::decode(&text, &filter).map_err(|problem| problems.add("cursor", problem)).ok());
        problems.or(Request { filter, limit: usize::try_from(limit).unwrap_or(DEFAULT_ROWS), cursor })
    }

    fn describe(&self, request: &Request) -> Map<String, Value> {
        Map::from_iter([
            ("filters".to_owned(), request.filter.names().into()),
            ("limit".to_owned(), request.limit.into()),
            ("goes_on".to_owned(), request.cursor.is_some().into()),
        ])
    }

    async fn run(&self, call: &Call<'_>, request: &Request) -> Result<Answer<Page>, Failure> {
        let Request { filter, limit, cursor } = request;
        let page = trail::page(call.transaction, call.caller.tenant_id, filter, *cursor, *limit).await;
        let output = page.map_err(|error| call.failed(&error))?;
        let details = Map::from_iter([("rows".to_owned(), output.rows.len().into())]);
        Ok(Answer::new(output).telling(details))
    }
}
