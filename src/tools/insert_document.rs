use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{EmbeddingSpace, fields};
use crate::call::{Action, After, Answer, Call, Failure, Hints, Problems, Tool};
use crate::documents::{self, Analysis, Cutting, How, Inserted, Insertion, Item, NewDocument, Quota};
use crate::embedding::waiting;
use crate::identity::Scope;

/// Documents of one call beside the first.
const MOST_MORE: usize = 99;

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
    /// Where it came from: a URL or file name, for citing and filtering. The same content from the same source is stored once, however often it is given.
    source: Option<String>,
    /// A JSON object for filters, for example {"department": "hr", "tags": ["leave"]}.
    metadata: Option<Map<String, Value>>,
    /// Vector of the whole document, if you have one of the database's model and dimensions.
    embedding: Option<Vec<f32>>,
    /// ISO 639 code of its language, such as en or ko; detected if absent.
    language: Option<String>,
    /// true: a document from the same source with another content is replaced and keeps its id. If absent or false, another one is stored beside it.
    replace: Option<bool>,
    /// Up to 99 further documents to store in the same call, together with the first up to 1,000,000 characters. Each has its own result in more_results.
    #[schemars(length(max = 99))]
    more_documents: Option<Vec<MoreInput>>,
    /// Any text of yours that names this insertion: repeating the call with the same key stores nothing twice and returns the first answer.
    idempotency_key: Option<String>,
    /// Wait until the document is searchable by meaning too. It is searchable by words at once in any case.
    wait_for_embedding: Option<bool>,
}

/// A further document.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoreInput {
    /// Its title.
    title: String,
    /// Its whole text.
    content: String,
    /// Where it came from.
    source: Option<String>,
    /// A JSON object for filters.
    metadata: Option<Map<String, Value>>,
    /// Vector of the whole document.
    embedding: Option<Vec<f32>>,
    /// ISO 639 code of its language.
    language: Option<String>,
}

/// Answer of `insert_document`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The document's id.
    document_id: Uuid,
    /// Passages it was cut into.
    chunk_count: usize,
    /// embedded: searchable by meaning. pending: by words only, until an embedder has seen it.
    embedding_status: String,
    /// Language it is indexed in.
    language: String,
    /// What storing it cost in USD, as a decimal number in text; its embedding is charged when it is made (see cost_report).
    cost_usd: String,
    /// What your organisation stores and may store.
    quota: Quota,
    /// True if nothing was stored now: this is the first answer to the same idempotency_key, or the same content from the same source was there.
    repeated: bool,
    /// True if it took the place of another content from the same source.
    replaced: bool,
    /// What became of each of more_documents, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more_results: Vec<MoreOutput>,
    /// What to know about the outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What became of a further document.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MoreOutput {
    /// stored, repeated (the same content from the same source was there), replaced, or the code of its failure: quota_exceeded or conflict.
    outcome: &'static str,
    /// Its id, if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    document_id: Option<Uuid>,
    /// Passages it was cut into, if it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    chunk_count: Option<usize>,
    /// What to know: why it is not there, or what differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Checked documents, and whether their caller wants to wait for their embedding.
pub struct Request {
    documents: Vec<NewDocument>,
    idempotency_key: Option<String>,
    wait: bool,
}

impl Tool for InsertDocument {
    type Input = Input;
    type Request = Request;
    type Output = Output;

    const NAME: &'static str = "insert_document";
    const TITLE: &'static str = "Store documents";
    const DESCRIPTION: &'static str = "Store a document for your organisation, or several (more_documents). It is searchable by words as soon as the call returns, and by meaning a \
moment later, where the server embeds. The whole text goes into content; it is cut into passages for you. \
If a call's outcome is unknown (a time-out), repeat it with the same idempotency_key: nothing is stored twice. \
To correct a document use update_document, or replace with the same source.";
    const SCOPE: Scope = Scope::DocumentsWrite;
    const ACTION: Action = Action::Insert;
    const HINTS: Hints = Hints { read_only: false, idempotent: false, destructive: false };

