use std::sync::Arc;

use bailiwick::call::{CallOptions, Calls};
use bailiwick::db::{Deadlines, Door, Pool, PoolOptions, System};
use bailiwick::identity::{Caller, Scopes, TenantId, UserId};
use bailiwick::mcp::{Server, Toolbox};
use bailiwick::tools::EmbeddingSpace;
use rmcp::model::{CallToolRequestParams, ClientCapabilities, ClientConfig, Implementation};
use rmcp::service::RunningService;
use rmcp::{RoleClient, ServiceExt};
use serde_json::Value;

use super::Result;
use super::database::Database;

/// The name that the benches' vectors are stored under.
pub const MODEL: &str = "bench-model";

/// A server in this process, for clients of any tenant.
pub struct Service {
    /// The way to the tenants' rows.
    pub door: Door,
    /// The model's id in this database.
    pub model_id: i16,
    /// Its calls.
    pub calls: Calls,
    toolbox: Arc<Toolbox>,
}

/// An MCP client, joined to the server by a pipe.
pub struct Session {
    client: RunningService<RoleClient, ClientConfig>,
}

impl Service {
    /// A server as `bailiwick serve` makes it.
    pub async fn start(database: &Database) -> Result<Self> {
        let pool = Pool::new(database.app.clone(), &PoolOptions::default())?;
        let system = System::new(pool.clone());
        let space = EmbeddingSpace {
            dimensions: system.embedding_dimensions().await?,
            model_id: system.register_embedding_model(MODEL).await?,
            model_name: MODEL.to_owned(),
            ..EmbeddingSpace::default()
        };
        let door = Door::new(pool, Deadlines::default());
        let calls = Calls::open(&database.app, &CallOptions::new(std::env::temp_dir().join("bailiwick-bench-spool")))?;
        Ok(Self { door, model_id: space.model_id, calls, toolbox: Arc::new(Toolbox::new(&space)) })
    }

    /// Whom the server takes a tenant's client for.
    pub fn caller(tenant_id: TenantId) -> Result<Caller> {
        Ok(Caller { tenant_id, user_id: UserId::parse("bench")?, scopes: Scopes::all() })
    }

    /// A client of a tenant.
    pub async fn session(&self, tenant_id: TenantId) -> Result<Session> {
        let server = Server::new(Arc::clone(&self.toolbox), self.calls.clone(), Self::caller(tenant_id)?);
        let (ours, theirs) = tokio::io::duplex(1 << 18);
        tokio::spawn(async move {
            if let Ok(running) = server.serve(theirs).await {
                let _ = running.waiting().await;
            }
        });
        let me = ClientConfig::new(ClientCapabilities::default(), Implementation::new("bench", "1"));
        Ok(Session { client: me.serve(ours).await? })
    }
}

impl Session {
    /// Calls a tool, which must succeed.
    pub async fn call(&self, tool: &'static str, arguments: Value) -> Result<Value> {
        let Value::Object(arguments) = arguments else { return Err("arguments are an object".into()) };
        let result = self.client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await?;
        match result.structured_content {
            Some(value) if result.is_error != Some(true) => Ok(value),
            _ => Err(format!("{tool} failed: {:?}", result.content).into()),
        }
    }
}
