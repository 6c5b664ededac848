//! The framework's own floor: rmcp alone on the same accept loop, with one tool that gives back what it got.

use std::sync::Arc;

use bailiwick::http::{HttpOptions, Listener, serve as listen};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler};
use tokio_util::sync::CancellationToken;

use crate::world::Result;

#[derive(Clone)]
struct Echo;

impl ServerHandler for Echo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> std::result::Result<CallToolResponse, ErrorData> {
        let text = request.arguments.and_then(|arguments| Some(arguments.get("text")?.as_str()?.to_owned()));
        Ok(CallToolResult::success(vec![ContentBlock::text(text.unwrap_or_default())]).into())
    }
}

/// Serves at a port that the first line of stderr tells.
pub async fn serve() -> Result<()> {
    let config = |json| StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(json);
    let service =
        |json| StreamableHttpService::new(|| Ok(Echo), Arc::new(NeverSessionManager::default()), config(json));
    let router = axum::Router::new().route_service("/mcp", service(true)).route_service("/events/mcp", service(false));
    let listener = Listener::bind("127.0.0.1:0".parse()?).await?;
    eprintln!("http://{}/mcp", listener.address()?);
    listen(listener, router, &HttpOptions::default(), CancellationToken::new()).await;
    Ok(())
}
