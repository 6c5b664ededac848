use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::embedding::Embeddings;
use crate::identity::Scope;
use crate::tools::tenant_status::{self, Input, Output};

/// `resources/read` of `bailiwick://tenant/statistics`: what `tenant_status` answers.
pub struct ReadStatistics {
    /// What searches get their vectors from.
    pub embeddings: Embeddings,
}

impl Tool for ReadStatistics {
    type Input = Input;
    type Request = ();
    type Output = Output;

    const SURFACE: &'static str = "resources";
    const NAME: &'static str = "statistics";
    const TITLE: &'static str = "Statistics";
    const DESCRIPTION: &'static str = "What the organisation stores.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, _: Input) -> Result<(), Problems> {
        Ok(())
    }

    async fn run(&self, call: &Call<'_>, (): &()) -> Result<Answer<Output>, Failure> {
        let output = tenant_status::read(call, &self.embeddings).await.map_err(|error| call.failed(&error))?;
        Ok(Answer::new(output))
    }
}
