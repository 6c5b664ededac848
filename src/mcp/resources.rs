//! The resources, completions and prompts on offer, between MCP's words and the calls behind them.

use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::model::{
    CompletionInfo, GetPromptRequestParams, GetPromptResult, JsonObject, ListResourcesResult, MetaObject, Prompt,
    PromptArgument, PromptMessage, Reference, Resource, ResourceContents, ResourceTemplate, Role,
};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::views;
use crate::call::{Calls, Client, Failure, Kind, Tool};
use crate::documents::Listed;
use crate::identity::{Caller, Scope};
use crate::resources::{
    CompleteIds, CompleteSources, ListResources, ReadCostView, ReadDocument, ReadSchema, ReadStatistics,
};
use crate::tools::EmbeddingSpace;

const DOCUMENTS: &str = "bailiwick://documents/";
const TEMPLATE: &str = "bailiwick://documents/{id}";
const STATISTICS: &str = "bailiwick://tenant/statistics";
const SCHEMA: &str = "bailiwick://schema";
const PROMPT: &str = "answer_with_sources";

/// The calls behind resources and completions.
pub(super) struct Shelf {
    list: Arc<ListResources>,
    document: Arc<ReadDocument>,
    statistics: Arc<ReadStatistics>,
    schema: Arc<ReadSchema>,
    cost_view: Arc<ReadCostView>,
    ids: Arc<CompleteIds>,
    sources: Arc<CompleteSources>,
}

/// One request's way to its calls.
pub(super) struct Asked<'a> {
    pub calls: &'a Calls,
    pub caller: &'a Caller,
    pub client: Client,
    pub cancelled: &'a CancellationToken,
}

impl Asked<'_> {
    async fn call<T: Tool>(self, tool: &Arc<T>, arguments: Value) -> Result<T::Output, Failure> {
        let arguments = if let Value::Object(arguments) = arguments { arguments } else { Map::new() };
        self.calls.run(tool, self.caller, self.client, arguments, self.cancelled).await
    }
}

impl Shelf {
    pub(super) fn new(space: &EmbeddingSpace) -> Self {
        Self {
            list: Arc::new(ListResources),
            document: Arc::new(ReadDocument),
            statistics: Arc::new(ReadStatistics { embeddings: space.embeddings.clone() }),
            schema: Arc::new(ReadSchema { space: space.clone() }),
            cost_view: Arc::new(ReadCostView),
            ids: Arc::new(CompleteIds),
            sources: Arc::new(CompleteSources),
        }
    }

    /// A page of documents, behind the resources that every organisation has. As with tools, what the caller may not read is
    /// not listed.
    pub(super) async fn list(&self, asked: Asked<'_>, cursor: Option<String>) -> Result<ListResourcesResult, Failure> {
        let may = |scope| asked.caller.scopes.allow(scope);
        let views = if cursor.is_none() && may(Scope::CostsRead) { vec![views::listed()] } else { Vec::new() };
        if !may(Scope::DocumentsRead) {
            return Ok(ListResourcesResult::with_all_items(views));
        }
        let mut resources = if cursor.is_none() { standing() } else { Vec::new() };
        resources.extend(views);
        let arguments = cursor.map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
        let listing = asked.call(&self.list, arguments).await?;
        resources.extend(listing.documents.iter().map(document));
        let mut result = ListResourcesResult::with_all_items(resources);
        result.next_cursor = listing.next_cursor;
        Ok(result)
    }

    /// The contents of a resource. What is no resource of ours is not found, and its asker's call has a row like any other.
    pub(super) async fn read(&self, asked: Asked<'_>, uri: &str) -> Result<ResourceContents, Failure> {
        let as_json = |value: Result<Value, serde_json::Error>| {
            let text = value.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_default();
            ResourceContents::text(text, uri).with_mime_type("application/json")
        };
        match uri {
            STATISTICS => Ok(as_json(serde_json::to_value(asked.call(&self.statistics, json!({})).await?))),
            SCHEMA => Ok(as_json(serde_json::to_value(asked.call(&self.schema, json!({})).await?))),
            views::COST_REPORT => asked.call(&self.cost_view, json!({})).await.map(|_| views::contents()),
            _ => {
                let id = uri.strip_prefix(DOCUMENTS).and_then(|id| Uuid::parse_str(id).ok());
                // An id that no document has, for what is none.
                let found = asked.call(&self.document, json!({ "document_id": id.unwrap_or_default() })).await;
                let found = found.map_err(|failure| match failure {
                    Failure::NotFound(_) if id.is_none() => Failure::NotFound(format!(
                        "there is no such resource; there are {TEMPLATE}, {STATISTICS}, {SCHEMA} and {}.",
                        views::COST_REPORT
                    )),
                    other => other,
                })?;
                let meta = json!({
                    "bailiwick/title": found.title, "bailiwick/source": found.source, "bailiwick/metadata": found.metadata,
                    "bailiwick/language": found.language, "bailiwick/updated_at": found.updated_at,
                });
                let Value::Object(meta) = meta else { return Ok(ResourceContents::text(found.content, uri)) };
                Ok(ResourceContents::text(found.content, uri).with_meta(MetaObject(meta)))
            }
        }
    }

