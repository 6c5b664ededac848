//! What goes on between calls: rows that waited are sent, calls of dead servers are closed.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::metering;
use super::recorder::Recorder;
use crate::db::System;

/// Between two tries to send what waits.
const REPLAY_EVERY: Duration = Duration::from_secs(1);
/// Between two tries after many in vain.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Between two looks for calls whose server is gone: with the time that a call may take, well under a minute.
const REAP_EVERY: Duration = Duration::from_secs(10);

/// Runs until it is dropped.
pub(super) struct Upkeep(JoinHandle<()>);

impl Upkeep {
    pub(super) fn start(recorder: Recorder, system: System) -> Self {
        Self(tokio::spawn(async move {
            tokio::join!(replay(recorder), reap(system));
        }))
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn replay(recorder: Recorder) {
    let mut pause = REPLAY_EVERY;
    loop {
        recorder.replay().await;
        let (spooled_bytes, can_record) = (recorder.spooled_bytes(), recorder.can_record());
        metering::trail(spooled_bytes, can_record);
        let waits = spooled_bytes > 0 || !can_record;
        pause = if waits { (pause * 2).min(LONGEST_PAUSE) } else { REPLAY_EVERY };
        tokio::time::sleep(pause).await;
    }
}

async fn reap(system: System) {
    loop {
        match system.reap_calls().await {
            Ok(0) => {}
            Ok(calls) => {
                metering::reaped(calls);
                tracing::warn!(calls, "calls whose server was gone were closed as interrupted");
            }
            Err(error) => tracing::warn!(%error, "open calls could not be looked after"),
        }
        tokio::time::sleep(REAP_EVERY).await;
    }
}
