use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::get_document::not_found;
use super::{EmbeddingSpace, fields};
use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::documents::{self, Analysis, Change, Changed, Quota, Update, Updated};
use crate::identity::Scope;

/// `update_document`.
pub struct UpdateDocument {
    /// The database's embeddings.
    pub space: EmbeddingSpace,
}

/// Arguments of `update_document`. What is absent stays as it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The document's id.
    document_id: Uuid,
    /// updated_at as you read it last: if the document was changed since, nothing is done and the failure conflict tells its updated_at now. Without it your change overwrites whatever is there.
    expected_updated_at: Option<String>,
    /// Another title.
    #[schemars(length(min = 1, max = 500))]
    title: Option<String>,
    /// Another text, whole. Only passages that are new are indexed and embedded anew.
    #[schemars(length(min = 1, max = 1_000_000))]
    content: Option<String>,
    /// Another source; an empty text removes it.
    source: Option<String>,
    /// Another JSON object, in the place of all metadata that is there.
    metadata: Option<Map<String, Value>>,
    /// Another language: ISO 639 code. If absent it stays, or follows a new content if it was detected.
    language: Option<String>,
    /// Vector of the whole document, of the database's model and dimensions, in the place of those that it has.
    embedding: Option<Vec<f32>>,
    /// Any text of yours that names this change: repeating the call with the same key changes nothing twice and returns the first answer.
    idempotency_key: Option<String>,
}

/// Answer of `update_document`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The document's id.
    document_id: Uuid,
    /// The fields that are not what they were; none if all were so already.
    changed: Vec<String>,
    /// Passages of the new content.
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_count: Option<usize>,
    /// Of them, those whose text was there before: they keep their vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_chunks: Option<usize>,
    /// embedded: searchable by meaning. pending: its new passages by words only, until an embedder has seen them.
    embedding_status: String,
    /// Language it is indexed in.
    language: String,
    /// When it last changed: now, if anything did.
    updated_at: Timestamp,
    /// What your organisation stores and may store.
    quota: Quota,
    /// True if this is the first answer to the same idempotency_key: nothing was changed now.
    repeated: bool,
}

impl Tool for UpdateDocument {
    type Input = Input;
    type Request = Update;
    type Output = Output;

    const NAME: &'static str = "update_document";
    const TITLE: &'static str = "Change a document";
    const DESCRIPTION: &'static str = "Change fields of a document of your organisation; those that you leave out stay. It is found by its new words as soon as the call returns. \
To correct a text, read it with get_document, change it, and give it whole as content together with expected_updated_at, so that nobody's change in between is lost. \
After conflict read the document again and decide anew.";
    const SCOPE: Scope = Scope::DocumentsWrite;
    const ACTION: Action = Action::Update;
    const HINTS: Hints = Hints { read_only: false, idempotent: true, destructive: true };

    fn check(&self, input: Input) -> Result<Update, Problems> {
        let mut problems = Problems::default();
        if let Some(title) = &input.title {
            fields::title("title", title, &mut problems);
        }
        if let Some(content) = &input.content {
            fields::content("content", content, &mut problems);
        }
        let source = input.source.map(|source| Some(source).filter(|source| !source.is_empty()));
        if let Some(source) = source.iter().flatten().next() {
            fields::source("source", source, &mut problems);
        }
        if let Some(metadata) = &input.metadata {
            fields::metadata("metadata", metadata, &mut problems);
        }
        let language = fields::language("language", input.language.as_deref(), &mut problems);
        let embedding = fields::embedding("embedding", input.embedding, &self.space, &mut problems);
        fields::idempotency_key(input.idempotency_key.as_deref(), &mut problems);
        let expected_updated_at = input.expected_updated_at.as_deref().and_then(|text| {
            let read = text.parse::<Timestamp>();
            let words = "is no moment; give updated_at as get_document or list_documents returned it";
            read.map_err(|_| problems.add("expected_updated_at", words)).ok()
        });
        let given = [
            input.title.is_some(),
            input.content.is_some(),
            source.is_some(),
            input.metadata.is_some(),
            language.is_some(),
            embedding.is_some(),
        ];
        if !given.contains(&true) {
            problems.add(
                "title",
                "and content, source, metadata, language and embedding are all absent: there is nothing to change",
            );
        }
        problems.or(())?;
        Ok(Update {
            document_id: input.document_id.into(),
            expected_updated_at,
            change: Change {
                title: input.title,
                content: input.content.map(|content| {
                    let analysis = Analysis::of(&content, &self.space.embeddings.cutting());
                    (content, analysis)
                }),
                source,
                metadata: input.metadata.map(Value::Object),
                language,
                embedding,
            },
            idempotency_key: input.idempotency_key,
        })
    }

    fn describe(&self, update: &Update) -> Map<String, Value> {
        let change = &update.change;
        let mut details = Map::from_iter([
            ("document_id".to_owned(), update.document_id.to_string().into()),
            ("has_expected_updated_at".to_owned(), update.expected_updated_at.is_some().into()),
            ("has_embedding".to_owned(), change.embedding.is_some().into()),
        ]);
        if let Some((content, _)) = &change.content {
            details.insert("content_chars".to_owned(), content.chars().count().into());
        }
        details
    }

    async fn run(&self, call: &Call<'_>, update: &Update) -> Result<Answer<Output>, Failure> {
        let (transaction, tenant_id) = (call.transaction, call.caller.tenant_id);
        let failed = |error| call.failed(&error);
        let Changed { fields, chunks, embedding_status, language, updated_at, repeated } = match documents::update(
            transaction,
            tenant_id,
            update,
        )
        .await
        .map_err(failed)?
        {
            Updated::Done(changed) => changed,
            Updated::NotFound => return Err(not_found(update.document_id)),
            Updated::Stale { updated_at } => {
                return Err(Failure::Conflict(format!(
                    "the document was changed meanwhile: its updated_at is {updated_at}. Read it again with get_document and decide anew."
                )));
            }
            Updated::OtherRequest => return Err(fields::key_was_used()),
        };
        let quota = Quota::read(transaction, tenant_id).await.map_err(failed)?;
        let mut details = Map::from_iter([
            ("changed".to_owned(), fields.clone().into()),
            ("embedding_status".to_owned(), embedding_status.clone().into()),
            ("repeated".to_owned(), repeated.into()),
        ]);
        if let Some(chunks) = chunks {
            details.insert("chunks".to_owned(), chunks.count.into());
            details.insert("kept_chunks".to_owned(), chunks.kept.into());
        }
        let document_id = update.document_id.as_uuid();
        let output = Output {
            document_id,
            changed: fields,
            chunk_count: chunks.map(|chunks| chunks.count),
            kept_chunks: chunks.map(|chunks| chunks.kept),
            embedding_status,
            language,
            updated_at,
            quota,
            repeated,
        };
        Ok(Answer::new(output).about(document_id).telling(details))
    }
}
