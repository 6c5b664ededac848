use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::poll_fn;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use tokio::sync::mpsc::{self, Receiver};
use tokio_util::sync::PollSender;

use super::open::Open;
use crate::identity::Caller;

/// Messages that wait on their way, in either direction.
const CAPACITY: usize = 32;

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

/// A stream's three ends: what rmcp serves, where messages go in, and where answers come out.
pub(super) fn open(
    caller: &Caller,
) -> (
    (PollSender<ServerJsonRpcMessage>, impl Stream<Item = ClientJsonRpcMessage> + Send + Unpin + use<>),
    Arc<Open>,
    Receiver<ServerJsonRpcMessage>,
) {
    let (messages, mut taken) = mpsc::channel(CAPACITY);
    let (answers, answered) = mpsc::channel(CAPACITY);
    let incoming = poll_fn(move |cx| taken.poll_recv(cx));
    ((PollSender::new(answers), incoming), Arc::new(Open::new(caller, messages)), answered)
}
