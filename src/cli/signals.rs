use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

/// The signals that ask the program to end.
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

/// One that came.
pub(super) struct Signal {
    /// As `kill -l` names it.
    pub name: &'static str,
    number: u8,
}

impl Signal {
    /// What a shell reports of a process that a signal ended: 128 and its number.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(128 + self.number)
    }
}

impl Signals {
    /// From now on they do not end the program by themselves.
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal { name: "TERM", number: 15 },
            _ = self.interrupt.recv() => Signal { name: "INT", number: 2 },
            _ = self.hangup.recv() => Signal { name: "HUP", number: 1 },
        }
    }
}
