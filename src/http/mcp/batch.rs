//! Batches: several messages in one body. Of all revisions 2025-03-26 alone has them, and a server of it must take them in; clients of
//! that revision name none in a header.

use std::collections::HashSet;
use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rmcp::ServerHandler;
use serde_json::Value;

use super::super::limits::later;
use super::super::streams;
use super::form::Form;
use super::message::{self, Invalid};
use super::{EVENT_STREAM, Mcp, is_stream, refused, told};
use crate::identity::Caller;
use crate::mcp::DeniedScope;

const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// The one revision with batches.
const REVISION: &str = "2025-03-26";
/// Most messages of a batch.
pub(in crate::http) const MOST_MESSAGES: usize = 50;
/// Of them, those that are worked on at the same time.
const AT_ONCE: usize = 4;

/// Whether a request's revision has batches. Whoever names none is of the revision that had no header for it (MCP 2025-06-18,
/// Protocol Version Header).
pub(in crate::http) fn is_taken(headers: &HeaderMap) -> bool {
    headers.get_all(VERSION).iter().all(|version| version == REVISION)
}

impl<S: ServerHandler + Clone> Mcp<S> {
    /// Answers each message as if it had come alone: each call has its admission, its row and its refusal.
    pub(super) async fn batch(&self, mut parts: Parts, body: &Bytes, form: Form, caller: &Caller) -> Response {
        let messages = match messages(&parts.headers, body) {
            Ok(messages) => messages,
            Err(invalid) => return refused(&invalid),
        };
        // The first one was counted as the request.
        for _ in 1..messages.len() {
            if let Some(wait) = self.limits.refuses(caller) {
                return later(StatusCode::TOO_MANY_REQUESTS, "principal", wait, "too many requests of this user");
            }
        }
        // Of many calls one that is denied makes no status.
        parts.extensions.remove::<DeniedScope>();
        parts.headers.remove(CONTENT_LENGTH);
        let asked: Vec<Value> = messages.into_iter().filter(is_answered).collect();
        if asked.is_empty() {
            return StatusCode::ACCEPTED.into_response();
        }
        match form {
            Form::Json => self.array(parts, asked).await,
            Form::Events => match self.streams.place(caller) {
                Ok(place) => streams::placed(self.clone().events(parts, asked), place),
                Err(refusal) => *refusal,
            },
        }
    }

    async fn array(&self, parts: Parts, asked: Vec<Value>) -> Response {
        let answers = stream::iter(asked).map(|mut message| {
            // What is told on the way has no place in an array.
            if let Some(meta) = message.pointer_mut("/params/_meta").and_then(Value::as_object_mut) {
                meta.remove("progressToken");
            }
            let parts = parts.clone();
            async move {
                match judged(&message) {
                    Ok(body) => {
                        read(told(self.json.handle(request(parts, &body)).await.map(Body::new), &body), &message).await
                    }
                    Err(invalid) => invalid.to_json(),
                }
            }
        });
        let answers: Vec<Value> = answers.buffered(AT_ONCE).collect().await;
        axum::Json(answers).into_response()
    }

    /// The streams of all messages as one, which ends with the last of them.
    fn events(self, parts: Parts, asked: Vec<Value>) -> Response {
        let events = stream::iter(asked).flat_map_unordered(AT_ONCE, move |message| {
            let (mcp, parts) = (self.clone(), parts.clone());
            Box::pin(stream::once(async move { mcp.stream(parts, message).await }).flatten())
        });
        let mut response = Body::from_stream(events.map(Ok::<_, Infallible>)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }

    /// The events of one message. Each piece of rmcp's bodies is a whole event.
    async fn stream(self, parts: Parts, message: Value) -> impl Stream<Item = Bytes> + Send {
        let answer = match judged(&message) {
            Ok(body) => {
                let response = told(self.events.handle(request(parts, &body)).await.map(Body::new), &body);
                if is_stream(&response) {
                    let pieces = response.into_body().into_data_stream().filter_map(async |piece| piece.ok());
                    return pieces.left_stream();
                }
                read(response, &message).await
            }
            Err(invalid) => invalid.to_json(),
        };
        stream::iter([Bytes::from(format!("data: {answer}\n\n"))]).right_stream()
    }
}

fn messages(headers: &HeaderMap, body: &Bytes) -> Result<Vec<Value>, Invalid> {
    let refusal = |why: &str| Invalid::request(Value::Null, why);
    if !is_taken(headers) {
        return Err(refusal(
            "a batch is not taken, but of clients of 2025-03-26: send each message as a request of its own",
        ));
    }
    let messages: Vec<Value> = serde_json::from_slice(body).map_err(|error| Invalid::parse(&error))?;
    if messages.is_empty() || messages.len() > MOST_MESSAGES {
        return Err(refusal(&format!("a batch has 1 to {MOST_MESSAGES} messages, not {}", messages.len())));
    }
    if messages.iter().any(|message| message["method"] == "initialize") {
        return Err(refusal("an introduction comes alone, and not in a batch"));
    }
    let version = |message: &Value| {
        let named = message.pointer("/params/_meta")?.get("io.modelcontextprotocol/protocolVersion")?;
        (named != REVISION).then_some(())
    };
    if messages.iter().any(|message| version(message).is_some()) {
        return Err(refusal("a batch is of 2025-03-26, and one of its messages of another revision"));
    }
    let mut ids = HashSet::new();
    if messages.iter().filter(|message| is_answered(message)).any(|message| !ids.insert(message["id"].to_string())) {
        return Err(refusal("a batch has each id once"));
    }
    Ok(messages)
}

/// Whether it asks for an answer: notifications do not, and to answers of the client nothing is to be said.
fn is_answered(message: &Value) -> bool {
    let is_answer =
        message.get("method").is_none() && (message.get("result").is_some() || message.get("error").is_some());
    !is_answer && (message.get("id").is_some() || message["method"].as_str().is_none())
}

fn judged(message: &Value) -> Result<Bytes, Invalid> {
    let body = Bytes::from(message.to_string());
    message::judge(&body).map(|()| body)
}

fn request(parts: Parts, body: &Bytes) -> Request {
    Request::from_parts(parts, Body::from(body.clone()))
}

/// The message that an answer is; what is none is made one, with the id of what was asked.
async fn read(response: Response, asked: &Value) -> Value {
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    let message = serde_json::from_slice::<Value>(&body).ok().filter(|message| message["jsonrpc"] == "2.0");
    message
        .unwrap_or_else(|| Invalid::request(asked["id"].clone(), String::from_utf8_lossy(&body).into_owned()).to_json())
}