    /// Completes an id of the template, or a source of the prompt; `None` for what has no completion.
    pub(super) async fn complete(
        &self,
        asked: Asked<'_>,
        reference: &Reference,
        argument: &str,
        value: &str,
    ) -> Result<Option<CompletionInfo>, Failure> {
        let prefix = json!({ "prefix": value });
        let completion = match (reference, argument) {
            (Reference::Resource(resource), "id") if resource.uri == TEMPLATE => asked.call(&self.ids, prefix).await?,
            (Reference::Prompt(prompt), "source") if prompt.name == PROMPT => asked.call(&self.sources, prefix).await?,
            _ => return Ok(None),
        };
        let mut info = CompletionInfo::new(completion.values).unwrap_or_default();
        info.has_more = Some(completion.has_more);
        Ok(Some(info))
    }
}

/// What a request would be as a call; `None` for one that is none.
pub(super) fn kind(method: &str, params: &JsonObject) -> Option<Kind> {
    let text = |from: &str, name: &str| params.get(from)?.get(name)?.as_str().map(str::to_owned);
    match method {
        "resources/list" => Some(Kind::of::<ListResources>()),
        "resources/read" => Some(match params.get("uri")?.as_str()? {
            STATISTICS => Kind::of::<ReadStatistics>(),
            SCHEMA => Kind::of::<ReadSchema>(),
            views::COST_REPORT => Kind::of::<ReadCostView>(),
            _ => Kind::of::<ReadDocument>(),
        }),
        "completion/complete" => match (text("ref", "type")?.as_str(), text("argument", "name")?.as_str()) {
            ("ref/resource", "id") => Some(Kind::of::<CompleteIds>()),
            ("ref/prompt", "source") => Some(Kind::of::<CompleteSources>()),
            _ => None,
        },
        _ => None,
    }
}

/// What reading a resource asks of its caller.
pub(super) fn scope(uri: &str) -> Scope {
    if uri == views::COST_REPORT { ReadCostView::SCOPE } else { Scope::DocumentsRead }
}

fn standing() -> Vec<Resource> {
    vec![
        Resource::new(STATISTICS, "statistics")
            .with_title("Statistics of your organisation")
            .with_description("What is stored, of what quota, and how far the search index has come")
            .with_mime_type("application/json"),
        Resource::new(SCHEMA, "schema")
            .with_title("What documents look like")
            .with_description("Fields, keys of metadata that are in use, languages: what to filter by")
            .with_mime_type("application/json"),
    ]
}

fn document(listed: &Listed) -> Resource {
    let uri = format!("{DOCUMENTS}{}", listed.document_id);
    let mut resource = Resource::new(uri, listed.title.clone()).with_title(listed.title.clone());
    resource = resource.with_mime_type("text/plain").with_size(u64::try_from(listed.content_bytes).unwrap_or_default());
    match &listed.source {
        Some(source) => resource.with_description(format!("From {source}")),
        None => resource,
    }
}

pub(super) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new(TEMPLATE, "document")
            .with_title("A document")
            .with_description("A document's whole text, by its id")
            .with_mime_type("text/plain"),
    ]
}

pub(super) fn prompts() -> Vec<Prompt> {
    let question = PromptArgument::new("question").with_description("What is to be answered").with_required(true);
    let source =
        PromptArgument::new("source").with_description("Only documents of exactly this source").with_required(false);
    vec![
        Prompt::new(
            PROMPT,
            Some("Answers a question from your organisation's documents alone, with its sources"),
            Some(vec![question, source]),
        )
        .with_title("Answer with sources"),
    ]
}

/// The prompt's one message.
pub(super) fn prompt(request: &GetPromptRequestParams) -> Result<GetPromptResult, ErrorData> {
    if request.name != PROMPT {
        return Err(ErrorData::invalid_params(format!("unknown prompt; there is {PROMPT}"), None));
    }
    let argument = |name: &str| argument(request.arguments.as_ref(), name);
    let question = argument("question").ok_or_else(|| {
        ErrorData::invalid_params("the argument question is missing; give what is to be answered", None)
    })?;
    let text = prompt_text(&question, argument("source").as_deref());
    let message = PromptMessage::new_text(Role::User, text);
    Ok(GetPromptResult::new(vec![message]).with_description("Answers from documents, with sources"))
}

/// What the prompt asks of a model, maybe of documents of one source alone.
pub(super) fn prompt_text(question: &str, source: Option<&str>) -> String {
    let filter = match source {
        Some(source) => format!(" with the filter {}", json!({ "source": source })),
        None => String::new(),
    };
    format!(
        "Answer this question from our organisation's documents: {question}\n\n\
         Look with hybrid_search{filter}, reword and look again where little comes back, and read on with get_document where a passage is \
         not enough. Say only what the documents say. After each statement cite its document by title and document_id, as \
         [title](bailiwick://documents/document_id). Where documents contradict each other say so, and prefer the newer. If they do \
         not answer the question, say that, and what you looked for."
    )
}

fn argument(arguments: Option<&JsonObject>, name: &str) -> Option<String> {
    let text = arguments?.get(name)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A failure as the protocol's error: resources have no results that are errors.
pub(super) fn error(failure: &Failure) -> ErrorData {
    let text = failure.to_string();
    match failure {
        Failure::NotFound(_) => ErrorData::resource_not_found(text, None),
        Failure::InvalidInput(_) => ErrorData::invalid_params(text, None),
        Failure::Forbidden(_) => ErrorData::invalid_request(text, None),
        _ => ErrorData::internal_error(text, None),
    }
}
