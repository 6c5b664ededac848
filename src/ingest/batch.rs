use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::draft::Draft;
use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::documents::language::Language;
use crate::documents::{self, Analysis, How, Insertion, Item, NewDocument, Quota};
use crate::embedding::Embeddings;
use crate::identity::Scope;

/// A batch of documents, as a call: the command's, and no tool that is listed.
pub struct IngestDocuments {
    /// With what they will be embedded: passages are cut to its measure.
    pub embeddings: Embeddings,
}

/// The batch.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Input {
    documents: Vec<Document>,
}

/// One document.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Document {
    title: String,
    content: String,
    source: Option<String>,
    metadata: Map<String, Value>,
    language: Option<String>,
    replace: bool,
}

/// What became of each.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// In the order of the documents.
    pub(super) results: Vec<Outcome>,
    /// What the tenant has and may have, where that was only looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quota: Option<Quota>,
}

/// What became of a document.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Stored {
        chunks: usize,
    },
    Replaced {
        chunks: usize,
    },
    /// It would be stored, and would add so much to what the tenant stores.
    WouldStore {
        chunks: usize,
        bytes: i64,
    },
    /// It would take another's place, and would add so much.
    WouldReplace {
        chunks: usize,
        bytes: i64,
    },
    Unchanged,
    OverQuota(String),
    Ambiguous,
}

/// The arguments of a call with these documents.
pub(super) fn arguments(drafts: &[Draft]) -> Map<String, Value> {
    let documents = drafts.iter().map(|draft| Document {
        title: draft.title.clone(),
        content: draft.content.clone(),
        source: draft.source.clone(),
        metadata: draft.metadata.clone(),
        language: draft.language.clone(),
        replace: draft.replace,
    });
    match serde_json::to_value(Input { documents: documents.collect() }) {
        Ok(Value::Object(arguments)) => arguments,
        // Strings and objects always make a JSON object.
        _ => Map::new(),
    }
}

impl Tool for IngestDocuments {
    type Input = Input;
    type Request = Vec<NewDocument>;
    type Output = Output;

    const SURFACE: &'static str = "commands";
    const NAME: &'static str = "ingest";
    const TITLE: &'static str = "Ingest";
    const DESCRIPTION: &'static str = "Stores a batch of documents.";
    const SCOPE: Scope = Scope::DocumentsWrite;
    const ACTION: Action = Action::Insert;
    const HINTS: Hints = Hints { read_only: false, idempotent: true, destructive: true };

    fn check(&self, input: Input) -> Result<Vec<NewDocument>, Problems> {
        let cutting = self.embeddings.cutting();
        // Each was checked when it was found, so that it could be named there.
        Ok(input
            .documents
            .into_iter()
            .map(|document| NewDocument {
                analysis: Analysis::of(&document.content, &cutting),
                title: document.title,
                content: document.content,
                source: document.source,
                metadata: Value::Object(document.metadata),
                embedding: None,
                language: document.language.and_then(|code| Language::from_code(&code).ok()),
                replace: document.replace,
            })
            .collect())
    }

    fn describe(&self, documents: &Vec<NewDocument>) -> Map<String, Value> {
        let characters: usize = documents.iter().map(|document| document.content.chars().count()).sum();
        Map::from_iter([
            ("documents".to_owned(), documents.len().into()),
            ("content_chars".to_owned(), characters.into()),
        ])
    }

    async fn run(&self, call: &Call<'_>, documents: &Vec<NewDocument>) -> Result<Answer<Output>, Failure> {
        let inserted = documents::insert(call.transaction, call.caller.tenant_id, documents, None).await;
        let items = match inserted {
            Ok(Insertion::Done { items, .. }) => items,
            Ok(Insertion::OtherRequest) => Vec::new(),
            Err(error) => return Err(call.failed(&error)),
        };
        let results: Vec<Outcome> = items.into_iter().map(outcome).collect();
        let count = |is: fn(&Outcome) -> bool| results.iter().filter(|outcome| is(outcome)).count();
        let details = Map::from_iter([
            ("stored".to_owned(), count(|outcome| matches!(outcome, Outcome::Stored { .. })).into()),
            ("replaced".to_owned(), count(|outcome| matches!(outcome, Outcome::Replaced { .. })).into()),
            ("unchanged".to_owned(), count(|outcome| matches!(outcome, Outcome::Unchanged)).into()),
            ("over_quota".to_owned(), count(|outcome| matches!(outcome, Outcome::OverQuota(_))).into()),
        ]);
        Ok(Answer::new(Output { results, quota: None }).telling(details))
    }
}

fn outcome(item: Item) -> Outcome {
    match item {
        Item::Stored(inserted) => match inserted.how {
            How::New => Outcome::Stored { chunks: inserted.chunk_count },
            How::Replaced => Outcome::Replaced { chunks: inserted.chunk_count },
            How::Repeated { .. } => Outcome::Unchanged,
        },
        Item::QuotaReached { message, hint } => Outcome::OverQuota(format!("{message}. {hint}")),
        Item::Ambiguous => Outcome::Ambiguous,
    }
}
