use std::time::Duration;

use bailiwick::call::{Action, After, Answer, Call, Failure, Hints, Last, Problems, Tool};
use bailiwick::db::DbError;
use bailiwick::identity::Scope;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

/// A tool that ends as its caller wishes.
pub struct Ending;

#[derive(Deserialize, JsonSchema)]
pub struct Input {
    /// How to end.
    pub end: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Always true.
    pub done: bool,
}

impl Tool for Ending {
    type Input = Input;
    type Request = String;
    type Output = Output;

    const NAME: &'static str = "ending";
    const TITLE: &'static str = "Ending";
    const DESCRIPTION: &'static str = "Ends as asked.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Search;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, input: Input) -> Result<String, Problems> {
        Ok(input.end)
    }

    fn describe(&self, _request: &String) -> Map<String, Value> {
        Map::from_iter([("described".to_owned(), true.into())])
    }

    async fn run(&self, call: &Call<'_>, end: &String) -> Result<Answer<Output>, Failure> {
        match end.as_str() {
            "ok" | "telling" => {}
            end if end.starts_with("last") => {
                let output = Output { done: false };
                return Ok(Answer::new(output).then(last(end)));
            }
            "panic" => panic!("as asked"),
            "sleep" => tokio::time::sleep(Duration::from_secs(60)).await,
            "a while" => tokio::time::sleep(Duration::from_secs(4)).await,
            "slow statement" => {
                call.transaction.query("SELECT pg_sleep(60)", &[]).await.map_err(|error| call.failed(&error))?;
            }
            "short statement" => {
                call.transaction.query("SELECT pg_sleep(0.02)", &[]).await.map_err(|error| call.failed(&error))?;
            }
            "bad statement" => {
                call.transaction.query("SELECT 1 / 0", &[]).await.map_err(|error| call.failed(&error))?;
            }
            // A tool that does not notice its statement's failure must not succeed all the same.
            "ignored failure" => drop(call.transaction.query("SELECT 1 / 0", &[]).await),
            "not found" => return Err(Failure::NotFound("nothing there.".to_owned())),
            other => panic!("unknown end {other}"),
        }
        Ok(Answer::new(Output { done: true }))
    }

    async fn after(&self, after: &After<'_>, end: &String, _output: &mut Output) {
        if end == "telling" {
            after.progress().tell(1, 2, "half of it");
            after.progress().tell(2, 2, "all of it");
        }
    }
}

/// A statement that the answer still needs, which ends as its name says.
fn last(end: &str) -> Last<Output> {
    let reads = end != "last that cannot be read";
    Last {
        sql: match end {
            "last that fails" => "SELECT 1 / $1::integer AS done",
            _ => "SELECT $1::integer AS done",
        },
        parameters: match end {
            "last that cannot be sent" => vec![Box::new("a text")],
            "last that fails" => vec![Box::new(0_i32)],
            _ => vec![Box::new(7_i32)],
        },
        apply: Box::new(move |output, rows| {
            output.done = rows[0].try_get::<_, i32>("done")? == 7;
            if reads { Ok(()) } else { Err(DbError::Other("as asked".to_owned())) }
        }),
    }
}

/// A tool that stores a document, and does not end before it is let.
pub struct Changing(pub Semaphore);

#[derive(Deserialize, JsonSchema)]
pub struct Change {}

impl Tool for Changing {
    type Input = Change;
    type Request = ();
    type Output = Output;

    const NAME: &'static str = "changing";
    const TITLE: &'static str = "Changing";
    const DESCRIPTION: &'static str = "Stores a document.";
    const SCOPE: Scope = Scope::DocumentsWrite;
    const ACTION: Action = Action::Insert;
    const HINTS: Hints = Hints { read_only: false, idempotent: false, destructive: false };

    fn check(&self, _input: Change) -> Result<(), Problems> {
        Ok(())
    }

    fn describe(&self, _request: &()) -> Map<String, Value> {
        Map::new()
    }

    async fn run(&self, call: &Call<'_>, _request: &()) -> Result<Answer<Output>, Failure> {
        const STORE: &str = "INSERT INTO documents (tenant_id, title, content) VALUES (current_tenant_id(), 'changed', 'changed') RETURNING id";
        let stored = call.transaction.query_one(STORE, &[]).await.map_err(|error| call.failed(&error))?;
        self.0.acquire().await.unwrap().forget();
        Ok(Answer::new(Output { done: true }).about(stored.get::<_, uuid::Uuid>(0)))
    }
}
