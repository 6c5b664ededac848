use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_util::future::poll_fn;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::ahead::Ahead;
use super::connections::Busy;
use super::guarded::Guard;
use super::patience::{Patience, Watch};
use super::rooms::Room;
use super::socket::Socket;
use super::unread::FREE_BYTES;

/// What a connection was asked and answered, as far as its two ends must know it of each other: hyper, and the stream below it.
///
/// hyper works on the next of several requests that were sent at once as soon as it has the last one's answer whole, were it only
/// in its own memory. Whoever asks on and on and reads nothing would be worked for all the while.
#[derive(Clone, Default)]
pub(super) struct Flow(Arc<Answers>);

#[derive(Default)]
struct Answers {
    /// A head has come whole, and what it asked is not answered to the end.
    is_busy: AtomicBool,
    /// An answer is whole, and has not gone.
    are_owed: AtomicBool,
    waiting: AtomicWaker,
    ahead: Mutex<Ahead>,
    /// What of an answer waits to be read, and the connection's place meanwhile.
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    unread: Option<Room>,
    busy: Option<Busy>,
}

/// An answer on its way: once it is whole it is owed until it has gone.
pub(super) struct Answer(Flow);

impl Flow {
    /// Notes that a head has come whole, of a request whose body has so many bytes.
    pub(super) fn begin(&self, body_bytes: Option<u64>) {
        self.ahead().begin(body_bytes);
        self.go_on();
    }

    /// Notes that a request is worked on that had to wait.
    pub(super) fn go_on(&self) {
        self.0.is_busy.store(true, Ordering::Release);
    }

    /// Waits until nothing is owed.
    pub(super) async fn quit(&self) {
        poll_fn(|cx| {
            self.0.waiting.register(cx.waker());
            if self.0.are_owed.load(Ordering::Acquire) { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
    }

    /// An answer, whose bytes count as its reader's until they have gone, if it is known who that is. So long is its connection busy.
    pub(super) fn answer(&self, unread: Option<Room>, busy: Busy) -> Answer {
        *self.under_way() = UnderWay { unread, busy: Some(busy) };
        Answer(self.clone())
    }

    fn is_busy(&self) -> bool {
        self.0.is_busy.load(Ordering::Acquire)
    }

    /// All that was written has gone to the system; whether that ended an answer.
    fn gone(&self) -> bool {
        if let Some(unread) = self.under_way().unread.as_mut() {
            unread.empty();
        }
        let has_ended = self.0.are_owed.swap(false, Ordering::AcqRel);
        if has_ended {
            // Idle only now: whoever still read an answer would be cut in the middle of it.
            self.under_way().busy = None;
            self.0.is_busy.store(false, Ordering::Release);
            self.0.waiting.wake();
        }
        has_ended
    }

    fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guard for Answer {
    fn pass(&mut self, bytes: usize) -> bool {
        self.0.under_way().unread.as_mut().is_none_or(|unread| unread.hold(bytes, FREE_BYTES))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.0.0.are_owed.store(true, Ordering::Release);
    }
}

/// Bytes a second that a client takes at the least once its answers pile up.
const LEAST_RATE: u64 = 1_024;
/// How often it is looked whether a client has gone that hyper does not listen to.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A stream that tells when what was written to it has gone: hyper flushes it once it has nothing left to write. Who takes it byte by
/// byte is cut: what has piled up is to be gone within a limit, and a second for each [`LEAST_RATE`] bytes of it. So is who asks
/// byte by byte, or nothing for too long ([`Watch`]).
pub(super) struct Flowing<S> {
    stream: S,
    flow: Flow,
    limit: Duration,
    pile: Option<Pile>,
    watch: Watch,
    /// Whether hyper waits for what the client says: then it hears that it has gone.
    is_heard: bool,
    look: Option<Pin<Box<Sleep>>>,
}

/// Since when something waits to be written, and what went of it.
struct Pile {
    since: Instant,
    gone_bytes: u64,
}

impl<S> Flowing<S> {
    pub(super) fn new(stream: S, flow: Flow, patience: Patience) -> Self {
        Self {
            stream,
            flow,
            limit: patience.write,
            pile: None,
            watch: Watch::new(patience),
            is_heard: false,
            look: None,
        }
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

impl<S: Socket> Flowing<S> {
    /// Whether the client has gone while hyper works for it and listens to nothing, as it does once something waits behind the
    /// request: nobody reads the answer, and the call is to be taken back.
    fn has_gone(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_heard || !self.flow.is_busy() {
            self.look = None;
            return false;
        }
        if self.stream.is_read_closed() {
            return true;
        }
        let look = self.look.get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK_EVERY)));
        while look.as_mut().poll(cx).is_ready() {
            look.as_mut().reset(tokio::time::Instant::now() + LOOK_EVERY);
        }
        false
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Flowing<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, flow, watch, is_heard, .. } = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(stream).poll_read(cx, buffer);
        *is_heard = read.is_pending();
        flow.ahead().heard(&buffer.filled()[before..]);
        if flow.is_busy() {
            watch.rest();
            return read;
        }
        match read {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => watch.heard(cx),
            Poll::Pending => watch.waits(cx),
            ended => ended,
        }
    }
}

impl<S: AsyncWrite + Socket + Unpin> AsyncWrite for Flowing<S> {
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
        if self.flow.gone() {
            // hyper may have asked for the next head already, while this answer was on its way: nobody would wake it. And it may have a
            // part of that head, which came with this request.
            let has_begun = self.flow.ahead().has_begun();
            self.watch.begin(cx, has_begun);
        }
        // hyper flushes each time it is woken.
        if self.has_gone(cx) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the client has gone")));
        }
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
    use crate::http::HttpOptions;

    impl Socket for tokio::io::DuplexStream {
        fn is_read_closed(&self) -> bool {
            false
        }
    }

    /// Writes to somebody who takes so many bytes each 5 ms.
    async fn written(at_once: usize) -> io::Result<()> {
        let (ours, mut theirs) = tokio::io::duplex(256);
        let reading = tokio::spawn(async move {
            let mut piece = vec![0; at_once];
            while theirs.read(&mut piece).await.is_ok_and(|length| length > 0) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let patience = Patience { write: Duration::from_millis(300), ..Patience::of(&HttpOptions::default(), false) };
        let mut flowing = Flowing::new(ours, Flow::default(), patience);
        let written = tokio::time::timeout(Duration::from_secs(20), flowing.write_all(&[0; 100_000])).await;
        reading.abort();
        written.expect("it ends, one way or the other")
    }

    /// hyper waits as well where it writes several pieces at once, and only there.
    #[tokio::test]
    async fn nobody_goes_on_before_an_answer_that_is_owed_has_gone() {
        let flow = Flow::default();
        flow.quit().await;
        drop(Answer(flow.clone()));
        let quit = flow.quit();
        let mut quit = std::pin::pin!(quit);
        assert!(futures_util::poll!(quit.as_mut()).is_pending(), "it is whole, and has not gone");
        assert!(flow.gone());
        tokio::time::timeout(Duration::from_secs(20), quit).await.expect("whoever waits is woken");
        assert!(!flow.gone(), "it has gone once");
    }

    #[tokio::test]
    async fn who_takes_an_answer_byte_by_byte_is_cut_and_who_reads_slowly_is_not() {
        assert_eq!(written(1).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        written(256).await.unwrap();
    }
}
