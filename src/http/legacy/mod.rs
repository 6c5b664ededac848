//! HTTP+SSE of 2024-11-05: a stream of events from the server at `/sse`, and messages to it at `/messages`.
//!
//! rmcp serves each stream as it serves stdio; here is only how messages get in and out. Whose a call is, is settled by the
//! message's own request, as everywhere; the stream is only where the answer goes, and only to whom it belongs.

mod channel;
mod open;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use rmcp::ServerHandler;
use rmcp::model::ClientJsonRpcMessage;
use rmcp::service::serve_server_with_ct;
use serde::Deserialize;
use uuid::Uuid;

use super::limits::later;
use super::standing::Standing;
use super::streams::{self, Streams};
use super::unread::Reader;
use super::{Face, mcp};
use channel::{Outgoing, Refused};
use open::{Open, OpenStreams};

/// How often it is looked whether a stream's credential is still good.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the two routes share.
pub(super) struct Legacy<S> {
    face: Arc<Face>,
    server: S,
    streams: Streams,
    open: OpenStreams,
}

impl<S: ServerHandler + Clone> Legacy<S> {
    pub(super) fn new(face: Arc<Face>, server: S, streams: Streams) -> Arc<Self> {
        Arc::new(Self { face, server, streams, open: OpenStreams::default() })
    }
}

/// `GET /sse`: opens a stream, whose first event says where its messages go.
pub(super) async fn listen<S: ServerHandler + Clone>(
    State(legacy): State<Arc<Legacy<S>>>,
    request: Request,
) -> Response {
    let Some(standing) = request.extensions().get::<Standing>().cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let place = match legacy.streams.place(standing.caller()) {
        Ok(place) => place,
        Err(refusal) => return *refusal,
    };
    let Some(reader) = request.extensions().get::<Reader>().cloned() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let (transport, open, mut answers) = channel::open(standing.caller(), reader);
    let closed = open.closed();
    // Dropped with the body, whoever ends it: then the stream is unknown and its calls are cancelled.
    let listed = legacy.open.add(Arc::clone(&open));
    let (server, ended) = (legacy.server.clone(), closed.clone());
    tokio::spawn(async move {
        // What a client sends instead of introducing itself is in the error, so that is not told.
        if let Ok(running) = serve_server_with_ct(server, transport, ended.clone()).await {
            let _ = running.waiting().await;
        }
        ended.cancel();
    });
    tokio::spawn(watch(Arc::clone(&legacy.face), standing, Arc::clone(&open)));
    let endpoint = Event::default().event("endpoint").data(format!(
        "{}/messages?sessionId={}",
        legacy.face.options.prefix(),
        open.id()
    ));
    let messages = stream::poll_fn(move |cx| answers.poll_recv(cx)).map(move |message| {
        let _ = &listed;
        let Outgoing { answers, text, room } = message;
        if let Some(id) = answers {
            open.answered(&id);
        }
        // From here on it counts as what the connection writes.
        drop(room);
        match text {
            Some(text) => Event::default().event("message").data(text),
            None => Event::default().comment("a message was left out"),
        }
    });
    let events = stream::once(async { endpoint }).chain(messages).take_until(closed.cancelled_owned());
    let keep_alive = KeepAlive::new().interval(legacy.face.options.keep_alive);
    let mut response = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(keep_alive).into_response();
    // A proxy that gathers what comes would keep the client waiting.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    streams::placed(response, place)
}

/// Ends a stream whose credential is not good any more, and, while the server comes to its end, one that owes nothing.
async fn watch(face: Arc<Face>, standing: Standing, open: Arc<Open>) {
    let closed = open.closed();
    while closed.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
        if !standing.holds(&face).await || (face.calls.readiness().closing && open.owes_nothing()) {
            closed.cancel();
        }
    }
}

/// Which stream a message is for.
#[derive(Deserialize)]
pub(super) struct Address {
    #[serde(rename = "sessionId")]
    stream: Uuid,
}

/// `POST /messages`: hands a message to its stream, where the answer will come.
pub(super) async fn post<S: ServerHandler + Clone>(
    State(legacy): State<Arc<Legacy<S>>>,
    address: Result<Query<Address>, QueryRejection>,
    request: Request,
) -> Response {
    let unknown = || (StatusCode::NOT_FOUND, "there is no such stream: open one at /sse").into_response();
    let (Ok(Query(address)), Some(standing)) = (address, request.extensions().get::<Standing>()) else {
        return unknown();
    };
    // Somebody else's stream is none.
    let Some(open) = legacy.open.find(address.stream, standing.caller()) else { return unknown() };
    if !is_json(request.headers()) {
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "messages are application/json").into_response();
    }
    let (mut parts, body) = request.into_parts();
    parts.extensions.remove::<Standing>();
    // It was taken whole before, within its bounds.
    let body: Bytes = axum::body::to_bytes(body, legacy.face.options.largest_body_bytes).await.unwrap_or_default();
    if let Some(refusal) = mcp::refusal(&body) {
        return refusal;
    }
    let Ok(message) = serde_json::from_slice::<ClientJsonRpcMessage>(&body) else {
        return (StatusCode::BAD_REQUEST, "the body is no message of MCP's JSON-RPC").into_response();
    };
    match open.take(message, parts, body.len()) {
        Ok(()) => (StatusCode::ACCEPTED, "Accepted").into_response(),
        Err(Refused::IdInUse) => (StatusCode::BAD_REQUEST, "a request with this id is under way").into_response(),
        Err(Refused::Behind) => {
            let text = "this stream has as many messages under way as one may have";
            later(StatusCode::TOO_MANY_REQUESTS, "stream_behind", Duration::from_secs(1), text)
        }
        Err(Refused::Closed) => unknown(),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}
