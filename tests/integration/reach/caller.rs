use bailiwick::call::{CallOptions, Calls, Client};
use bailiwick::db::Endpoint;
use bailiwick::identity::{Caller, Scopes, TenantId, UserId};
use bailiwick::mcp::Toolbox;
use bailiwick::tools::EmbeddingSpace;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// The tools on a database that is reached in some way.
pub struct Tools {
    pub calls: Calls,
    toolbox: Toolbox,
}

impl Tools {
    pub async fn open(endpoint: &Endpoint, options: &CallOptions) -> Self {
        let calls = Calls::open(endpoint, options).unwrap();
        let system = calls.system();
        let space = EmbeddingSpace {
            dimensions: system.embedding_dimensions().await.unwrap(),
            model_id: system.register_embedding_model("test-model").await.unwrap(),
            model_name: "test-model".to_owned(),
            ..EmbeddingSpace::default()
        };
        Self { calls, toolbox: Toolbox::new(&space) }
    }

    /// A call's reply, as JSON: whatever becomes of it.
    pub async fn call(&self, caller: &Caller, tool: &str, arguments: Value) -> Value {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        let never = CancellationToken::new();
        let reply = self.toolbox.call(tool, &self.calls, caller, Client::default(), arguments, &never).await;
        serde_json::to_value(&reply).unwrap()
    }

    /// A call that must succeed; its structured answer.
    pub async fn ok(&self, caller: &Caller, tool: &str, arguments: Value) -> Value {
        let reply = self.call(caller, tool, arguments).await;
        assert!(is_ok(&reply), "{tool}: {reply}");
        reply["structuredContent"].clone()
    }
}

/// Whether a reply is an answer.
pub fn is_ok(reply: &Value) -> bool {
    reply["isError"] != true && reply.get("structuredContent").is_some()
}

pub fn caller(tenant_id: TenantId, user: &str) -> Caller {
    Caller { tenant_id, user_id: UserId::parse(user).unwrap(), scopes: Scopes::all() }
}
