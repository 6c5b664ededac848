use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::DEADLINE;
use crate::call::{Action, Answer, Call, Calls, Failure, Hints, Problems, Tool};
use crate::db::DbError;
use crate::documents::{self, Cutting};
use crate::identity::{Caller, DocumentId, Scope};

const LONGER_DOCUMENTS: &str = include_str!("../../../sql/queries/embedding/longer_documents.sql");

/// Cuts one document anew: the server's own call, which no client can make.
struct RecutDocument {
    cutting: Cutting,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Output {
    /// Passages that it has now, if they are others.
    passages: Option<usize>,
}

impl Tool for RecutDocument {
    type Input = ();
    type Request = DocumentId;
    type Output = Output;

    const SURFACE: &'static str = "worker";
    const NAME: &'static str = "recut_document";
    const TITLE: &'static str = "Cut a document anew";
    const DESCRIPTION: &'static str = "Cuts a document into passages that the embedding model can read.";
    const SCOPE: Scope = Scope::DocumentsWrite;
    const ACTION: Action = Action::Embed;
    const BINDS_USER: bool = false;
    const HINTS: Hints = Hints { read_only: false, idempotent: true, destructive: false };

    fn check(&self, (): ()) -> Result<DocumentId, Problems> {
        Err(Problems::one("arguments", "cannot be given: only the server cuts documents anew"))
    }

    async fn run(&self, call: &Call<'_>, document_id: &DocumentId) -> Result<Answer<Output>, Failure> {
        let recut = documents::recut(call.transaction, call.caller.tenant_id, *document_id, &self.cutting).await;
        let passages = recut.map_err(|error| call.failed(&error))?;
        let details = Map::from_iter([("passages".to_owned(), Value::from(passages))]);
        Ok(Answer::new(Output { passages }).about(document_id.as_uuid()).telling(details))
    }
}

/// Cuts a tenant's passages anew that are longer than what the model reads; how many documents have others now, and wait for
/// their vectors. Until they have them those passages are found by words.
pub(super) async fn recut(calls: &Calls, caller: &Caller, cutting: &Cutting) -> Result<u64, DbError> {
    let Some(longest) = cutting.longest_passage() else { return Ok(0) };
    let tool = Arc::new(RecutDocument { cutting: cutting.clone() });
    let (mut behind, mut recut) = (None::<Uuid>, 0);
    loop {
        let transaction = calls.door().open(caller).await?;
        let rows = transaction.query(LONGER_DOCUMENTS, &[&caller.tenant_id, &longest, &behind]).await;
        transaction.abandon().await;
        let rows = rows?;
        for row in &rows {
            let document_id: Uuid = row.try_get("document_id")?;
            behind = Some(document_id);
            match calls.run_own(&tool, caller, DocumentId::from(document_id), DEADLINE).await {
                Ok(output) => recut += u64::from(output.passages.is_some()),
                // It stays as it is: what the model does not read of it counts by words alone.
                Err(failure) => tracing::warn!(%document_id, %failure, "a document was not cut anew"),
            }
        }
        if rows.is_empty() {
            return Ok(recut);
        }
    }
}
