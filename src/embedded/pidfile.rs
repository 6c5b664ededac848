//! PostgreSQL's lock files, which may outlive their writer and then name some other process: `postmaster.pid`
//! in the cluster, and the one beside the socket.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::fchown,
    path::Path,
};

use rustix::process::{Pid, Signal};

use super::{
    error::{EmbeddedError, IoContext},
    layout::{Layout, PORT},
};

/// A process id that no system hands out, and that PostgreSQL still reads as one.
const NOBODY: i32 = i32::MAX - 1;

/// The process id that the file names.
pub(super) fn pid(cluster: &Path) -> Option<i32> {
    first_line(&fs::read_to_string(cluster.join("postmaster.pid")).ok()?)
}

/// Makes lock files harmless that name a process which is not the server of this cluster (any more), for else
/// PostgreSQL would refuse to start beside it. To be called under the start lock.
///
/// Only the process id is changed. The other lines stay: with the shared memory that `postmaster.pid` names,
/// PostgreSQL checks that no process of the old server is left, and that protects the data.
pub(super) fn disarm(layout: &Layout) -> Result<(), EmbeddedError> {
    let cluster = layout.cluster();
    for path in [cluster.join("postmaster.pid"), layout.socket().with_extension(format!("{PORT}.lock"))] {
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read.doing("read", &path)?,
        };
        match first_line(&text) {
            Some(pid) if is_server(pid, &cluster) => {}
            Some(pid) => {
                tracing::info!(pid, ?path, "a lock file of PostgreSQL is stale");
                let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
                rewrite(&path, &format!("{NOBODY}\n{rest}"))?;
            }
            // Empty or garbled, as after a power failure: PostgreSQL stops at that too.
            None => fs::remove_file(&path).doing("delete", &path)?,
        }
    }
    Ok(())
}

fn first_line(text: &str) -> Option<i32> {
    text.lines().next()?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// Replaces the file. The account owns the folder, so we, as root, must not follow a link there.
fn rewrite(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    let owner = fs::symlink_metadata(path).doing("read", path)?;
    fs::remove_file(path).doing("delete", path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).doing("create", path)?;
    fchown(&file, Some(owner.uid()), Some(owner.gid())).doing("change the owner of", path)?;
    file.write_all(text.as_bytes()).doing("write", path)
}

/// Whether the process belongs to the PostgreSQL server of this cluster, alive: they work in its folder.
#[cfg(target_os = "linux")]
pub(super) fn is_server(pid: i32, cluster: &Path) -> bool {
    let Ok(cluster) = cluster.canonicalize() else { return false };
    // A zombie, which a container's first process may never reap, has no working folder.
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == cluster)
}

/// Whether the process is a PostgreSQL server of this cluster, alive, as far as `ps` tells.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_server(pid: i32, cluster: &Path) -> bool {
    let output = std::process::Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output();
    output.is_ok_and(|output| {
        let command = String::from_utf8_lossy(&output.stdout).into_owned();
        command.contains("postgres") && command.contains(&*cluster.to_string_lossy())
    })
}

/// Sends a signal to the process, if it is there.
pub(super) fn signal(pid: i32, signal: Signal) -> Result<(), rustix::io::Errno> {
    match Pid::from_raw(pid).map_or(Ok(()), |pid| rustix::process::kill_process(pid, signal)) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        sent => sent,
    }
}

/// Ends the processes of a killed server that are still at work in the cluster, as a query does that computes
/// for long and so has not noticed. To be called under the start lock, when no server answers.
#[cfg(target_os = "linux")]
pub(super) fn end_remnants(cluster: &Path) {
    if pid(cluster).is_some_and(|pid| is_server(pid, cluster)) {
        return;
    }
    let Ok(entries) = fs::read_dir("/proc") else { return };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_postgres =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "postgres\n");
    for pid in pids.filter(is_postgres).filter(|pid| is_server(*pid, cluster)) {
        tracing::warn!(pid, "ending a process that a killed PostgreSQL left behind");
        // A backend leaves at once, without a word to its client, and touches nothing any more.
        if let Err(error) = signal(pid, Signal::QUIT) {
            tracing::warn!(pid, %error, "it cannot be ended");
        }
    }
}

/// Elsewhere the processes cannot be told from others: they end by themselves, or PostgreSQL's log names them.
#[cfg(not(target_os = "linux"))]
pub(super) fn end_remnants(_cluster: &Path) {}
