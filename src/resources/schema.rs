use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call::{Action, Answer, Call, Failure, Hints, Problems, Tool};
use crate::db::DbError;
use crate::identity::Scope;
use crate::tools::EmbeddingSpace;

const FIELDS: &str = include_str!("../../sql/queries/resources/fields.sql");
const LANGUAGES: &str = include_str!("../../sql/queries/resources/languages.sql");

/// `resources/read` of `bailiwick://schema`: what documents look like here, so that filters can be made.
pub struct ReadSchema {
    /// The database's embeddings.
    pub space: EmbeddingSpace,
}

/// Nothing is asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {}

/// The shape of the organisation's documents.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The fields of every document, and what is in them.
    fields: Map<String, Value>,
    /// Keys of the metadata of the newest 1,000 documents, most frequent first.
    metadata: Vec<Field>,
    /// Languages that documents are in.
    languages: Vec<String>,
    /// Vectors that are stored and compared.
    embeddings: Embeddings,
}

/// A key of metadata.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Field {
    /// The key.
    key: String,
    /// Kinds of its values: string, number, boolean, array, object or null.
    kinds: Vec<String>,
    /// Documents that have it, of the newest 1,000.
    documents: i64,
}

/// A space of vectors.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Embeddings {
    /// The model that callers' vectors must be of.
    model: String,
    /// Their dimensions.
    dimensions: usize,
}

impl Tool for ReadSchema {
    type Input = Input;
    type Request = ();
    type Output = Output;

    const SURFACE: &'static str = "resources";
    const NAME: &'static str = "schema";
    const TITLE: &'static str = "Schema";
    const DESCRIPTION: &'static str = "What documents look like.";
    const SCOPE: Scope = Scope::DocumentsRead;
    const ACTION: Action = Action::Read;
    const HINTS: Hints = Hints { read_only: true, idempotent: true, destructive: false };

    fn check(&self, _: Input) -> Result<(), Problems> {
        Ok(())
    }

    async fn run(&self, call: &Call<'_>, (): &()) -> Result<Answer<Output>, Failure> {
        let output = self.read(call).await.map_err(|error| call.failed(&error))?;
        let details = Map::from_iter([("keys".to_owned(), output.metadata.len().into())]);
        Ok(Answer::new(output).telling(details))
    }
}

impl ReadSchema {
    async fn read(&self, call: &Call<'_>) -> Result<Output, DbError> {
        let tenant: [crate::db::Parameter<'_>; 1] = [&call.caller.tenant_id];
        let fields = call.transaction.query(FIELDS, &tenant).await?;
        let languages = call.transaction.query(LANGUAGES, &tenant).await?;
        let metadata = fields.iter().map(|row| {
            Ok(Field { key: row.try_get("key")?, kinds: row.try_get("kinds")?, documents: row.try_get("documents")? })
        });
        let expected = self.space.expected();
        Ok(Output {
            fields: DOCUMENT.iter().map(|(field, words)| ((*field).to_owned(), (*words).into())).collect(),
            metadata: metadata.collect::<Result<_, DbError>>()?,
            languages: languages.iter().map(|row| Ok(row.try_get("language")?)).collect::<Result<_, DbError>>()?,
            embeddings: Embeddings { model: expected.model_name, dimensions: expected.dimensions },
        })
    }
}

const DOCUMENT: [(&str, &str); 8] = [
    ("document_id", "uuid; names the document in citations, tools and the resource bailiwick://documents/{id}"),
    ("title", "text of 1 to 500 characters; counts three times in searches"),
    ("content", "text of 1 to 1,000,000 characters, plain or Markdown; searched passage by passage"),
    ("source", "text of up to 2,000 bytes, optional; filter by it as a whole"),
    ("metadata", "JSON object of up to 16,384 bytes; filter by containment"),
    ("language", "ISO 639 code; filter by it"),
    ("created_at", "RFC 3339; filter with created_after and created_before"),
    ("updated_at", "RFC 3339; when title, content, source, metadata or language last changed"),
];
