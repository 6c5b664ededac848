//! A client over HTTP: each call is a request of its own, and taking it back is closing its connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Map, Value, json};

use crate::Result;
use crate::journal::Reply;
use crate::plan::{Kind, Plan};

pub struct HttpClient {
    client: Client,
    url: String,
    key: String,
    /// Nobody listens there any more.
    pub is_gone: AtomicBool,
}

impl HttpClient {
    /// Its session's number reaches the trail as the user agent.
    pub fn new(url: String, key: String, number: u64) -> Result<Self> {
        let client = Client::builder().user_agent(format!("torture/{number}")).build()?;
        Ok(Self { client, url, key, is_gone: AtomicBool::default() })
    }

    pub async fn call(&self, number: u64, plan: &Plan, silence: Duration) -> Reply {
        let asked = self.ask(number, plan.kind, plan.arguments(number));
        let taken_back = async {
            match plan.cancel_after {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            reply = tokio::time::timeout(silence, asked) => reply.unwrap_or(Reply::Silence),
            () = taken_back => Reply::Dropped,
        }
    }

    async fn ask(&self, number: u64, kind: Kind, arguments: Map<String, Value>) -> Reply {
        let params = json!({ "name": kind.tool(), "arguments": arguments });
        let message = json!({ "jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params });
        let request = self.client.post(&self.url).bearer_auth(&self.key).json(&message);
        let request = request
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25");
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                self.is_gone.fetch_or(error.is_connect(), Ordering::Relaxed);
                return Reply::Lost;
            }
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::SERVICE_UNAVAILABLE => return Reply::NotLetIn,
            status => return Reply::Protocol(status.to_string()),
        }
        let Ok(reply) = response.json::<Value>().await else { return Reply::Lost };
        if reply["id"] != number {
            return Reply::Protocol(format!("the reply to {}", reply["id"]));
        }
        let result = &reply["result"];
        match result["isError"].as_bool() {
            Some(false) => {
                let id = result["structuredContent"]["document_id"].as_str().and_then(|id| id.parse().ok());
                Reply::Ok(id.filter(|_| kind == Kind::Insert))
            }
            Some(true) => {
                let text = result["content"][0]["text"].as_str().unwrap_or_default();
                Reply::Failed(text.split(':').next().unwrap_or_default().to_owned())
            }
            None => Reply::Protocol(reply.to_string()),
        }
    }
}
