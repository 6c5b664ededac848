use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::identity::Scope;

/// `resources/read` of the page that shows costs. The page holds no data; it is for whoever may call the tool that feeds it.
pub struct ReadCostView;

/// Nothing is asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// Leave to be handed the page.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {}

impl Tool for ReadCostView {
    type Input = Input;
    type Request = ();
    type Output = Output;

    const SURFACE: &'static str = "resources";
    const NAME: &'static str = "cost_view";
    const TITLE: &'static str = "View of costs";
    const DESCRIPTION: &'static str = "The page that shows costs.";
    const SCOPE: Scope = Scope::CostsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, _: Input) -> Result<(), Problems> {
        Ok(())
    }

    async fn run(&self, _: &Call<'_>, (): &()) -> Result<Answer<Output>, Failure> {
        Ok(Answer::new(Output {}))
    }
}
