//! A participant's hold on the server.

use std::time::{Duration, Instant};

use super::{
    busy,
    error::EmbeddedError,
    layout::Layout,
    locks::{Lock, Mode},
    server,
};

/// How long a server may take to stop, before whoever wants it back gives up.
const STOPPING: Duration = Duration::from_secs(180);
/// How long the last one out waits for another that is looking whether it is the last.
const LAST_OUT: Duration = Duration::from_secs(5);

/// While any process holds one, nobody stops the server.
#[derive(Debug)]
pub(super) struct Lease {
    lock: Option<Lock>,
    layout: Layout,
    /// There is no keeper: whoever is the last stops the server.
    stop_when_last: bool,
}

impl Lease {
    /// Takes a lease; waits while a server is being stopped.
    pub(super) async fn take(layout: &Layout) -> Result<Self, EmbeddedError> {
        let lock = Lock::take(&layout.lease_lock(), Mode::Shared, STOPPING).await?;
        let lock = lock.ok_or_else(|| busy("stopping PostgreSQL", layout, STOPPING))?;
        Ok(Self { lock: Some(lock), layout: layout.clone(), stop_when_last: false })
    }

    /// Has this participant stop the server if it is the last to leave.
    pub(super) fn stop_when_last(&mut self) {
        self.stop_when_last = true;
    }

    fn stop_if_last(&self) -> Result<(), EmbeddedError> {
        let begun = Instant::now();
        while begun.elapsed() < LAST_OUT {
            // Looked at first, and let go: while somebody else is there, we need not wait for *start*.
            if Lock::try_take(&self.layout.lease_lock(), Mode::Exclusive)?.is_none() {
                return Ok(());
            }
            if let Some(_start) = Lock::try_take(&self.layout.start_lock(), Mode::Exclusive)? {
                let Some(_lease) = Lock::try_take(&self.layout.lease_lock(), Mode::Exclusive)? else { return Ok(()) };
                return server::stop(&self.layout);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.lock.take());
        if self.stop_when_last
            && let Err(error) = self.stop_if_last()
        {
            tracing::warn!(%error, "cannot stop the embedded PostgreSQL");
        }
    }
}