    fn check(&self, input: Input) -> Result<Request, Problems> {
        let mut problems = Problems::default();
        let more = input.more_documents.unwrap_or_default();
        if more.len() > MOST_MORE {
            let given = more.len();
            problems.add("more_documents", format_args!("has {given} documents; at most {MOST_MORE} are allowed"));
        }
        let characters: usize = more
            .iter()
            .map(|document| &document.content)
            .chain([&input.content])
            .map(|text| text.chars().count())
            .sum();
        if !more.is_empty() && characters > fields::LONGEST_CONTENT {
            let most = fields::LONGEST_CONTENT;
            problems.add(
                "more_documents",
                format_args!(
                    "and the first have {characters} characters of content; at most {most} are allowed in a call"
                ),
            );
        }
        fields::idempotency_key(input.idempotency_key.as_deref(), &mut problems);
        let first = MoreInput {
            title: input.title,
            content: input.content,
            source: input.source,
            metadata: input.metadata,
            embedding: input.embedding,
            language: input.language,
        };
        let replace = input.replace.unwrap_or(false);
        if replace && first.source.is_none() && more.iter().all(|document| document.source.is_none()) {
            problems.add("replace", "is true, but there is no source by which to find the document to replace");
        }
        let mut documents = vec![self.checked(first, "", replace, &mut problems)];
        for (at, document) in more.into_iter().enumerate().take(MOST_MORE) {
            documents.push(self.checked(document, &format!("more_documents[{at}]."), replace, &mut problems));
        }
        problems.or(())?;
        let cutting = self.space.embeddings.cutting();
        let documents = documents.into_iter().map(|document| document.read(&cutting)).collect();
        let wait = input.wait_for_embedding.unwrap_or(false);
        Ok(Request { documents, idempotency_key: input.idempotency_key, wait })
    }

    fn describe(&self, request: &Request) -> Map<String, Value> {
        let of_all = |count: fn(&NewDocument) -> usize| request.documents.iter().map(count).sum::<usize>();
        Map::from_iter([
            ("documents".to_owned(), request.documents.len().into()),
            ("title_chars".to_owned(), of_all(|document| document.title.chars().count()).into()),
            ("content_chars".to_owned(), of_all(|document| document.content.chars().count()).into()),
            ("has_embedding".to_owned(), request.documents.iter().any(|document| document.embedding.is_some()).into()),
            ("has_idempotency_key".to_owned(), request.idempotency_key.is_some().into()),
        ])
    }

    async fn run(&self, call: &Call<'_>, request: &Request) -> Result<Answer<Output>, Failure> {
        let tenant_id = call.caller.tenant_id;
        let failed = |error| call.failed(&error);
        let key = request.idempotency_key.as_deref();
        let inserted = documents::insert(call.transaction, tenant_id, &request.documents, key).await.map_err(failed)?;
        let Insertion::Done { items, repeated } = inserted else { return Err(fields::key_was_used()) };
        let mut items = items.into_iter();
        let first = match items.next() {
            Some(Item::Stored(inserted)) => inserted,
            Some(Item::QuotaReached { message, hint }) => {
                return Err(Failure::QuotaExceeded(format!("{message}. {hint}")));
            }
            Some(Item::Ambiguous) | None => return Err(Failure::Conflict(AMBIGUOUS.to_owned())),
        };
        let more_results: Vec<MoreOutput> = items.map(MoreOutput::of).collect();
        let quota = Quota::read(call.transaction, tenant_id).await.map_err(failed)?;
        let mut details = Map::from_iter([
            ("chunks".to_owned(), first.chunk_count.into()),
            ("language".to_owned(), first.language.clone().into()),
            ("embedding_status".to_owned(), first.embedding_status.clone().into()),
            ("repeated".to_owned(), (repeated || first.was_there()).into()),
            ("replaced".to_owned(), (first.how == How::Replaced).into()),
        ]);
        if !more_results.is_empty() {
            let ids: Vec<Uuid> = more_results.iter().filter_map(|result| result.document_id).collect();
            details.insert("more_document_ids".to_owned(), serde_json::json!(ids));
        }
        let unembedded = (request.wait && first.embedding_status == "pending").then(|| {
            let has_embedder = self.space.embeddings.embedder().is_some();
            if has_embedder { NOT_IN_TIME } else { NO_EMBEDDER }.to_owned()
        });
        let notes: Vec<String> = unembedded.into_iter().chain(differing(&first)).collect();
        let resource_id = Some(first.document_id);
        let output = Output {
            document_id: first.document_id,
            chunk_count: first.chunk_count,
            repeated: repeated || first.was_there(),
            replaced: first.how == How::Replaced,
            embedding_status: first.embedding_status,
            language: first.language,
            // Embedding follows in the background, with cost rows of its own.
            cost_usd: "0".to_owned(),
            quota,
            more_results,
            note: (!notes.is_empty()).then(|| notes.join(" ")),
        };
        Ok(Answer::new(output).about(resource_id).telling(details))
    }

