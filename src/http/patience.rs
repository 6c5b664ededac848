use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::HttpOptions;

/// How long a connection is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For a head, from its first byte to its last; and for the first byte of all.
    pub head: Duration,
    /// For the next request, between two.
    pub idle: Duration,
    /// For a reader who takes nothing.
    pub write: Duration,
}

impl Patience {
    /// As the options say; where connections are many, those that ask nothing have a quarter of it.
    pub(super) fn of(options: &HttpOptions, is_crowded: bool) -> Self {
        let share = if is_crowded { 4 } else { 1 };
        Self { head: options.header_limit / share, idle: options.idle_limit / share, write: options.write_limit }
    }
}

/// The time that a client takes for its requests' heads.
///
/// hyper has one limit for both, and counts a head from the end of the request before it. Clients that keep a connection for later
/// may be silent for a minute, and no head may take that long.
pub(super) struct Watch {
    patience: Patience,
    stage: Stage,
    /// Made once it is needed, and then kept.
    late: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was asked yet, nor waited for.
    Fresh,
    /// A request is worked on.
    Resting,
    /// Nothing has come of a head.
    Silent,
    /// Something has, and not all.
    Begun,
}

impl Watch {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, stage: Stage::Fresh, late: None }
    }

    /// A request is worked on: its client need not say anything.
    pub(super) fn rest(&mut self) {
        self.stage = Stage::Resting;
    }

    /// Waits for the next request from now on, or for the rest of its head.
    pub(super) fn begin(&mut self, cx: &mut Context<'_>, has_begun: bool) {
        self.rest();
        // Whether it is late is asked when it is read from.
        let _ = if has_begun { self.heard(cx) } else { self.waits(cx) };
    }

    /// Something of a head has come.
    pub(super) fn heard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.stage != Stage::Begun {
            self.stage = Stage::Begun;
            self.limit(self.patience.head);
        }
        match self.late(cx) {
            Poll::Ready(late) => Poll::Ready(Err(late)),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    /// Nothing of a head has come.
    pub(super) fn waits(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stage {
            Stage::Fresh => self.limit(self.patience.head),
            Stage::Resting => self.limit(self.patience.idle),
            Stage::Silent | Stage::Begun => {}
        }
        if self.stage != Stage::Begun {
            self.stage = Stage::Silent;
        }
        Poll::Ready(Err(ready!(self.late(cx))))
    }

    fn limit(&mut self, limit: Duration) {
        match &mut self.late {
            Some(late) => late.as_mut().reset(Instant::now() + limit),
            None => self.late = Some(Box::pin(tokio::time::sleep(limit))),
        }
    }

    /// Whether its time is over, and why; else the connection's task is woken when it is.
    fn late(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(late) = &mut self.late else { return Poll::Pending };
        ready!(late.as_mut().poll(cx));
        let what = if self.stage == Stage::Begun { "its head does not come" } else { "it asks nothing" };
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, what))
    }
}
