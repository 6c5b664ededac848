use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use headers_accept::Accept;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use mediatype::MediaType;
use mediatype::names::{APPLICATION, JSON};
use rmcp::ServerHandler;
use rmcp::model::ErrorCode;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;

use super::HttpOptions;
use super::standing::Standing;
use super::streams::{self, Streams};
use crate::identity::Caller;

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
}

/// How an answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Events,
}

impl<S: ServerHandler + Clone> Mcp<S> {
    pub(super) fn new(server: S, options: &HttpOptions, streams: Streams) -> Self {
        let service = |json| {
            let server = server.clone();
            // No sessions: every request stands for itself, so none can be taken over, and a restart is not felt.
            let manager = Arc::new(NeverSessionManager::default());
            StreamableHttpService::new(move || Ok(server.clone()), manager, config(options).with_json_response(json))
        };
        Self { json: service(true), events: service(false), streams }
    }

    /// Answers one request of a known caller.
    pub(super) async fn answer(self, mut request: Request) -> Response {
        if is_ambiguous(request.headers()) {
            return ambiguous();
        }
        let form = if request.method() == Method::POST { form(request.headers()) } else { Some(Form::Json) };
        let Some(form) = form else {
            return (StatusCode::NOT_ACCEPTABLE, "answers come as application/json or text/event-stream")
                .into_response();
        };
        let Some(caller) = request.extensions().get::<Caller>().cloned() else {
            return StatusCode::UNAUTHORIZED.into_response();
        };
        // What follows needs the caller, not what the caller proved it with.
        request.extensions_mut().remove::<Standing>();
        let (parts, body) = request.into_parts();
        // It was taken whole before, within its bounds.
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return batch();
        }
        if parts.method == Method::POST
            && let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&body)
        {
            return refused(ErrorCode::PARSE_ERROR, &format!("the body is not JSON: {error}"));
        }
        let mut request = Request::from_parts(parts, Body::from(body));
        request.headers_mut().insert(ACCEPT, BOTH);
        if form == Form::Json {
            let response = self.json.handle(request).await.map(Body::new);
            // What is told before the result, progress for example, makes it a stream all the same.
            let is_stream = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == EVENT_STREAM);
            return if is_stream { self.placed(response, &caller) } else { response };
        }
        // The place first: a call that has begun is not taken back for want of one.
        match self.streams.place(&caller) {
            Ok(place) => streams::placed(self.events.handle(request).await.map(Body::new), place),
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

fn form(headers: &HeaderMap) -> Option<Form> {
    let available = [
        MediaType::new(APPLICATION, JSON),
        MediaType::new(mediatype::names::TEXT, mediatype::Name::new_unchecked("event-stream")),
    ];
    let values: Vec<_> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    if values.is_empty() {
        // RFC 9110, section 12.5.1: whoever says nothing takes anything.
        return Some(Form::Json);
    }
    let accept = values.join(", ").parse::<Accept>().ok()?;
    let chosen = accept.negotiate(&available)?;
    Some(if *chosen == available[0] { Form::Json } else { Form::Events })
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

/// Whether host or page is named twice: of two, what is before us may have judged the other one (RFC 9112, section 3.2).
fn is_ambiguous(headers: &HeaderMap) -> bool {
    [HOST, ORIGIN].iter().any(|name| headers.get_all(name).iter().nth(1).is_some())
}

fn ambiguous() -> Response {
    (StatusCode::BAD_REQUEST, "Host and Origin are given once").into_response()
}

/// Of all revisions 2025-03-26 alone knows batches, and no client in use sends them: that they are not taken is said in a way that any
/// client understands.
fn batch() -> Response {
    refused(ErrorCode::INVALID_REQUEST, "a batch is not taken: send each message as a request of its own")
}

/// An error of JSON-RPC about what has no id that could be told.
fn refused(code: ErrorCode, text: &str) -> Response {
    let error = json!({ "jsonrpc": "2.0", "id": null, "error": { "code": code.0, "message": text } });
    (StatusCode::BAD_REQUEST, axum::Json(error)).into_response()
}

/// Keeps foreign hosts and pages away from a route that rmcp does not serve, by the very check that rmcp makes where it does: a
/// request without body that it would answer 405 has passed it.
pub(super) async fn known_origin<S>(State(mcp): State<Mcp<S>>, request: Request, next: Next) -> Response
where
    S: ServerHandler + Clone,
{
    if is_ambiguous(request.headers()) {
        return ambiguous();
    }
    let mut probe = Request::new(Body::empty());
    *probe.method_mut() = Method::GET;
    probe.uri_mut().clone_from(request.uri());
    for name in [HOST, ORIGIN] {
        if let Some(value) = request.headers().get(&name) {
            probe.headers_mut().insert(name, value.clone());
        }
    }
    let judged = mcp.json.handle(probe).await;
    if judged.status() == StatusCode::METHOD_NOT_ALLOWED { next.run(request).await } else { judged.map(Body::new) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &[&str]) -> Option<Form> {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        form(&headers)
    }

    #[test]
    fn the_client_chooses_the_form() {
        for json in [
            &[][..],
            &["*/*"],
            &["application/json"],
            &["application/json, text/event-stream"],
            &["application/json", "text/event-stream"],
            &["application/*, text/event-stream;q=0.5"],
        ] {
            assert_eq!(of(json), Some(Form::Json), "{json:?}");
        }
        for events in [
            &["text/event-stream"][..],
            &["text/event-stream, application/json"],
            &["application/json;q=0.5, text/event-stream"],
            &["application/json;q=0, */*"],
            &["text/*"],
        ] {
            assert_eq!(of(events), Some(Form::Events), "{events:?}");
        }
        for neither in [&["text/html"][..], &["application/json;q=0"], &[""]] {
            assert_eq!(of(neither), None, "{neither:?}");
        }
    }
}
