use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::EmbeddingSpace;
use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::documents::language::Language;
use crate::documents::{self, Analysis, NewDocument, OwnEmbedding, Quota};
use crate::identity::Scope;

const LONGEST_TITLE: usize = 500;
const LONGEST_CONTENT: usize = 1_000_000;
const LONGEST_SOURCE: usize = 2_000;
const LONGEST_KEY: usize = 200;
const LARGEST_METADATA_BYTES: usize = 16_384;

/// `insert_document`.
pub struct InsertDocument {
    /// The database's embeddings.
    pub space: EmbeddingSpace,
}

/// Arguments of `insert_document`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// A title that says what the document is about; its words count three times in searches.
    #[schemars(length(min = 1, max = 500))]
    title: String,
    /// The whole text, plain or Markdown, up to 1,000,000 characters. It is cut into passages for searching.
    #[schemars(length(min = 1, max = 1_000_000))]
    content: String,
    /// Where it came from: a URL or file name, for citing and filtering.
    source: Option<String>,
    /// A JSON object for filters, for example {"department": "hr", "tags": ["leave"]}.
    metadata: Option<Map<String, Value>>,
    /// Vector of the whole document, if you have one of the database's model and dimensions.
    embedding: Option<Vec<f32>>,
    /// ISO 639 code of its language, such as en or ko; detected if absent.
    language: Option<String>,
    /// Any text of yours that names this insertion: repeating the call with the same key stores nothing twice and returns the first answer.
    idempotency_key: Option<String>,
    /// Wait until the document is searchable by meaning too. It is searchable by words at once in any case.
    wait_for_embedding: Option<bool>,
}

/// Answer of `insert_document`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The new document's id.
    document_id: uuid::Uuid,
    /// Passages it was cut into.
    chunk_count: usize,
    /// embedded: searchable by meaning. pending: by words only, until an embedder has seen it.
    embedding_status: String,
    /// Language it is indexed in.
    language: String,
    /// What storing it cost in USD, as a decimal number in text.
    cost_usd: String,
    /// What your organisation stores and may store.
    quota: Quota,
    /// True if this is the first answer to the same idempotency_key: nothing was stored now.
    repeated: bool,
    /// What to know about the outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// A checked document, and whether its caller wants to wait for its embedding.
pub struct Request {
    document: NewDocument,
    wait: bool,
}

impl Tool for InsertDocument {
    type Input = Input;
    type Request = Request;
    type Output = Output;

    const NAME: &'static str = "insert_document";
    const TITLE: &'static str = "Store a document";
    const DESCRIPTION: &'static str = "Store a document for your organisation. It is searchable by words as soon as the call returns, and by meaning if \
you give an embedding. The whole text goes into content; it is cut into passages for you. \
If a call's outcome is unknown (a time-out), repeat it with the same idempotency_key: nothing is stored twice.";
    const SCOPE: Scope = Scope::DocumentsWrite;
    const ACTION: Action = Action::Insert;
    const HINTS: Hints = Hints { read_only: false, idempotent: false, destructive: false };

    fn check(&self, input: Input) -> Result<Request, Problems> {
        let mut problems = Problems::default();
        problems.text("title", &input.title, LONGEST_TITLE);
        problems.text("content", &input.content, LONGEST_CONTENT);
        if let Some(source) = &input.source {
            problems.text("source", source, LONGEST_SOURCE);
        }
        let metadata = input.metadata.unwrap_or_default();
        problems.metadata("metadata", &metadata, LARGEST_METADATA_BYTES);
        if let Some(vector) = &input.embedding {
            problems.embedding("embedding", vector, self.space.dimensions);
        }
        let language = input
            .language
            .and_then(|code| Language::from_code(&code).map_err(|unknown| problems.add("language", unknown)).ok());
        if let Some(key) = &input.idempotency_key {
            problems.text("idempotency_key", key, LONGEST_KEY);
        }
        let model = (self.space.model_id, self.space.model_name.clone());
        problems.or(())?;
        Ok(Request {
            document: NewDocument {
                analysis: Analysis::of(&input.content),
                title: input.title,
                content: input.content,
                source: input.source,
                metadata: Value::Object(metadata),
                embedding: input.embedding.map(|vector| OwnEmbedding { vector, model }),
                language,
                idempotency_key: input.idempotency_key,
            },
            wait: input.wait_for_embedding.unwrap_or(false),
        })
    }

    fn describe(&self, request: &Request) -> Map<String, Value> {
        let document = &request.document;
        Map::from_iter([
            ("title_chars".to_owned(), document.title.chars().count().into()),
            ("content_chars".to_owned(), document.content.chars().count().into()),
            ("has_embedding".to_owned(), document.embedding.is_some().into()),
            ("has_idempotency_key".to_owned(), document.idempotency_key.is_some().into()),
        ])
    }

    async fn run(&self, call: &Call<'_>, request: &Request) -> Result<Answer<Output>, Failure> {
        let tenant_id = call.caller.tenant_id;
        let failed = |error| call.failed(&error);
        let inserted = documents::insert(call.transaction, tenant_id, &request.document)
            .await
            .map_err(failed)?
            .ok_or_else(|| {
                Failure::InvalidInput(Problems::one(
                    "idempotency_key",
                    "was used before for a document with other fields; give a new key for a new document",
                ))
            })?;
        let quota = Quota::read(call.transaction, tenant_id).await.map_err(failed)?;
        let details = Map::from_iter([
            ("chunks".to_owned(), inserted.chunk_count.into()),
            ("language".to_owned(), inserted.language.clone().into()),
            ("embedding_status".to_owned(), inserted.embedding_status.clone().into()),
            ("repeated".to_owned(), inserted.repeated.into()),
        ]);
        let note = (request.wait && inserted.embedding_status == "pending").then(|| {
            "This server has no embedder, so there was nothing to wait for: the document is searchable by words."
                .to_owned()
        });
        let resource_id = Some(inserted.document_id);
        let output = Output {
            document_id: inserted.document_id,
            chunk_count: inserted.chunk_count,
            embedding_status: inserted.embedding_status,
            language: inserted.language,
            // Storing without an embedder spends no tokens.
            cost_usd: "0".to_owned(),
            quota,
            repeated: inserted.repeated,
            note,
        };
        Ok(Answer { output, resource_id, details })
    }
}
