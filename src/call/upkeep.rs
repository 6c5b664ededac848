//! What goes on between calls: rows that waited are sent, calls of dead servers are closed, and the database's archiving and upkeep are
//! looked at.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::metering;
use super::recorder::Recorder;
use crate::db::{Backlog, DbError, System};

/// Between two tries to send what waits.
const REPLAY_EVERY: Duration = Duration::from_secs(1);
/// Between two tries after many in vain.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Between two looks for calls whose server is gone: with the time that a call may take, well under a minute.
const REAP_EVERY: Duration = Duration::from_secs(10);

/// Between two looks whether the database archives its log.
const ARCHIVE_EVERY: Duration = Duration::from_secs(15);

/// Between two looks at what waits for seals, merging and months.
const BACKLOG_EVERY: Duration = Duration::from_secs(10);

/// Runs until it is dropped.
pub(super) struct Upkeep(JoinHandle<()>);

impl Upkeep {
    pub(super) fn start(recorder: Recorder, system: System) -> Self {
        Self(tokio::spawn(async move {
            tokio::join!(replay(recorder), reap(system.clone()), watch_archive(system.clone()), watch_backlog(system));
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

/// By every server, for many have no administrator's connection. The alarm is the figure's: a line each time would be many.
async fn watch_archive(system: System) {
    let mut was_failing = false;
    loop {
        match system.wal_archive().await {
            Ok(archive) => {
                metering::wal_archive(archive);
                if archive.is_failing && !was_failing {
                    tracing::error!(
                        unarchived_bytes = archive.unarchived_bytes,
                        "the database cannot archive its write-ahead log: `bailiwick doctor --pitr` tells more"
                    );
                }
                was_failing = archive.is_failing;
            }
            Err(error) => tracing::debug!(%error, "it is not known how the database archives"),
        }
        tokio::time::sleep(ARCHIVE_EVERY).await;
    }
}

/// By every server too: where a timer runs `bailiwick maintain`, nobody else would tell that it died. What cannot be seen is not a number,
/// lest the last one that was good stand for ever.
async fn watch_backlog(system: System) {
    let mut database = None;
    loop {
        match look(&system, &mut database).await {
            Ok((database, backlog)) => metering::backlog(database, backlog),
            Err(error) => {
                if let Some(database) = &database {
                    metering::backlog_unseen(database);
                }
                tracing::debug!(%error, "it is not known what waits for upkeep");
            }
        }
        tokio::time::sleep(BACKLOG_EVERY).await;
    }
}

async fn look<'a>(system: &System, database: &'a mut Option<String>) -> Result<(&'a str, Backlog), DbError> {
    if database.is_none() {
        let identity = system.identity().await?;
        *database = Some(format!("{}@{}", identity.database, identity.system_identifier));
    }
    let backlog = system.upkeep_backlog().await?;
    Ok((database.as_deref().unwrap_or_default(), backlog))
}
