use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::ServerHandler;
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult, PaginatedRequestParams,
    ProtocolVersion, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};

use super::Toolbox;
use crate::call::{Calls, Client};
use crate::identity::Caller;

const INSTRUCTIONS: &str = "Bailiwick holds one organisation's documents. Use hybrid_search to find passages before you answer questions about \
the organisation, and cite the title and document_id of what you use. Use insert_document to store text worth keeping. \
Failures begin with a code: after invalid_input correct the arguments; after unavailable wait and repeat; \
after forbidden, quota_exceeded or budget_exceeded tell the user. Every call is recorded in the organisation's audit trail.";

/// An MCP server for one caller whose identity is settled: the user of a stdio process.
#[derive(Clone)]
pub struct Server {
    toolbox: Arc<Toolbox>,
    calls: Calls,
    caller: Caller,
}

impl Server {
    /// A server that runs every call as this caller.
    #[must_use]
    pub fn new(toolbox: Arc<Toolbox>, calls: Calls, caller: Caller) -> Self {
        Self { toolbox, calls, caller }
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
        let mut result = ListToolsResult::with_all_items(self.toolbox.definitions(&self.caller.scopes));
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
        let client = client_of(&context);
        let arguments = request.arguments.unwrap_or_default();
        match self.toolbox.call(&request.name, &self.calls, &self.caller, client.clone(), arguments, &context.ct).await
        {
            Some(result) => Ok(result.into()),
            None => {
                self.calls.refuse_unknown(&request.name, &self.caller, client).await;
                let names: Vec<_> =
                    self.toolbox.definitions(&self.caller.scopes).into_iter().map(|tool| tool.name).collect();
                // MCP (Tools, Error Handling): an unknown tool is a protocol error with the code of invalid parameters.
                Err(ErrorData::invalid_params(format!("unknown tool; there are {}", names.join(", ")), None))
            }
        }
    }
}

fn client_of(context: &RequestContext<RoleServer>) -> Client {
    let user_agent = context.client_info().map(|client| {
        let text = format!("{}/{}", client.name, client.version);
        // It is the client's text: bounded, and without what PostgreSQL or a terminal would stumble over.
        text.chars().filter(|c| !c.is_control()).take(200).collect()
    });
    Client { user_agent, ip_address: None }
}
