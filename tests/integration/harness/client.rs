use std::sync::Arc;

use bailiwick::call::{CallOptions, Calls};
use bailiwick::identity::{Caller, Scopes, UserId};
use bailiwick::mcp::{Server, Toolbox};
use bailiwick::tools::EmbeddingSpace;
use rmcp::model::{CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, Implementation};
use rmcp::service::RunningService;
use rmcp::{RoleClient, ServiceExt};
use serde_json::Value;

use super::{Tenant, TestDatabase};

/// An MCP client in this process, joined by a pipe to a server for one tenant.
pub struct Session {
    pub client: RunningService<RoleClient, ClientConfig>,
    /// The server's calls.
    pub calls: Calls,
}

impl Session {
    pub async fn open(database: &TestDatabase, tenant: &Tenant) -> Self {
        Self::open_with(database, tenant, Scopes::all(), &database.call_options()).await
    }

    pub async fn open_with(database: &TestDatabase, tenant: &Tenant, scopes: Scopes, options: &CallOptions) -> Self {
        Self::over(Calls::open(database.app(), options).unwrap(), tenant, scopes).await
    }

    /// On calls that are open already.
    pub async fn over(calls: Calls, tenant: &Tenant, scopes: Scopes) -> Self {
        let system = calls.system();
        let space = EmbeddingSpace {
            dimensions: system.embedding_dimensions().await.unwrap(),
            model_id: system.register_embedding_model("test-model").await.unwrap(),
            model_name: "test-model".to_owned(),
            ..EmbeddingSpace::default()
        };
        let user_id = UserId::parse(&format!("user@{}.example", tenant.slug)).unwrap();
        let caller = Caller { tenant_id: tenant.id, user_id, scopes };
        let server = Server::new(Arc::new(Toolbox::new(&space)), calls.clone(), caller);
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let running = server.serve(theirs).await.unwrap();
            let _ = running.waiting().await;
        });
        let me = ClientConfig::new(ClientCapabilities::default(), Implementation::new("integration-test", "1.2.3"));
        Self { client: me.serve(ours).await.unwrap(), calls }
    }

    /// Calls a tool; `arguments` is a JSON object.
    pub async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        self.client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.unwrap()
    }

    /// Calls a tool that must succeed; its structured answer.
    pub async fn ok(&self, tool: &'static str, arguments: Value) -> Value {
        structured(self.call(tool, arguments).await)
    }

    /// Calls a tool that must fail; the text a model reads.
    pub async fn refused(&self, tool: &'static str, arguments: Value) -> String {
        error_text(&self.call(tool, arguments).await)
    }

    /// Titles found by a search, best first.
    pub async fn titles(&self, arguments: Value) -> Vec<String> {
        let answer = self.ok("hybrid_search", arguments).await;
        let titles = answer["results"].as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap().to_owned());
        titles.collect()
    }
}

/// The structured content of a success.
fn structured(result: CallToolResult) -> Value {
    assert_ne!(result.is_error, Some(true), "{}", text(&result));
    result.structured_content.expect("a success has structured content")
}

/// The text of a failure, which has no structured content.
pub fn error_text(result: &CallToolResult) -> String {
    assert_eq!(result.is_error, Some(true), "{}", text(result));
    assert_eq!(result.structured_content, None);
    text(result)
}

fn text(result: &CallToolResult) -> String {
    result.content.iter().filter_map(|block| block.as_text()).map(|text| text.text.as_str()).collect()
}
