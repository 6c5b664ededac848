use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures_util::future::poll_fn;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Whether all that a connection was answered has gone to the system.
///
/// hyper works on the next of several requests that were sent at once as soon as it has the last one's answer whole, were it only
/// in its own memory. Whoever asks on and on and reads nothing would be worked for all the while.
#[derive(Clone, Default)]
pub(super) struct Flow(Arc<Answers>);

#[derive(Default)]
struct Answers {
    are_owed: AtomicBool,
    waiting: AtomicWaker,
}

/// An answer on its way: once it is whole it is owed until it has gone.
pub(super) struct Answer(Flow);

impl Flow {
    /// Waits until nothing is owed.
    pub(super) async fn quit(&self) {
        poll_fn(|cx| {
            self.0.waiting.register(cx.waker());
            if self.0.are_owed.load(Ordering::Acquire) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    pub(super) fn answer(&self) -> Answer {
        Answer(self.clone())
    }

    fn gone(&self) {
        if self.0.are_owed.swap(false, Ordering::AcqRel) {
            self.0.waiting.wake();
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.0.are_owed.store(true, Ordering::Release);
    }
}

/// A stream that tells when what was written to it has gone: hyper flushes it once it has nothing left to write.
pub(super) struct Flowing<S> {
    stream: S,
    flow: Flow,
}

impl<S> Flowing<S> {
    pub(super) fn new(stream: S, flow: Flow) -> Self {
        Self { stream, flow }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Flowing<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Flowing<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.flow.gone();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
