//! A client of HTTP+SSE that shows what happens on the wire.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, channel};

/// An event as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub event: String,
    pub data: String,
}

/// An open stream.
pub struct Listening {
    client: Client,
    base: String,
    pub key: String,
    /// Where its messages go.
    pub endpoint: String,
    events: Receiver<Heard>,
    reading: tokio::task::JoinHandle<()>,
}

/// Opens a stream, if the server lets it.
pub async fn open(client: &Client, base: &str, key: &str) -> Response {
    client.get(format!("{base}/sse")).bearer_auth(key).header("accept", "text/event-stream").send().await.unwrap()
}

impl Listening {
    pub async fn start(client: &Client, base: &str, key: &str) -> Self {
        let response = open(client, base, key).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let (sender, mut events) = channel(1_000);
        let reading = tokio::spawn(async move {
            let (mut body, mut text) = (response.bytes_stream(), String::new());
            while let Some(Ok(chunk)) = body.next().await {
                text.push_str(std::str::from_utf8(&chunk).unwrap());
                while let Some((event, rest)) = text.split_once("\n\n") {
                    let field = |name: &str| {
                        let lines = event.lines().filter_map(|line| line.strip_prefix(name));
                        lines.map(str::trim_start).collect::<Vec<_>>().join("\n")
                    };
                    let heard = match event.starts_with(':') {
                        true => Heard { event: "comment".to_owned(), data: String::new() },
                        false => Heard { event: field("event:"), data: field("data:") },
                    };
                    text = rest.to_owned();
                    if sender.send(heard).await.is_err() {
                        return;
                    }
                }
            }
        });
        let first = events.recv().await.unwrap();
        assert_eq!(first.event, "endpoint");
        Self {
            client: client.clone(),
            base: base.to_owned(),
            key: key.to_owned(),
            endpoint: first.data,
            events,
            reading,
        }
    }

    /// Sends a message as somebody; the status of the request.
    pub async fn post_as(&self, key: &str, message: &Value) -> StatusCode {
        let post = self.client.post(format!("{}{}", self.base, self.endpoint)).bearer_auth(key);
        post.json(message).send().await.unwrap().status()
    }

    pub async fn post(&self, message: &Value) -> StatusCode {
        self.post_as(&self.key, message).await
    }

    /// Introduces itself, as 2024-11-05 has it.
    pub async fn introduce(&mut self) {
        let client = json!({ "name": "listener", "version": "1" });
        let params = json!({ "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": client });
        let hello = json!({ "jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": params });
        assert_eq!(self.post(&hello).await, StatusCode::ACCEPTED);
        assert_eq!(self.answer().await["result"]["protocolVersion"], "2024-11-05");
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        assert_eq!(self.post(&ready).await, StatusCode::ACCEPTED);
    }

    /// The next event; `None` if the server has ended the stream.
    pub async fn hear(&mut self) -> Option<Heard> {
        tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await.expect("something is heard in time")
    }

    /// The next message.
    pub async fn answer(&mut self) -> Value {
        loop {
            let heard = self.hear().await.expect("the stream is open");
            if heard.event == "message" {
                return serde_json::from_str(&heard.data).unwrap();
            }
        }
    }

    /// Waits until the server has ended the stream, however often it says meanwhile that it is there.
    pub async fn end(&mut self) {
        let ended = async { while self.hear().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(15), ended).await.expect("the stream ends");
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