    async fn after(&self, after: &After<'_>, request: &Request, output: &mut Output) {
        if !request.wait || self.space.embeddings.embedder().is_none() {
            return;
        }
        let more = output.more_results.iter().filter_map(|result| result.document_id);
        let documents: Vec<Uuid> = std::iter::once(output.document_id).chain(more).collect();
        if waiting::wait(after, &documents).await {
            output.embedding_status = "embedded".to_owned();
            let note = output.note.take().map(|note| note.replace(NOT_IN_TIME, "").trim().to_owned());
            output.note = note.filter(|note| !note.is_empty());
        }
    }
}

const NO_EMBEDDER: &str =
    "This server has no embedder, so there was nothing to wait for: the document is searchable by words.";
const NOT_IN_TIME: &str =
    "It was not embedded in the time of this call: it is searchable by words, and by meaning as soon as it is.";

const AMBIGUOUS: &str = "replace needs exactly one document of that source, and there are several. Name the one that you mean with update_document.";

/// What a caller should know whose document was there already, but not quite as given.
fn differing(inserted: &Inserted) -> Option<String> {
    (inserted.how == How::Repeated { differs: true }).then(|| {
        "The same content from the same source was stored before with another title, metadata or language, which it keeps; change them with update_document."
            .to_owned()
    })
}

impl MoreOutput {
    fn of(item: Item) -> Self {
        match item {
            Item::Stored(inserted) => Self {
                outcome: match inserted.how {
                    How::New => "stored",
                    How::Replaced => "replaced",
                    How::Repeated { .. } => "repeated",
                },
                document_id: Some(inserted.document_id),
                chunk_count: Some(inserted.chunk_count),
                note: differing(&inserted),
            },
            Item::QuotaReached { message, hint } => Self::failed("quota_exceeded", format!("{message}. {hint}")),
            Item::Ambiguous => Self::failed("conflict", AMBIGUOUS.to_owned()),
        }
    }

    fn failed(outcome: &'static str, note: String) -> Self {
        Self { outcome, document_id: None, chunk_count: None, note: Some(note) }
    }
}

/// A checked document whose text was not looked into yet: that takes time, and is done for good ones alone.
struct Unread(NewDocument);

impl Unread {
    fn read(self, cutting: &Cutting) -> NewDocument {
        NewDocument { analysis: Analysis::of(&self.0.content, cutting), ..self.0 }
    }
}

impl InsertDocument {
    /// Checks one document, whose fields are named behind `path`.
    fn checked(&self, input: MoreInput, path: &str, replace: bool, problems: &mut Problems) -> Unread {
        let field = |name: &str| format!("{path}{name}");
        fields::title(&field("title"), &input.title, problems);
        fields::content(&field("content"), &input.content, problems);
        if let Some(source) = &input.source {
            fields::source(&field("source"), source, problems);
        }
        let metadata = input.metadata.unwrap_or_default();
        fields::metadata(&field("metadata"), &metadata, problems);
        Unread(NewDocument {
            language: fields::language(&field("language"), input.language.as_deref(), problems),
            embedding: fields::embedding(&field("embedding"), input.embedding, &self.space, problems),
            title: input.title,
            content: input.content,
            source: input.source,
            metadata: Value::Object(metadata),
            replace,
            analysis: Analysis::default(),
        })
    }
}
