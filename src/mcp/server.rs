use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use rmcp::ErrorData;
use rmcp::ServerHandler;
use rmcp::model::{
    ArgumentInfo, CacheScope, CallToolRequestMethod, CallToolRequestParams, CallToolResponse, CallToolResult,
    CompleteRequestMethod, CompleteRequestParams, CompleteResult, ConstString, CustomRequest, CustomResult, ErrorCode,
    GetPromptRequestMethod, GetPromptRequestParams, GetPromptResponse, Implementation, ListPromptsRequestMethod,
    ListPromptsResult, ListResourceTemplatesRequestMethod, ListResourceTemplatesResult, ListResourcesRequestMethod,
    ListResourcesResult, ListToolsRequestMethod, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam,
    ProtocolVersion, ReadResourceRequestMethod, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};

use tracing::{Instrument, Span};

use super::resources::{self, Asked, Shelf};
use super::{Toolbox, views};
use crate::call::{Calls, Client, Failure, FailureCode, Progress};
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

    /// Notes it if that is how a tool's call ended; the wrapper asks for the scope before anything else.
    pub fn note(&self, toolbox: &Toolbox, tool: &str, caller: &Caller, result: &CallToolResult) {
        let needed = toolbox.scopes().find(|(name, _)| *name == tool).map(|(_, scope)| scope);
        if let Some(scope) = needed.filter(|scope| !caller.scopes.allow(*scope) && is_forbidden(result)) {
            let _ = self.0.set(scope);
        }
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

    /// Tells the face over HTTP that a call was denied for its scope.
    fn note_denial(&self, tool: &str, caller: &Caller, result: &CallToolResult, context: &RequestContext<RoleServer>) {
        let parts = context.extensions.get::<http::request::Parts>();
        if let Some(denied) = parts.and_then(|parts| parts.extensions.get::<DeniedScope>()) {
            denied.note(&self.toolbox, tool, caller, result);
        }
    }

    /// What is offered beside tools; a server without it does not know the method.
    fn shelf<M: ConstString>(&self) -> Result<&Shelf, ErrorData> {
        self.toolbox.shelf().ok_or_else(ErrorData::method_not_found::<M>)
    }

    fn asked<'a>(&'a self, caller: &'a Caller, context: &'a RequestContext<RoleServer>) -> Asked<'a> {
        Asked { calls: &self.calls, caller, client: client_of(context), cancelled: &context.ct }
    }

    /// A failure as the protocol's error; the face over HTTP is told of a denial for want of a scope as of a tool's.
    fn told(
        &self,
        failure: &Failure,
        caller: &Caller,
        needed: Scope,
        context: &RequestContext<RoleServer>,
    ) -> ErrorData {
        let parts = context.extensions.get::<http::request::Parts>();
        let denied = parts.and_then(|parts| parts.extensions.get::<DeniedScope>());
        if let Some(denied) = denied.filter(|_| matches!(failure, Failure::Forbidden(_)))
            && !caller.scopes.allow(needed)
        {
            let _ = denied.0.set(needed);
        }
        resources::error(failure)
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
        let offered = ServerCapabilities::builder().enable_tools();
        // No subscriptions: nothing here would tell that a document has changed.
        let capabilities = match self.toolbox.shelf() {
            Some(_) => {
                let offered = offered.enable_resources().enable_prompts().enable_completions();
                offered.enable_extensions_with(views::capability()).build()
            }
            None => offered.build(),
        };
        let mut info = ServerConfig::new(capabilities);
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
        result.cache_scope = cache(&context, 0).map(|(scope, _)| scope);
        Ok(result)
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let (caller, shelf) = (self.caller(&context)?, self.shelf::<ListResourcesRequestMethod>()?);
        let listed = shelf.list(self.asked(&caller, &context), request.and_then(|request| request.cursor));
        let listed = listed.instrument(span_of(&context)).await;
        let mut result = listed.map_err(|failure| self.told(&failure, &caller, Scope::DocumentsRead, &context))?;
        (result.cache_scope, result.ttl_ms) = cache(&context, 0).unzip();
        Ok(result)
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let caller = self.caller(&context)?;
        self.shelf::<ListResourceTemplatesRequestMethod>()?;
        let may_read = caller.scopes.allow(Scope::DocumentsRead);
        let templates = if may_read { resources::templates() } else { Vec::new() };
        let mut result = ListResourceTemplatesResult::with_all_items(templates);
        (result.cache_scope, result.ttl_ms) = cache(&context, SETTLED_MS).unzip();
        Ok(result)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let (caller, shelf) = (self.caller(&context)?, self.shelf::<ReadResourceRequestMethod>()?);
        let read = shelf.read(self.asked(&caller, &context), &request.uri).instrument(span_of(&context)).await;
        let needed = resources::scope(&request.uri);
        let contents = read.map_err(|failure| self.told(&failure, &caller, needed, &context))?;
        let mut result = ReadResourceResult::new(vec![contents]);
        (result.cache_scope, result.ttl_ms) = cache(&context, 0).unzip();
        Ok(result.into())
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let (caller, shelf) = (self.caller(&context)?, self.shelf::<CompleteRequestMethod>()?);
        let ArgumentInfo { name, value, .. } = &request.argument;
        let completed = shelf.complete(self.asked(&caller, &context), &request.r#ref, name, value);
        let completed = completed.instrument(span_of(&context)).await;
        let completion = completed.map_err(|failure| self.told(&failure, &caller, Scope::DocumentsRead, &context))?;
        Ok(CompleteResult::new(completion.unwrap_or_default()))
    }

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.caller(&context)?;
        self.shelf::<ListPromptsRequestMethod>()?;
        let mut result = ListPromptsResult::with_all_items(resources::prompts());
        (result.cache_scope, result.ttl_ms) = cache(&context, SETTLED_MS).unzip();
        Ok(result)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        self.caller(&context)?;
        self.shelf::<GetPromptRequestMethod>()?;
        Ok(resources::prompt(&request)?.into())
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

    /// What fits no request of MCP: a method that there is none of, or one whose params are not as they should be, which would
    /// otherwise be told that there is no such method.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let CustomRequest { method, params, .. } = request;
        if method == CallToolRequestMethod::VALUE {
            let name = params.as_ref().and_then(|params| params.get("name")?.as_str()).unwrap_or_default();
            self.calls.refuse_unknown(name, &self.caller(&context)?, client_of(&context)).await;
            return Err(ErrorData::invalid_params(
                "the params of tools/call are a name, and arguments as a JSON object (not as text)",
                None,
            ));
        }
        if KNOWN_METHODS.contains(&method.as_str()) {
            return Err(ErrorData::invalid_params(format!("the params of {method} are not as MCP has them"), None));
        }
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, method.chars().take(LONGEST_METHOD).collect::<String>(), None))
    }
}

