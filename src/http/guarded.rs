use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};

/// What a body holds.
pub(super) trait Guard: Unpin {
    /// So many bytes of the body go on their way; whether they may.
    fn pass(&mut self, _bytes: usize) -> bool {
        true
    }
}

/// A body that holds something until it has ended or its reader has gone.
pub(super) struct Guarded<G> {
    body: Body,
    guard: G,
}

impl<G> Guarded<G> {
    pub(super) fn new(body: Body, guard: G) -> Self {
        Self { body, guard }
    }
}

impl<G: Guard> http_body::Body for Guarded<G> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let bytes = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        if bytes > 0 && !self.guard.pass(bytes) {
            return Poll::Ready(Some(Err(axum::Error::new("answers to this user wait to be read"))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
