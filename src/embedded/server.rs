//! Starts and stops PostgreSQL, and tells whether it lives: by a real connection, never by a file.

#![expect(clippy::disallowed_methods, reason = "looks after the server itself, before there is any schema")]

use std::{
    fs, io,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio_postgres::{Config, NoTls, error::SqlState};

use super::{
    account::Account,
    builds::Build,
    cluster::SUPERUSER,
    error::{EmbeddedError, IoContext, tail},
    layout::{Layout, PORT},
    pidfile,
    progress::Progress,
};

/// How long a server may take that says it is starting: recovery after a crash replays the log.
const RECOVERY: Duration = Duration::from_secs(900);
/// How long to try again while processes of a killed server are going.
const REMNANTS: Duration = Duration::from_secs(60);
/// How long a server may take to answer at all.
const ANSWER: Duration = Duration::from_secs(10);
/// How long a fast shutdown may take (it writes a checkpoint), before an immediate one.
const SHUTDOWN: Duration = Duration::from_secs(120);
/// How long to wait without a word.
const SILENCE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(10);

/// Texts in the log that mean: a server killed a moment ago is not wholly gone yet.
const REMNANT_SIGNS: [&str; 3] =
    ["pre-existing shared memory block", "lock file \"postmaster.pid\" already exists", "Is another postmaster"];

/// What a connection attempt showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Liveness {
    Live,
    /// It answers that it is starting up (or shutting down).
    Busy,
    Dead,
}

/// How to connect through the socket in `socket_dir`.
pub(super) fn config(socket_dir: &Path, role: &str, database: &str) -> Config {
    let mut config = Config::new();
    config.host_path(socket_dir).port(PORT).user(role).dbname(database).application_name("bailiwick");
    config
}

/// Tries to connect as the superuser.
pub(super) async fn probe(layout: &Layout) -> Result<Liveness, EmbeddedError> {
    let mut config = config(layout.socket_dir(), SUPERUSER, "postgres");
    config.application_name("bailiwick probe");
    match tokio::time::timeout(ANSWER, config.connect(NoTls)).await {
        Ok(Ok(_connected)) => Ok(Liveness::Live),
        Ok(Err(error)) => judge(error, layout),
        // The socket is there and nobody serves it, as when the server is suspended.
        Err(_elapsed) => Ok(Liveness::Busy),
    }
}

fn judge(error: tokio_postgres::Error, layout: &Layout) -> Result<Liveness, EmbeddedError> {
    if let Some(code) = error.code() {
        return match *code {
            SqlState::CANNOT_CONNECT_NOW => Ok(Liveness::Busy),
            SqlState::TOO_MANY_CONNECTIONS => Ok(Liveness::Live),
            _ => Err(EmbeddedError::Refused { data_dir: layout.data_dir().into(), source: error }),
        };
    }
    let kind =
        std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(Liveness::Dead),
        Some(io::ErrorKind::PermissionDenied) => {
            Err(EmbeddedError::Refused { data_dir: layout.data_dir().into(), source: error })
        }
        // It hung up on us, as a server does that is going down.
        _ => Ok(Liveness::Busy),
    }
}

/// Waits for a server that is starting up. `false` when it has died instead.
pub(super) async fn wait_until_live(layout: &Layout, progress: &Progress) -> Result<bool, EmbeddedError> {
    let begun = Instant::now();
    let mut waiting = None;
    loop {
        match probe(layout).await? {
            Liveness::Live => return Ok(true),
            Liveness::Dead => return Ok(false),
            Liveness::Busy if begun.elapsed() > RECOVERY => {
                return Err(not_started(layout, "it has been starting up for 15 minutes".to_owned()));
            }
            Liveness::Busy => {
                if begun.elapsed() > SILENCE && waiting.is_none() {
                    waiting = Some(progress.step("Waiting for PostgreSQL, which is recovering from a crash"));
                }
                tokio::time::sleep(POLL * 5).await;
            }
        }
    }
}

/// Starts the server and waits until it serves. To be called under the start lock, with none alive.
pub(super) async fn start(
    layout: &Layout,
    build: &Build,
    account: &Account,
    progress: &Progress,
) -> Result<(), EmbeddedError> {
    let begun = Instant::now();
    let mut waiting = None;
    loop {
        pidfile::disarm(layout)?;
        let Err(failure) = launch(layout, build, account, progress).await? else { return Ok(()) };
        let log = recent_log(layout);
        let remnants = REMNANT_SIGNS.iter().any(|sign| log.contains(sign));
        if !remnants || begun.elapsed() > REMNANTS {
            return Err(not_started(layout, failure));
        }
        waiting.get_or_insert_with(|| progress.step("Waiting for the remains of a killed PostgreSQL to go"));
        // Most notice by themselves that their server is gone.
        if begun.elapsed() > SILENCE {
            pidfile::end_remnants(&layout.cluster());
        }
        tokio::time::sleep(POLL * 20).await;
    }
}

