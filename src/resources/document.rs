use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::documents::{self, Stretch};
use crate::identity::{DocumentId, Scope};

/// More than a tool stores; what psql put there may be larger than an answer should be.
const MOST_CHARS: i32 = 1_000_000;

/// `resources/read` of a document: whole, for a person attaches it and a model is shown what the client makes of it.
pub struct ReadDocument;

/// Which document.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its id.
    document_id: Uuid,
}

/// A document as a resource.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// Its title.
    pub title: String,
    /// Its text.
    pub content: String,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its metadata.
    pub metadata: Map<String, Value>,
    /// Language it is indexed in.
    pub language: String,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl Tool for ReadDocument {
    type Input = Input;
    type Request = DocumentId;
    type Output = Output;

    const SURFACE: &'static str = "resources";
    const NAME: &'static str = "document";
    const TITLE: &'static str = "Read a document";
    const DESCRIPTION: &'static str = "Reads a document as a resource.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, input: Input) -> Result<DocumentId, Problems> {
        Ok(input.document_id.into())
    }

    fn describe(&self, document_id: &DocumentId) -> Map<String, Value> {
        Map::from_iter([("document_id".to_owned(), document_id.to_string().into())])
    }

    async fn run(&self, call: &Call<'_>, document_id: &DocumentId) -> Result<Answer<Output>, Failure> {
        let whole = Stretch::Characters { from: 0, to: None };
        let found = documents::read(call.transaction, call.caller.tenant_id, *document_id, whole, MOST_CHARS).await;
        let found = found
            .map_err(|error| call.failed(&error))?
            .ok_or_else(|| Failure::NotFound(format!("there is no document {document_id} in your organisation.")))?;
        let details = Map::from_iter([("returned_chars".to_owned(), found.content_chars.into())]);
        let output = Output {
            title: found.title,
            content: found.content,
            source: found.source,
            metadata: found.metadata,
            language: found.language,
            updated_at: found.updated_at,
        };
        Ok(Answer::new(output).about(document_id.as_uuid()).telling(details))
    }
}
