use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::identity::Scope;

const IDS: &str = include_str!("../../sql/queries/resources/ids.sql");
const SOURCES: &str = include_str!("../../sql/queries/resources/sources.sql");
/// The most that MCP lets a completion have.
const MOST: usize = 100;
const LONGEST_PREFIX: usize = 2_000;

/// What is typed so far.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The beginning of the value.
    prefix: String,
}

/// Values that begin so.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Completion {
    /// The values.
    pub values: Vec<String>,
    /// Whether there are more.
    pub has_more: bool,
}

impl Completion {
    fn of(mut values: Vec<String>) -> Answer<Self> {
        let has_more = values.len() > MOST;
        values.truncate(MOST);
        let details = Map::from_iter([("values".to_owned(), values.len().into())]);
        Answer::new(Self { values, has_more }).telling(details)
    }
}

/// One more than are shown.
fn most() -> i32 {
    i32::try_from(MOST + 1).unwrap_or(i32::MAX)
}

/// `completion/complete` for the id of a document.
pub struct CompleteIds;

impl Tool for CompleteIds {
    type Input = Input;
    /// The first and the last id that begin so; `None` if none can.
    type Request = Option<(Uuid, Uuid)>;
    type Output = Completion;

    const SURFACE: &'static str = "completion";
    const NAME: &'static str = "document_ids";
    const TITLE: &'static str = "Complete a document's id";
    const DESCRIPTION: &'static str = "Completes a document's id.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, input: Input) -> Result<Self::Request, Problems> {
        Ok(range(&input.prefix))
    }

    fn describe(&self, range: &Self::Request) -> Map<String, Value> {
        Map::from_iter([("can_match".to_owned(), range.is_some().into())])
    }

    async fn run(&self, call: &Call<'_>, range: &Self::Request) -> Result<Answer<Completion>, Failure> {
        let Some((first, last)) = range else { return Ok(Completion::of(Vec::new())) };
        let rows = call.transaction.query(IDS, &[&call.caller.tenant_id, first, last, &most()]).await;
        let ids = rows.and_then(|rows| {
            rows.iter().map(|row| Ok(row.try_get::<_, Uuid>("id")?.to_string())).collect::<Result<_, _>>()
        });
        ids.map(Completion::of).map_err(|error| call.failed(&error))
    }
}

/// The ids that begin with a text, which are neighbours in the index.
fn range(prefix: &str) -> Option<(Uuid, Uuid)> {
    const FORM: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    let prefix = prefix.to_ascii_lowercase();
    let fits = prefix.len() <= FORM.len()
        && prefix.bytes().zip(FORM.bytes()).all(|(given, form)| match form {
            b'-' => given == b'-',
            _ => given.is_ascii_hexdigit(),
        });
    let filled =
        |digit: &str| Uuid::parse_str(&format!("{prefix}{}", FORM.get(prefix.len()..)?.replace('x', digit))).ok();
    if fits { Some((filled("0")?, filled("f")?)) } else { None }
}

/// `completion/complete` for a source.
pub struct CompleteSources;

impl Tool for CompleteSources {
    type Input = Input;
    type Request = String;
    type Output = Completion;

    const SURFACE: &'static str = "completion";
    const NAME: &'static str = "sources";
    const TITLE: &'static str = "Complete a source";
    const DESCRIPTION: &'static str = "Completes a source.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, input: Input) -> Result<String, Problems> {
        let mut problems = Problems::default();
        if !input.prefix.is_empty() {
            // Blanks may be the beginning of a source; NUL and great length may not.
            problems.text("argument.value", &format!("_{}", input.prefix), LONGEST_PREFIX);
        }
        problems.or(input.prefix)
    }

    fn describe(&self, prefix: &String) -> Map<String, Value> {
        Map::from_iter([("prefix_chars".to_owned(), prefix.chars().count().into())])
    }

    async fn run(&self, call: &Call<'_>, prefix: &String) -> Result<Answer<Completion>, Failure> {
        let rows = call.transaction.query(SOURCES, &[&call.caller.tenant_id, prefix, &most()]).await;
        let sources = rows.and_then(|rows| rows.iter().map(|row| Ok(row.try_get("source")?)).collect::<Result<_, _>>());
        sources.map(Completion::of).map_err(|error| call.failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_begin_alike_are_a_range() {
        let range = |prefix: &str| range(prefix).map(|(first, last)| (first.to_string(), last.to_string()));
        let expected =
            ("01a20000-0000-0000-0000-000000000000".to_owned(), "01a2ffff-ffff-ffff-ffff-ffffffffffff".to_owned());
        assert_eq!(range("01A2"), Some(expected));
        let whole = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(range(whole), Some((whole.to_owned(), whole.to_owned())));
        assert!(range("").is_some() && range("01890a5d-").is_some());
        for none in ["x", "01890a5da", "-", "01890a5d-ac96-774b-bcce-b302099a80570", "é"] {
            assert_eq!(range(none), None, "{none}");
        }
    }
}
