use std::sync::Arc;

use serde_json::{Map, Value};

use super::batch::{IngestDocuments, Input, Outcome, Output};
use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::documents::{self, NewDocument, Prospect};
use crate::identity::Scope;

/// What storing a batch would do, as a call: the command's for `--dry-run`. It changes nothing and locks nothing.
pub struct PreviewDocuments(pub Arc<IngestDocuments>);

impl Tool for PreviewDocuments {
    type Input = Input;
    type Request = Vec<NewDocument>;
    type Output = Output;

    const SURFACE: &'static str = "commands";
    const NAME: &'static str = "ingest_preview";
    const TITLE: &'static str = "Look what ingesting would do";
    const DESCRIPTION: &'static str =
        "Tells of a batch of documents which are new, changed and known, and what the tenant may store.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, input: Input) -> Result<Vec<NewDocument>, Problems> {
        self.0.check(input)
    }

    fn describe(&self, documents: &Vec<NewDocument>) -> Map<String, Value> {
        self.0.describe(documents)
    }

    async fn run(&self, call: &Call<'_>, documents: &Vec<NewDocument>) -> Result<Answer<Output>, Failure> {
        let prospects = documents::prospects(call.transaction, call.caller.tenant_id, documents).await;
        let (prospects, quota) = prospects.map_err(|error| call.failed(&error))?;
        let outcomes = documents.iter().zip(prospects).map(|(document, prospect)| match prospect {
            Prospect::New { bytes } => Outcome::WouldStore { chunks: document.analysis.chunk_count(), bytes },
            Prospect::Changed { bytes } => Outcome::WouldReplace { chunks: document.analysis.chunk_count(), bytes },
            Prospect::Known => Outcome::Unchanged,
            Prospect::Ambiguous => Outcome::Ambiguous,
        });
        let output = Output { results: outcomes.collect(), quota: Some(quota) };
        Ok(Answer::new(output))
    }
}
