//! The real tools, with faults: each does what its call's plan says, and otherwise what it always does.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bailiwick::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use bailiwick::identity::Scope;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::links::Links;
use crate::plan::{Fault, Plan};

/// Longer than any deadline.
const PAST_THE_DEADLINE: Duration = Duration::from_secs(60);

pub struct Faulty<T> {
    pub tool: T,
    pub seed: u64,
    pub links: Arc<Links>,
}

/// Something of the call that the journal has under that number.
pub struct Numbered<T> {
    journal: u64,
    inner: T,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Numbered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut arguments = Map::<String, Value>::deserialize(deserializer)?;
        let journal = arguments.remove("journal").and_then(|journal| journal.as_u64());
        let journal = journal.ok_or_else(|| D::Error::missing_field("journal"))?;
        let inner = T::deserialize(Value::Object(arguments)).map_err(D::Error::custom)?;
        Ok(Self { journal, inner })
    }
}

impl<T: JsonSchema> JsonSchema for Numbered<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T: Tool> Tool for Faulty<T> {
    type Input = Numbered<T::Input>;
    type Request = Numbered<T::Request>;
    type Output = T::Output;

    const NAME: &'static str = T::NAME;
    const TITLE: &'static str = T::TITLE;
    const DESCRIPTION: &'static str = T::DESCRIPTION;
    const SCOPE: Scope = T::SCOPE;
    const ACTION: Action = T::ACTION;
    const HINTS: Hints = T::HINTS;

    fn check(&self, input: Self::Input) -> Result<Self::Request, Problems> {
        Ok(Numbered { journal: input.journal, inner: self.tool.check(input.inner)? })
    }

    fn describe(&self, request: &Self::Request) -> Map<String, Value> {
        let mut details = self.tool.describe(&request.inner);
        details.insert("journal".to_owned(), request.journal.into());
        details
    }

    fn query<'a>(&self, request: &'a Self::Request) -> Option<&'a str> {
        self.tool.query(&request.inner)
    }

    async fn run(&self, call: &Call<'_>, request: &Self::Request) -> Result<Answer<T::Output>, Failure> {
        self.links.note(request.journal, call.id);
        let fault = Plan::of(self.seed, request.journal).fault;
        match fault {
            Fault::PanicBefore => panic!("planned"),
            Fault::SleepInDatabase => {
                call.transaction.query("SELECT pg_sleep(60)::text", &[]).await.map_err(|error| call.failed(&error))?;
            }
            Fault::None | Fault::PanicAfter | Fault::Sleep | Fault::FailAfter => {}
        }
        let answer = self.tool.run(call, &request.inner).await?;
        match fault {
            Fault::PanicAfter => panic!("planned"),
            Fault::Sleep => tokio::time::sleep(PAST_THE_DEADLINE).await,
            Fault::FailAfter => return Err(Failure::NotFound("as planned".to_owned())),
            Fault::None | Fault::PanicBefore | Fault::SleepInDatabase => {}
        }
        Ok(answer)
    }
}
