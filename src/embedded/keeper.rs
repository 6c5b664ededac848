//! The keeper: a small process that stops PostgreSQL once nobody has used it for a while.
//!
//! It is started by the first participant, in a session of its own, and outlives it. It sleeps in the kernel,
//! on the lease, until the last participant has gone. As root it stays root: it touches only the locks, and
//! sends one signal.

use std::{
    fs::OpenOptions,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::process::Command;

use super::{
    blocking,
    error::{EmbeddedError, IoContext},
    layout::Layout,
    locks::{Lock, Mode},
    server,
};

/// How long a new keeper may take to arm itself.
const ARMING: Duration = Duration::from_secs(10);
/// How long a keeper tries to become the one: whoever looks for a keeper holds its lock for a moment.
const CLAIM: Duration = Duration::from_millis(300);
/// A keeper's log that is larger than this is begun anew.
const LOG_LIMIT: u64 = 1 << 20;
/// What the keeper sees of the environment: no API keys.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "BAILIWICK_LOG"];

/// Makes sure that a keeper is there and armed; the caller holds a lease. `false` when there can be none.
pub(super) async fn ensure(layout: &Layout, program: &Path, grace: Duration) -> bool {
    match arm(layout, program, grace).await {
        Ok(armed) => armed,
        Err(error) => {
            tracing::warn!(%error, "no keeper for the embedded PostgreSQL: the last client will stop it");
            false
        }
    }
}

async fn arm(layout: &Layout, program: &Path, grace: Duration) -> Result<bool, EmbeddedError> {
    if is_armed(layout)? {
        return Ok(true);
    }
    let mut child = spawn(layout, program, grace)?;
    let begun = Instant::now();
    while begun.elapsed() < ARMING {
        if is_armed(layout)? {
            return Ok(true);
        }
        if let Ok(Some(status)) = child.try_wait() {
            // It may have found another there, armed since.
            let armed = is_armed(layout)?;
            if !armed {
                tracing::warn!(%status, log = ?layout.keeper_log(), "the keeper ended at once");
            }
            return Ok(armed);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tracing::warn!(log = ?layout.keeper_log(), "the keeper does not take its lock");
    Ok(false)
}

fn is_armed(layout: &Layout) -> Result<bool, EmbeddedError> {
    Ok(Lock::try_take(&layout.keeper_lock(), Mode::Shared)?.is_none())
}

fn spawn(layout: &Layout, program: &Path, grace: Duration) -> Result<tokio::process::Child, EmbeddedError> {
    let path = layout.keeper_log();
    let log = OpenOptions::new().create(true).append(true).open(&path).doing("open", &path)?;
    if log.metadata().is_ok_and(|log| log.len() > LOG_LIMIT) {
        log.set_len(0).doing("shorten", &path)?;
    }
    let environment = PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    Command::new(program)
        .arg("embedded-keeper")
        .arg(layout.data_dir())
        .arg(grace.as_millis().to_string())
        .env_clear()
        .envs(environment)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .doing("run", program)
}

/// The body of `bailiwick embedded-keeper DATA_DIR GRACE_MS`: ends once it has stopped the server, or at once
/// if there is a keeper already.
pub async fn run_keeper(data_dir: &Path, idle_grace: Duration) -> Result<(), EmbeddedError> {
    // Fails only where we lead a session already.
    let _ = rustix::process::setsid();
    let (layout, _) = Layout::open(data_dir)?;
    let Some(keeper) = Lock::take(&layout.keeper_lock(), Mode::Exclusive, CLAIM).await? else { return Ok(()) };
    loop {
        let lease = layout.lease_lock();
        blocking(move || Lock::wait_until_free(&lease)).await?;
        if !stays_idle(&layout, idle_grace).await? {
            continue;
        }
        let Some(start) = Lock::try_take(&layout.start_lock(), Mode::Exclusive)? else { continue };
        let Some(lease) = Lock::try_take(&layout.lease_lock(), Mode::Exclusive)? else { continue };
        let stopped = blocking(move || server::stop(&layout)).await;
        // In this order: whoever gets the lease next must find that there is no keeper.
        drop(keeper);
        drop(lease);
        drop(start);
        return stopped;
    }
}

/// Whether nobody takes a lease during the grace.
async fn stays_idle(layout: &Layout, grace: Duration) -> Result<bool, EmbeddedError> {
    let begun = Instant::now();
    let step = (grace / 10).clamp(Duration::from_millis(10), Duration::from_millis(500));
    while begun.elapsed() < grace {
        tokio::time::sleep(step).await;
        if Lock::try_take(&layout.lease_lock(), Mode::Exclusive)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}