/// Methods with params that a client may get wrong. Not `initialize`, which is none in 2026-07-28.
const KNOWN_METHODS: [&str; 7] = [
    ListToolsRequestMethod::VALUE,
    ListResourcesRequestMethod::VALUE,
    ListResourceTemplatesRequestMethod::VALUE,
    ReadResourceRequestMethod::VALUE,
    ListPromptsRequestMethod::VALUE,
    GetPromptRequestMethod::VALUE,
    CompleteRequestMethod::VALUE,
];

/// As much of a method that there is none of is said again, in characters.
const LONGEST_METHOD: usize = 100;

/// How long a list that only a new program changes may be kept.
const SETTLED_MS: u64 = 3_600_000;

/// Who may keep a result and how long, in milliseconds, to be said to clients of 2026-07-28; earlier revisions know no such
/// fields. Everything differs by caller, so no shared cache may keep it.
fn cache(context: &RequestContext<RoleServer>, ttl_ms: u64) -> Option<(CacheScope, u64)> {
    let knows = context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
    knows.then_some((CacheScope::Private, ttl_ms))
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

/// Notifications for the token that the client gave, if it gave one.
fn progress_of(context: &RequestContext<RoleServer>) -> Progress {
    let Some(token) = context.meta.get_progress_token() else { return Progress::default() };
    let peer = context.peer.clone();
    Progress::to(move |done, total, what| {
        #[expect(clippy::cast_precision_loss, reason = "counts of passages")]
        let told =
            ProgressNotificationParam::new(token.clone(), done as f64).with_total(total as f64).with_message(what);
        let peer = peer.clone();
        // A client that does not read must not hold the call up.
        tokio::spawn(async move { drop(peer.notify_progress(told).await) });
    })
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
        progress: progress_of(context),
    }
}
