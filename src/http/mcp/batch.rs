//! Batches: several messages in one body. Of all revisions 2025-03-26 alone has them, and a server of it must take them in; clients of
//! that revision name none in a header.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rmcp::ServerHandler;
use serde_json::Value;

use super::super::limits::{TooMany, later};
use super::super::rooms::Room;
use super::super::streams;
use super::super::unread::Reader;
use super::form::Form;
use super::message::{self, Invalid};
use super::pieces::split;
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

/// A message of a batch.
struct Message {
    body: Bytes,
    judged: Result<(), Invalid>,
    /// Null where it is nested too deeply.
    value: Value,
}

impl Message {
    /// Judged as it came: parsed, it would have lost a name that is given twice.
    fn of(body: Bytes) -> Self {
        Self { judged: message::judge(&body), value: serde_json::from_slice(&body).unwrap_or_default(), body }
    }

    /// Whether it asks for an answer: notifications do not, and to answers of the client nothing is to be said.
    fn is_answered(&self) -> bool {
        let value = &self.value;
        let is_answer =
            value.get("method").is_none() && (value.get("result").is_some() || value.get("error").is_some());
        !is_answer && (self.judged.is_err() || value.get("id").is_some() || value["method"].as_str().is_none())
    }

    /// What is told on the way has no place in an array.
    fn without_progress(mut self) -> Self {
        let meta = self.value.pointer_mut("/params/_meta").and_then(Value::as_object_mut);
        if self.judged.is_ok() && meta.is_some_and(|meta| meta.remove("progressToken").is_some()) {
            self.body = self.value.to_string().into();
        }
        self
    }

    /// That it was not begun, since answers before it are as much as may wait to be read.
    fn put_off(&self) -> Invalid {
        let why =
            "not begun: answers to this user wait to be read, as much as one user's may: read them, and ask again";
        Invalid::unread(message::id(&self.body), why)
    }
}

