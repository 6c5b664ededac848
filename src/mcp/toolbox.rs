use std::pin::Pin;
use std::sync::Arc;

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool as Definition, ToolAnnotations};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::resources::{self, Shelf};
use super::schema;
use super::views;
use crate::call::{Calls, Client, Failure, Kind, Tool};
use crate::embedding::Embeddings;
use crate::identity::{Caller, Scope, Scopes};
use crate::tools::{
    CostReport, DeleteDocument, EmbeddingSpace, GetDocument, HybridSearch, InsertDocument, ListDocuments, RecordUsage,
    SearchAuditLog, TenantStatus, UpdateDocument,
};

/// The tools on offer, in the order in which they are listed.
pub struct Toolbox {
    entries: Vec<Box<dyn Entry>>,
    /// What is offered beside tools, if anything.
    shelf: Option<Shelf>,
    /// What the tools embed with.
    embeddings: Embeddings,
}

impl Toolbox {
    /// All tools.
    #[must_use]
    pub fn new(space: &EmbeddingSpace) -> Self {
        let (shelf, embeddings) = (Some(Shelf::new(space)), space.embeddings.clone());
        let shelved = Self { shelf, embeddings, ..Self::empty() };
        shelved
            .with(HybridSearch { space: space.clone() })
            .with(InsertDocument { space: space.clone() })
            .with(GetDocument)
            .with(ListDocuments)
            .with(UpdateDocument { space: space.clone() })
            .with(DeleteDocument)
            .with(CostReport)
            .with(RecordUsage)
            .with(TenantStatus { embeddings: space.embeddings.clone() })
            .with(SearchAuditLog)
    }

    /// No tools, to add others than ours.
    #[must_use]
    pub fn empty() -> Self {
        Self { entries: Vec::new(), shelf: None, embeddings: Embeddings::default() }
    }

    /// This and one more tool.
    #[must_use]
    pub fn with<T: Tool>(mut self, tool: T) -> Self {
        self.entries.push(registered(tool));
        self
    }

    /// Definitions of the tools that these scopes allow.
    #[must_use]
    pub fn definitions(&self, scopes: &Scopes) -> Vec<Definition> {
        let allowed = self.entries.iter().filter(|entry| scopes.allow(entry.scope()));
        allowed.map(|entry| entry.definition().clone()).collect()
    }

    /// What the tools embed with.
    pub(crate) fn embeddings(&self) -> &Embeddings {
        &self.embeddings
    }

    pub(super) fn shelf(&self) -> Option<&Shelf> {
        self.shelf.as_ref()
    }

    /// Each tool's name with the scope it needs.
    pub fn scopes(&self) -> impl Iterator<Item = (&str, Scope)> {
        self.entries.iter().map(|entry| (entry.definition().name.as_ref(), entry.scope()))
    }

    /// What calling a tool of that name is, also where there is none.
    #[must_use]
    pub fn kind_of(&self, name: &str) -> Kind {
        let entry = self.entries.iter().find(|entry| entry.definition().name == name);
        entry.map_or_else(Kind::unknown, |entry| entry.kind())
    }

    /// What a request of MCP would be as a call; `None` for one that is none, such as `initialize` or a list of tools.
    #[must_use]
    pub fn kind_of_request(&self, method: &str, params: &JsonObject) -> Option<Kind> {
        match method {
            "tools/call" => Some(self.kind_of(params.get("name")?.as_str()?)),
            _ => self.shelf.as_ref().and_then(|_| resources::kind(method, params)),
        }
    }

    /// Runs a tool by name; `None` if there is none of that name.
    pub async fn call(
        &self,
        name: &str,
        calls: &Calls,
        caller: &Caller,
        client: Client,
        arguments: JsonObject,
        cancelled: &CancellationToken,
    ) -> Option<CallToolResult> {
        let entry = self.entries.iter().find(|entry| entry.definition().name == name)?;
        Some(entry.call(calls, caller, client, arguments, cancelled).await)
    }
}

/// A tool of any type.
trait Entry: Send + Sync {
    fn definition(&self) -> &Definition;
    fn scope(&self) -> Scope;
    fn kind(&self) -> Kind;
    fn call<'a>(
        &'a self,
        calls: &'a Calls,
        caller: &'a Caller,
        client: Client,
        arguments: JsonObject,
        cancelled: &'a CancellationToken,
    ) -> Pin<Box<dyn Future<Output = CallToolResult> + Send + 'a>>;
}

struct Registered<T> {
    tool: Arc<T>,
    definition: Definition,
}

fn registered<T: Tool>(tool: T) -> Box<dyn Entry> {
    let annotations = ToolAnnotations::with_title(T::TITLE)
        .read_only(T::HINTS.read_only)
        .destructive(T::HINTS.destructive)
        .idempotent(T::HINTS.idempotent)
        // Its world is the organisation's own documents.
        .open_world(false);
    let mut definition = Definition::new(T::NAME, T::DESCRIPTION, Arc::new(schema::input_schema::<T::Input>()));
    definition.title = Some(T::TITLE.to_owned());
    definition.output_schema = Some(Arc::new(schema::output_schema::<T::Output>()));
    definition.annotations = Some(annotations);
    definition.meta = views::link(T::NAME);
    Box::new(Registered { tool: Arc::new(tool), definition })
}

impl<T: Tool> Entry for Registered<T> {
    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn scope(&self) -> Scope {
        T::SCOPE
    }

    fn kind(&self) -> Kind {
        Kind::of::<T>()
    }

    fn call<'a>(
        &'a self,
        calls: &'a Calls,
        caller: &'a Caller,
        client: Client,
        arguments: JsonObject,
        cancelled: &'a CancellationToken,
    ) -> Pin<Box<dyn Future<Output = CallToolResult> + Send + 'a>> {
        Box::pin(async move {
            match calls.run(&self.tool, caller, client, arguments, cancelled).await {
                Ok(output) => answer(serde_json::to_value(output)),
                Err(failure) => refusal(&failure),
            }
        })
    }
}

fn answer(output: Result<Value, serde_json::Error>) -> CallToolResult {
    match output {
        Ok(value) => CallToolResult::structured(value),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            CallToolResult::error(vec![ContentBlock::text("internal: the answer could not be written as JSON.")])
        }
    }
}

/// A failure as a tool result that a model reads; without structured content, which clients check against the output schema.
fn refusal(failure: &Failure) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(failure.to_string())])
}
