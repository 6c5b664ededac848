use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::documents::{self, Quota};
use crate::identity::{DocumentId, Scope};

/// `delete_document`.
pub struct DeleteDocument;

/// Arguments of `delete_document`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The document's id.
    document_id: Uuid,
}

/// Answer of `delete_document`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The id that was given: there is no such document in your organisation now.
    document_id: Uuid,
    /// Whether this call removed it; false if it was not there.
    deleted: bool,
    /// What your organisation stores and may store, after the deletion.
    quota: Quota,
}

impl Tool for DeleteDocument {
    type Input = Input;
    type Request = DocumentId;
    type Output = Output;

    const NAME: &'static str = "delete_document";
    const TITLE: &'static str = "Delete a document";
    const DESCRIPTION: &'static str = "Delete a document of your organisation for good. It is no longer found as soon as the call returns, and its quota is given back. \
Deleting what is not there is no failure: the answer says deleted false. \
There is no way back, so make sure of the id, and of your user's consent, first.";
    const SCOPE: Scope = Scope::DocumentsWrite;
    const ACTION: Action = Action::Delete;
    const HINTS: Hints = Hints { read_only: false, idempotent: true, destructive: true };

    fn check(&self, input: Input) -> Result<DocumentId, Problems> {
        Ok(input.document_id.into())
    }

    fn describe(&self, document_id: &DocumentId) -> Map<String, Value> {
        Map::from_iter([("document_id".to_owned(), document_id.to_string().into())])
    }

    async fn run(&self, call: &Call<'_>, document_id: &DocumentId) -> Result<Answer<Output>, Failure> {
        let (transaction, tenant_id) = (call.transaction, call.caller.tenant_id);
        let failed = |error| call.failed(&error);
        let deleted = documents::delete(transaction, tenant_id, *document_id).await.map_err(failed)?;
        let quota = Quota::read(transaction, tenant_id).await.map_err(failed)?;
        let details = Map::from_iter([("deleted".to_owned(), deleted.into())]);
        let output = Output { document_id: document_id.as_uuid(), deleted, quota };
        Ok(Answer::new(output).about(document_id.as_uuid()).telling(details))
    }
}
