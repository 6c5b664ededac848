use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::documents::{self, Cursor, ListFilter, Listing, Order};
use crate::identity::Scope;

const ROWS: usize = 50;

/// `resources/list`: documents, newest first.
pub struct ListResources;

/// What `resources/list` asks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// nextCursor of the page before.
    cursor: Option<String>,
}

fn filter() -> ListFilter {
    ListFilter { order: Order::CreatedAt, is_descending: true, ..ListFilter::default() }
}

impl Tool for ListResources {
    type Input = Input;
    type Request = Option<Cursor>;
    type Output = Listing;

    const SURFACE: &'static str = "resources";
    const NAME: &'static str = "list";
    const TITLE: &'static str = "List resources";
    const DESCRIPTION: &'static str = "Lists documents as resources.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, input: Input) -> Result<Option<Cursor>, Problems> {
        let cursor = input.cursor.map(|text| Cursor::decode(&text, &filter()));
        cursor.transpose().map_err(|problem| Problems::one("cursor", problem))
    }

    fn describe(&self, cursor: &Option<Cursor>) -> Map<String, Value> {
        Map::from_iter([("goes_on".to_owned(), cursor.is_some().into())])
    }

    async fn run(&self, call: &Call<'_>, cursor: &Option<Cursor>) -> Result<Answer<Listing>, Failure> {
        let tenant_id = call.caller.tenant_id;
        let listing = documents::list(call.transaction, tenant_id, &filter(), cursor.as_ref(), ROWS).await;
        let output = listing.map_err(|error| call.failed(&error))?;
        let details = Map::from_iter([("rows".to_owned(), output.documents.len().into())]);
        Ok(Answer::new(output).telling(details))
    }
}