impl<S: ServerHandler + Clone> Mcp<S> {
    /// Answers each message as if it had come alone: each call has its admission, its row and its refusal.
    pub(super) async fn batch(&self, mut parts: Parts, body: &Bytes, form: Form, caller: &Caller) -> Response {
        let messages = match messages(&parts.headers, body) {
            Ok(messages) => messages,
            Err(invalid) => return refused(&invalid),
        };
        match self.limits.refuses_batch(caller, messages.len() as u32) {
            Some(TooMany::Ever(most)) => {
                let why = format!("a batch has at most {most} messages here, as many as one user may send at once");
                return refused(&Invalid::request(Value::Null, why));
            }
            Some(TooMany::Now(wait)) => {
                return later(StatusCode::TOO_MANY_REQUESTS, "principal", wait, "too many requests of this user");
            }
            None => {}
        }
        // Of many calls one that is denied makes no status.
        parts.extensions.remove::<DeniedScope>();
        parts.headers.remove(CONTENT_LENGTH);
        let asked: Vec<Message> = messages.into_iter().filter(Message::is_answered).collect();
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

    async fn array(&self, parts: Parts, asked: Vec<Message>) -> Response {
        let reader = parts.extensions.get::<Reader>().cloned();
        // Nothing more is begun once an answer found no room.
        let is_over = AtomicBool::new(false);
        let is_over = &is_over;
        let answers = stream::iter(asked).map(|message| {
            let (parts, reader) = (parts.clone(), reader.clone());
            async move {
                if is_over.load(Ordering::Relaxed) || reader.as_ref().is_some_and(Reader::is_full) {
                    return (bytes(&message.put_off()), None);
                }
                let message = message.without_progress();
                let answer = match &message.judged {
                    Ok(()) => {
                        let answered = self.json.handle(request(parts, &message.body)).await.map(Body::new);
                        read(told(answered, &message.body), &message).await
                    }
                    Err(invalid) => bytes(invalid),
                };
                let counted = counted(answer, &message, reader.as_ref());
                is_over.fetch_or(reader.is_some() && counted.1.is_none(), Ordering::Relaxed);
                counted
            }
        });
        // Each answer counts as its reader's while it waits for the last one.
        let answers: Vec<(Bytes, Option<Room>)> = answers.buffered(AT_ONCE).collect().await;
        let mut array = Vec::with_capacity(answers.iter().map(|(answer, _)| answer.len() + 1).sum::<usize>() + 1);
        for (answer, _) in &answers {
            array.push(if array.is_empty() { b'[' } else { b',' });
            array.extend_from_slice(answer);
        }
        array.push(b']');
        ([(CONTENT_TYPE, "application/json")], array).into_response()
    }

    /// The streams of all messages as one, which ends with the last of them.
    fn events(self, parts: Parts, asked: Vec<Message>) -> Response {
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
    async fn stream(self, parts: Parts, message: Message) -> impl Stream<Item = Bytes> + Send {
        let is_full = parts.extensions.get::<Reader>().is_some_and(Reader::is_full);
        let answer = match &message.judged {
            Ok(()) if is_full => bytes(&message.put_off()),
            Ok(()) => {
                let answered = self.events.handle(request(parts, &message.body)).await.map(Body::new);
                let response = told(answered, &message.body);
                if is_stream(&response) {
                    let pieces = response.into_body().into_data_stream().filter_map(async |piece| piece.ok());
                    return pieces.left_stream();
                }
                read(response, &message).await
            }
            Err(invalid) => bytes(invalid),
        };
        stream::iter([Bytes::from([b"data: ", answer.as_ref(), b"\n\n"].concat())]).right_stream()
    }
}

fn messages(headers: &HeaderMap, body: &Bytes) -> Result<Vec<Message>, Invalid> {
    let refusal = |why: &str| Invalid::request(Value::Null, why);
    if !is_taken(headers) {
        return Err(refusal(
            "a batch is not taken, but of clients of 2025-03-26: send each message as a request of its own",
        ));
    }
    let pieces = split(body).map_err(|error| Invalid::parse(&error))?;
    if pieces.is_empty() || pieces.len() > MOST_MESSAGES {
        return Err(refusal(&format!("a batch has 1 to {MOST_MESSAGES} messages")));
    }
    let messages: Vec<Message> = pieces.into_iter().map(Message::of).collect();
    if messages.iter().any(|message| message.value["method"] == "initialize") {
        return Err(refusal("an introduction comes alone, and not in a batch"));
    }
    let is_of_another = |message: &Message| {
        let meta = message.value.pointer("/params/_meta");
        meta.and_then(|meta| meta.get("io.modelcontextprotocol/protocolVersion")).is_some_and(|named| named != REVISION)
    };
    if messages.iter().any(is_of_another) {
        return Err(refusal("a batch is of 2025-03-26, and one of its messages of another revision"));
    }
    let mut ids = HashSet::new();
    let mut asked = messages.iter().filter(|message| message.is_answered()).map(|message| message::id(&message.body));
    if asked.any(|id| !id.is_null() && !ids.insert(id.to_string())) {
        return Err(refusal("a batch has each id once"));
    }
    Ok(messages)
}

fn request(parts: Parts, body: &Bytes) -> Request {
    Request::from_parts(parts, Body::from(body.clone()))
}

fn bytes(invalid: &Invalid) -> Bytes {
    Bytes::from(invalid.to_json().to_string())
}

/// The message that an answer is; what is none is made one, with the id of what was asked.
async fn read(response: Response, asked: &Message) -> Bytes {
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    if message::judge(&body).is_ok() {
        return body;
    }
    bytes(&Invalid::request(message::id(&asked.body), String::from_utf8_lossy(&body).into_owned()))
}

/// An answer with its room, or, where it finds none, that there was one.
fn counted(answer: Bytes, asked: &Message, reader: Option<&Reader>) -> (Bytes, Option<Room>) {
    let Some(mut room) = reader.map(Reader::room) else { return (answer, None) };
    if room.hold(answer.len(), 0) {
        return (answer, Some(room));
    }
    let why = "done, but its answer finds no room beside others to this user that wait to be read";
    (bytes(&Invalid::unread(message::id(&asked.body), why)), None)
}