/// One attempt. The inner error says how `pg_ctl` failed.
async fn launch(
    layout: &Layout,
    build: &Build,
    account: &Account,
    progress: &Progress,
) -> Result<Result<(), String>, EmbeddedError> {
    let startup_log = startup_log(layout);
    match fs::remove_file(&startup_log) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).doing("delete", &startup_log),
        _ => {}
    }
    // pg_ctl makes the server the leader of a session of its own: neither Ctrl-C in our terminal nor our end
    // reaches it, and it is no child of ours that would stay a zombie when it dies. pg_ctl itself, as long as
    // it waits, passes a Ctrl-C on to the server: so it gets a process group of its own.
    let pg_ctl = build.bin_dir.join("pg_ctl");
    let mut command = account.command(&pg_ctl);
    command.args(["start", "--silent", "--wait", "--timeout=900"]);
    command.arg("--pgdata").arg(layout.cluster()).arg("--log").arg(&startup_log);
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().doing("run", &pg_ctl)?;
    let starting = tokio::spawn(child.wait_with_output());
    loop {
        // pg_ctl looks ten times a second; we need not wait for it.
        let ended = starting.is_finished();
        match probe(layout).await? {
            Liveness::Live => return Ok(Ok(())),
            _ if !ended => tokio::time::sleep(POLL).await,
            _ => break,
        }
    }
    let output = starting.await.map_err(io::Error::other).and_then(|output| output).doing("run", &pg_ctl)?;
    // It takes a server for started that lets nobody in yet: one that is brought up to a moment out of an archive.
    if output.status.success() && wait_until_live(layout, progress).await? {
        return Ok(Ok(()));
    }
    Ok(Err(format!("pg_ctl {}: {}", output.status, tail(&String::from_utf8_lossy(&output.stderr)))))
}

/// Stops the server if one lives, keeping what is committed. Blocks. To be called under the start lock and the
/// exclusive lease.
pub(super) fn stop(layout: &Layout) -> Result<(), EmbeddedError> {
    let cluster = layout.cluster();
    let Some(pid) = pidfile::pid(&cluster) else { return Ok(()) };
    // The number must not be a stranger's: but whoever listens on the socket wrote it. (One that only begins
    // to start does not listen yet.)
    if UnixStream::connect(layout.socket()).is_err() && !pidfile::is_server(pid, &cluster) {
        return Ok(());
    }
    let not_stopped = || EmbeddedError::NotStopped { pid, log_dir: layout.log_dir() };
    // SIGINT is a fast shutdown, SIGQUIT an immediate one, which the next start recovers from.
    for (signal, patience) in [(Signal::INT, SHUTDOWN), (Signal::QUIT, ANSWER)] {
        pidfile::signal(pid, signal).map_err(|_| not_stopped())?;
        let begun = Instant::now();
        while begun.elapsed() < patience {
            if pidfile::pid(&cluster) != Some(pid) || !pidfile::is_server(pid, &cluster) {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
    }
    Err(not_stopped())
}

fn not_started(layout: &Layout, problem: String) -> EmbeddedError {
    EmbeddedError::NotStarted { problem, log_dir: layout.log_dir(), log: recent_log(layout) }
}

/// What PostgreSQL prints before its log begins.
fn startup_log(layout: &Layout) -> PathBuf {
    layout.log_dir().join("startup.log")
}

/// The end of what the server printed, and of its newest log.
fn recent_log(layout: &Layout) -> String {
    let newest = fs::read_dir(layout.log_dir()).ok().and_then(|entries| {
        let logs = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with("postgresql-"));
        logs.filter_map(|log| Some((log.metadata().ok()?.modified().ok()?, log.path()))).max()
    });
    let paths = [Some(startup_log(layout)), newest.map(|(_, path)| path)];
    let texts = paths.iter().flatten().filter_map(|path| fs::read(path).ok());
    texts.map(|text| tail(&String::from_utf8_lossy(&text))).collect::<Vec<_>>().join("\n")
}
