//! MCP by Streamable HTTP.

mod batch;
mod form;
mod message;
mod origin;
mod pieces;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use super::HttpOptions;
use super::limits::Limits;
use super::standing::Standing;
use super::streams::{self, Streams};
use crate::identity::Caller;

pub(super) use batch::{MOST_MESSAGES, is_taken as takes_batches};
use form::Form;
use message::Invalid;
pub(super) use origin::known_origin;
pub(super) use pieces::split;

type Service<S> = StreamableHttpService<S, NeverSessionManager>;

const EVENT_STREAM: &str = "text/event-stream";
/// What rmcp wants to read of every client.
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// Streamable HTTP: answers as JSON or as a stream of events, as the client prefers.
#[derive(Clone)]
pub(super) struct Mcp<S> {
    json: Service<S>,
    events: Service<S>,
    streams: Streams,
    limits: Arc<Limits>,
}

impl<S: ServerHandler + Clone> Mcp<S> {
    pub(super) fn new(server: S, options: &HttpOptions, streams: Streams, limits: Arc<Limits>) -> Self {
        let service = |json| {
            let server = server.clone();
            // No sessions: every request stands for itself, so none can be taken over, and a restart is not felt.
            let manager = Arc::new(NeverSessionManager::default());
            StreamableHttpService::new(move || Ok(server.clone()), manager, config(options).with_json_response(json))
        };
        Self { json: service(true), events: service(false), streams, limits }
    }

    /// Answers one request of a known caller.
    pub(super) async fn answer(self, mut request: Request) -> Response {
        if origin::is_ambiguous(request.headers()) {
            return origin::ambiguous();
        }
        let form = if request.method() == Method::POST { form::form(request.headers()) } else { Some(Form::Json) };
        let Some(form) = form else {
            return (StatusCode::NOT_ACCEPTABLE, "answers come as application/json or text/event-stream")
                .into_response();
        };
        let Some(caller) = request.extensions().get::<Caller>().cloned() else {
            return StatusCode::UNAUTHORIZED.into_response();
        };
        // What follows needs the caller, not what the caller proved it with.
        request.extensions_mut().remove::<Standing>();
        request.headers_mut().insert(ACCEPT, BOTH);
        let (parts, body) = request.into_parts();
        // It was taken whole before, within its bounds.
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        if parts.method != Method::POST || !is_json(&parts.headers) {
            return self.json.handle(Request::from_parts(parts, Body::from(body))).await.map(Body::new);
        }
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            // Hosts and pages are judged with each of its messages, but nothing is told before.
            return match origin::known(&self, &parts).await {
                Ok(()) => self.batch(parts, &body, form, &caller).await,
                Err(refusal) => *refusal,
            };
        }
        self.single(parts, body, form, &caller).await
    }

    async fn single(&self, parts: Parts, body: Bytes, form: Form, caller: &Caller) -> Response {
        if let Err(invalid) = message::judge(&body) {
            return match origin::known(self, &parts).await {
                Ok(()) => refused(&invalid),
                Err(refusal) => *refusal,
            };
        }
        let request = Request::from_parts(parts, Body::from(body.clone()));
        if form == Form::Json {
            let response = told(self.json.handle(request).await.map(Body::new), &body);
            // What is told before the result, progress for example, makes it a stream all the same.
            return if is_stream(&response) { self.placed(response, caller) } else { response };
        }
        // The place first: a call that has begun is not taken back for want of one.
        match self.streams.place(caller) {
            Ok(place) => streams::placed(told(self.events.handle(request).await.map(Body::new), &body), place),
            Err(refusal) => *refusal,
        }
    }

    fn placed(&self, response: Response, caller: &Caller) -> Response {
        match self.streams.place(caller) {
            Ok(place) => streams::placed(response, place),
            Err(refusal) => *refusal,
        }
    }
}

/// What a body is told that is no message.
pub(super) fn refusal(body: &[u8]) -> Option<Response> {
    message::judge(body).err().map(|invalid| refused(&invalid))
}

fn is_stream(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == EVENT_STREAM)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

/// rmcp says of JSON that is no message of MCP's that its media type is wrong; it is not.
fn told(response: Response, body: &[u8]) -> Response {
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE { refused(&message::unknown(body)) } else { response }
}

fn config(options: &HttpOptions) -> StreamableHttpServerConfig {
    let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let hosts = loopback.into_iter().chain(options.allowed_hosts.clone());
    StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_sse_keep_alive(Some(options.keep_alive))
        .with_allowed_hosts(hosts)
        .with_allowed_origins(options.allowed_origins.clone())
        .enforce_origin_validation()
        .with_max_request_body_bytes(options.largest_body_bytes)
}

/// An error of JSON-RPC about what is no message (MCP, Streamable HTTP: 400, with an error that may be JSON-RPC's).
fn refused(invalid: &Invalid) -> Response {
    (StatusCode::BAD_REQUEST, axum::Json(invalid.to_json())).into_response()
}
