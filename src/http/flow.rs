use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

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

/// Bytes a second that a client takes at the least once its answers pile up.
const LEAST_RATE: u64 = 1_024;

/// A stream that tells when what was written to it has gone: hyper flushes it once it has nothing left to write. Who takes it byte by
/// byte is cut: what has piled up is to be gone within a limit, and a second for each [`LEAST_RATE`] bytes of it.
pub(super) struct Flowing<S> {
    stream: S,
    flow: Flow,
    limit: Duration,
    pile: Option<Pile>,
}

/// Since when something waits to be written, and what went of it.
struct Pile {
    since: Instant,
    gone_bytes: u64,
}

impl<S> Flowing<S> {
    pub(super) fn new(stream: S, flow: Flow, limit: Duration) -> Self {
        Self { stream, flow, limit, pile: None }
    }

    fn judge(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match (&written, &mut self.pile) {
            (Poll::Pending, None) => self.pile = Some(Pile { since: Instant::now(), gone_bytes: 0 }),
            (Poll::Ready(Ok(bytes)), Some(pile)) => {
                pile.gone_bytes += *bytes as u64;
                if pile.since.elapsed() > self.limit + Duration::from_millis(pile.gone_bytes * 1_000 / LEAST_RATE) {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "answers are read too slowly")));
                }
            }
            _ => {}
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Flowing<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Flowing<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.judge(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.pile = None;
        self.flow.gone();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Writes to somebody who takes so many bytes each 5 ms.
    async fn written(at_once: usize) -> io::Result<()> {
        let (ours, mut theirs) = tokio::io::duplex(256);
        let reading = tokio::spawn(async move {
            let mut piece = vec![0; at_once];
            while theirs.read(&mut piece).await.is_ok_and(|length| length > 0) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let mut flowing = Flowing::new(ours, Flow::default(), Duration::from_millis(300));
        let written = tokio::time::timeout(Duration::from_secs(20), flowing.write_all(&[0; 100_000])).await;
        reading.abort();
        written.expect("it ends, one way or the other")
    }

    #[tokio::test]
    async fn who_takes_an_answer_byte_by_byte_is_cut_and_who_reads_slowly_is_not() {
        assert_eq!(written(1).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        written(256).await.unwrap();
    }
}
