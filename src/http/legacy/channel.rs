use std::future::ready;
use std::io;
use std::sync::Arc;

use futures_util::stream::poll_fn;
use futures_util::{Sink, SinkExt, Stream};
use rmcp::model::{ClientJsonRpcMessage, ErrorData, RequestId, ServerJsonRpcMessage};
use tokio::sync::mpsc::{self, Receiver};
use tokio_util::sync::PollSender;

use super::super::rooms::Room;
use super::super::unread::Reader;
use super::open::{MOST_OWED, Open};
use crate::identity::Caller;

/// Messages that wait on their way in.
const CAPACITY: usize = 32;
/// And out: all answers that may be owed, so that none waits where nobody counts it, and as much that is told on the way.
const ANSWERS: usize = 2 * MOST_OWED;
/// What of each message that waits is given whatever else does. A user may have many streams, and each of them many messages.
const FREE_BYTES: usize = 4 << 10;

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Of two requests of one id nobody could tell whose an answer is.
    IdInUse,
    /// The client sends more than it reads.
    Behind,
    /// The stream is at its end.
    Closed,
}

/// A message on its way to the client, written already: what it takes is known so, and counts as its reader's.
pub(super) struct Outgoing {
    /// The request that it answers.
    pub answers: Option<RequestId>,
    /// `None` of what told on the way finds no room.
    pub text: Option<String>,
    pub room: Room,
}

impl Outgoing {
    fn of(message: &ServerJsonRpcMessage, reader: &Reader) -> Self {
        let answers = match message {
            ServerJsonRpcMessage::Response(response) => Some(response.id.clone()),
            ServerJsonRpcMessage::Error(error) => error.id.clone(),
            ServerJsonRpcMessage::Request(_) | ServerJsonRpcMessage::Notification(_) => None,
        };
        let mut room = reader.room();
        let text = serde_json::to_string(message).map_err(|error| {
            tracing::error!(%error, "an answer could not be written as JSON");
            "internal: the answer could not be written"
        });
        let text = text.and_then(|text| match room.hold(text.len(), FREE_BYTES) {
            true => Ok(text),
            false => Err("what was asked is done, but other answers to this user wait to be read, as much as may: read them first"),
        });
        let text = text.map_or_else(|why| told(why, answers.clone()?), Some);
        Self { answers, text, room }
    }
}

/// The answer to a request that has no other.
fn told(why: &'static str, id: RequestId) -> Option<String> {
    serde_json::to_string(&ServerJsonRpcMessage::error(ErrorData::internal_error(why, None), Some(id))).ok()
}

/// A stream's three ends: what rmcp serves, where messages go in, and where answers come out.
pub(super) fn open(
    caller: &Caller,
    reader: Reader,
) -> (
    (
        impl Sink<ServerJsonRpcMessage, Error = io::Error> + Send + Unpin + use<>,
        impl Stream<Item = ClientJsonRpcMessage> + Send + Unpin + use<>,
    ),
    Arc<Open>,
    Receiver<Outgoing>,
) {
    let (messages, mut taken) = mpsc::channel(CAPACITY);
    let (answers, answered) = mpsc::channel(ANSWERS);
    let incoming = poll_fn(move |cx| taken.poll_recv(cx));
    let answers = PollSender::new(answers).sink_map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe));
    let outgoing = answers.with(move |message: ServerJsonRpcMessage| ready(Ok(Outgoing::of(&message, &reader))));
    ((outgoing, incoming), Arc::new(Open::new(caller, messages)), answered)
}
