//! Locks between processes, all flock(2): the kernel releases them however a process ends.
//!
//! - **start**: exclusive; held while the server is prepared, started or stopped.
//! - **lease**: shared by every participant for as long as it needs the server; taken exclusively, and
//!   never waited for, by whoever wants to stop it.
//! - **keeper**: exclusive; held by the one keeper for its life.
//! - **model**: exclusive; held while the embedding model is fetched and unpacked, with no other.
//!
//! Order: a participant holds its lease and may then wait for *start*; a stopper takes *start* and may then
//! only try *lease*. So neither waits for the other, and a server is never stopped under a participant: it
//! holds its lease before it looks whether there is a server.

use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
    time::{Duration, Instant},
};

use super::error::{EmbeddedError, IoContext};

/// How often a held lock is tried again. flock has no time-out, and a waiting call would hold a thread.
const RETRY: Duration = Duration::from_millis(15);

/// Whether a lock is shared with others of its kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Shared,
    Exclusive,
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Takes the lock unless somebody's lock forbids it.
    pub(super) fn try_take(path: &Path, mode: Mode) -> Result<Option<Self>, EmbeddedError> {
        let file = open(path)?;
        let taken = match mode {
            Mode::Shared => file.try_lock_shared(),
            Mode::Exclusive => file.try_lock(),
        };
        match taken {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).doing("lock", path),
        }
    }

    /// Tries until `patience` is over.
    pub(super) async fn take(path: &Path, mode: Mode, patience: Duration) -> Result<Option<Self>, EmbeddedError> {
        let begun = Instant::now();
        loop {
            if let Some(lock) = Self::try_take(path, mode)? {
                return Ok(Some(lock));
            }
            if begun.elapsed() >= patience {
                return Ok(None);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Blocks the thread until nobody holds the lock in either mode, without using any CPU meanwhile.
    pub(super) fn wait_until_free(path: &Path) -> Result<(), EmbeddedError> {
        let file = open(path)?;
        file.lock().doing("lock", path)?;
        drop(Self(file));
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would leave the lock to a child that has forked and not yet executed its program.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "cannot release a lock");
        }
    }
}

fn open(path: &Path) -> Result<File, EmbeddedError> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).doing("open", path)
}
