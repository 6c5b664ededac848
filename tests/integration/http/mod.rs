//! The face over HTTP.

mod a2a;
mod access;
mod backlog;
mod barred;
mod batches;
mod bodies;
mod bounds;
mod clients;
mod crowds;
mod figures;
mod grid;
mod guesses;
mod hostile;
mod inspector;
mod issuer;
mod keeping;
mod legacy;
mod limits;
mod lines;
mod listening;
mod planted;
mod readers;
mod rotation;
mod routes;
mod secrecy;
pub mod served;
mod streams;
mod targets;
mod tls;
mod tokens;
mod traces;

use std::net::SocketAddr;
use std::sync::Arc;

use bailiwick::call::Calls;
use bailiwick::db::{Pool, PoolOptions, System};
use bailiwick::http::{Face, HttpOptions, Listener, router, serve};
use bailiwick::identity::{ApiKey, Issuer, IssuerOptions, KeyRing};
use bailiwick::mcp::{Server, Toolbox};
use bailiwick::tools::EmbeddingSpace;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::harness::TestDatabase;

/// A server in this process, over real sockets.
pub struct HttpServer {
    pub address: SocketAddr,
    calls: Calls,
    _stop: DropGuard,
}

impl HttpServer {
    async fn start(database: &TestDatabase, options: HttpOptions) -> Self {
        Self::start_with(database, options, Toolbox::new(&model())).await
    }

    async fn start_with(database: &TestDatabase, options: HttpOptions, toolbox: Toolbox) -> Self {
        Self::start_all(database, options, toolbox, None).await
    }

    /// With an issuer whose tokens are believed, too.
    async fn start_all(
        database: &TestDatabase,
        options: HttpOptions,
        toolbox: Toolbox,
        issuer: Option<IssuerOptions>,
    ) -> Self {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        Self::start_at(listener, database, options, toolbox, issuer).await
    }

    async fn start_at(
        listener: Listener,
        database: &TestDatabase,
        options: HttpOptions,
        toolbox: Toolbox,
        issuer: Option<IssuerOptions>,
    ) -> Self {
        let calls = Calls::open(database.app(), &database.call_options()).unwrap();
        Self::over(listener, database, calls, options, toolbox, issuer).await
    }

    /// Over calls that were opened for it.
    pub async fn over(
        listener: Listener,
        database: &TestDatabase,
        calls: Calls,
        options: HttpOptions,
        toolbox: Toolbox,
        issuer: Option<IssuerOptions>,
    ) -> Self {
        let pool = Pool::new(database.app().clone(), &PoolOptions { size: 2, ..PoolOptions::default() }).unwrap();
        let system = System::new(pool);
        let issuer = issuer.map(|issuer| Issuer::new(issuer, system.clone()).unwrap());
        let toolbox = Arc::new(toolbox);
        let face = Face {
            calls: calls.clone(),
            keys: KeyRing::new(system),
            issuer,
            toolbox: Arc::clone(&toolbox),
            exposition: None,
            options: options.clone(),
        };
        let router = router(face, Server::for_requests(toolbox, calls.clone()));
        let (address, stop) = (listener.address().unwrap(), CancellationToken::new());
        let stopped = stop.clone();
        tokio::spawn(async move { serve(listener, router, &options, stopped).await });
        Self { address, calls, _stop: stop.drop_guard() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A POST to `/mcp` as its clients send it.
    pub fn post(&self, client: &Client, key: &str) -> RequestBuilder {
        client
            .post(self.url("/mcp"))
            .bearer_auth(key)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
    }

    /// Calls a tool; the result of the reply.
    async fn call(&self, client: &Client, key: &str, tool: &str, arguments: Value) -> Value {
        let response = self.post(client, key).json(&tool_call(1, tool, &arguments)).send().await.unwrap();
        reply(response).await["result"].take()
    }
}

fn model() -> EmbeddingSpace {
    EmbeddingSpace { dimensions: 4, model_id: 1, model_name: "test-model".to_owned(), ..EmbeddingSpace::default() }
}

pub fn tool_call(id: i64, tool: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
}

/// The one message of a reply.
pub async fn reply(response: Response) -> Value {
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

/// A live key of a tenant.
pub async fn key(database: &TestDatabase, tenant: &str, user: &str, scopes: &str) -> String {
    let key = ApiKey::generate().unwrap();
    let sql = "INSERT INTO api_keys (tenant_id, user_id, key_prefix, key_sha256, scopes)
               SELECT id, $2, $3, $4, string_to_array($5, ' ') FROM tenants WHERE slug = $1";
    let hash = key.sha256();
    let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&tenant, &user, &key.prefix(), &hash.as_slice(), &scopes];
    assert_eq!(database.connect_admin().await.execute(sql, &parameters).await.unwrap(), 1);
    key.expose().to_owned()
}

pub const ALL_SCOPES: &str = "documents:read documents:write costs:read costs:write audit:read";
