use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use rmcp::ErrorData;
use rmcp::ServerHandler;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, ListToolsResult,
    PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};

use tracing::{Instrument, Span};

use super::Toolbox;
use crate::call::{Calls, Client, FailureCode};
use crate::identity::{Caller, Scope};
use crate::telemetry::{RemoteContext, RequestSpan};

/// Where a request came from, among the extensions of its [`http::request::Parts`].
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub IpAddr);

/// Where it is noted which scope a request's call was denied for want of, among the extensions of its
/// [`http::request::Parts`].
#[derive(Debug, Clone, Default)]
pub struct DeniedScope(Arc<OnceLock<Scope>>);

impl DeniedScope {
    /// The scope, if the call was denied so.
    #[must_use]
    pub fn get(&self) -> Option<Scope> {
        self.0.get().copied()
    }
}

const INSTRUCTIONS: &str = "Bailiwick holds one organisation's documents. Use hybrid_search to find passages before you answer questions about \
the organisation, and cite the title and document_id of what you use. Use insert_document to store text worth keeping. \
Failures begin with a code: after invalid_input correct the arguments; after unavailable wait and repeat; \
after forbidden, quota_exceeded or budget_exceeded tell the user. Every call is recorded in the organisation's audit trail.";

/// An MCP server.
#[derive(Clone)]
pub struct Server {
    toolbox: Arc<Toolbox>,
    calls: Calls,
    /// Who every call comes from; if nobody, each request brings its own caller.
    caller: Option<Caller>,
}

impl Server {
    /// A server that runs every call as this caller: the user of a stdio process.
    #[must_use]
    pub fn new(toolbox: Arc<Toolbox>, calls: Calls, caller: Caller) -> Self {
        Self { toolbox, calls, caller: Some(caller) }
    }

    /// A server that runs each call as whom its HTTP request was authenticated as: the [`Caller`] among the extensions of the
    /// request's [`http::request::Parts`]. A request without one is refused.
    #[must_use]
    pub fn for_requests(toolbox: Arc<Toolbox>, calls: Calls) -> Self {
        Self { toolbox, calls, caller: None }
    }

    /// Tells the face over HTTP that a call was denied for its scope; the wrapper asks for the scope before anything else.
    fn note_denial(&self, tool: &str, caller: &Caller, result: &CallToolResult, context: &RequestContext<RoleServer>) {
        let parts = context.extensions.get::<http::request::Parts>();
        let Some(denied) = parts.and_then(|parts| parts.extensions.get::<DeniedScope>()) else { return };
        let needed = self.toolbox.scopes().find(|(name, _)| *name == tool).map(|(_, scope)| scope);
        if let Some(scope) = needed.filter(|scope| !caller.scopes.allow(*scope) && is_forbidden(result)) {
            let _ = denied.0.set(scope);
        }
    }

    fn caller(&self, context: &RequestContext<RoleServer>) -> Result<Caller, ErrorData> {
        let of_request = || context.extensions.get::<http::request::Parts>()?.extensions.get::<Caller>().cloned();
        // A settled caller comes first: nothing that a request says may replace it.
        let caller = self.caller.clone().or_else(of_request);
        caller.ok_or_else(|| ErrorData::invalid_request("the request was not authenticated", None))
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("bailiwick", env!("CARGO_PKG_VERSION"));
        info.server_info.title = Some("Bailiwick".to_owned());
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let caller = self.caller(&context)?;
        let mut result = ListToolsResult::with_all_items(self.toolbox.definitions(&caller.scopes));
        if context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28) {
            // The list differs by scope, so no shared cache may keep it. Earlier revisions know no such field.
            result.cache_scope = Some(CacheScope::Private);
        }
        Ok(result)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let (caller, client) = (self.caller(&context)?, client_of(&context));
        let arguments = request.arguments.unwrap_or_default();
        let called = self.toolbox.call(&request.name, &self.calls, &caller, client.clone(), arguments, &context.ct);
        match called.instrument(span_of(&context)).await {
            Some(result) => {
                self.note_denial(&request.name, &caller, &result, &context);
                Ok(result.into())
            }
            None => {
                self.calls.refuse_unknown(&request.name, &caller, client).await;
                let names: Vec<_> =
                    self.toolbox.definitions(&caller.scopes).into_iter().map(|tool| tool.name).collect();
                // MCP (Tools, Error Handling): an unknown tool is a protocol error with the code of invalid parameters.
                Err(ErrorData::invalid_params(format!("unknown tool; there are {}", names.join(", ")), None))
            }
        }
    }
}

/// Whether it is the refusal of what the caller may not do; the text of a failure begins with its code.
fn is_forbidden(result: &CallToolResult) -> bool {
    let text = result.content.first().and_then(|block| block.as_text());
    result.is_error == Some(true) && text.is_some_and(|text| text.text.starts_with(FailureCode::Forbidden.name()))
}

/// Where a call's own span hangs: below its HTTP request's, unless the client names another place in the request's `_meta`.
fn span_of(context: &RequestContext<RoleServer>) -> Span {
    let of_request =
        || Some(context.extensions.get::<http::request::Parts>()?.extensions.get::<RequestSpan>()?.0.clone());
    let of_request = of_request().unwrap_or_else(Span::none);
    match RemoteContext::of_meta(&context.meta.0) {
        // The span's place in the log stays; only the trace is another's.
        Some(remote) => {
            let span =
                tracing::info_span!(parent: &of_request, "message", otel.name = "tools/call", otel.kind = "server");
            remote.adopt(&span);
            span
        }
        None => of_request,
    }
}

fn client_of(context: &RequestContext<RoleServer>) -> Client {
    let request = context.extensions.get::<http::request::Parts>();
    let introduced = || context.client_info().map(|client| format!("{}/{}", client.name, client.version));
    // A request over HTTP introduces its client since 2026-07-28; before, without a session, it says no more than its header.
    let introduces =
        request.is_none() || context.protocol_version().is_some_and(|v| v >= ProtocolVersion::V_2026_07_28);
    let header = || Some(request?.headers.get(http::header::USER_AGENT)?.to_str().ok()?.to_owned());
    // It is the client's text: bounded, and without what PostgreSQL or a terminal would stumble over.
    let plain = |text: String| text.chars().filter(|c| !c.is_control()).take(200).collect();
    Client {
        user_agent: introduces.then(introduced).flatten().or_else(header).map(plain),
        ip_address: request.and_then(|parts| parts.extensions.get::<ClientAddress>()).map(|address| address.0),
    }
}
