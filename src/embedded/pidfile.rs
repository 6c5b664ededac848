//! PostgreSQL's `postmaster.pid`, which may outlive its writer and then name some other process.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::fchown,
    path::Path,
};

use rustix::process::{Pid, Signal};

use super::error::{EmbeddedError, IoContext};

/// A process id that no system hands out, and that PostgreSQL still reads as one.
const NOBODY: i32 = i32::MAX - 1;

/// The process id that the file names.
pub(super) fn pid(cluster: &Path) -> Option<i32> {
    let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
    text.lines()
        .next()?
        .trim()
        .parse()
        .ok()
        .filter(|pid| *pid > 0)
}

/// Makes a file harmless that names a process which is not the server of this cluster (any more), for else
/// PostgreSQL would refuse to start beside it. To be called under the start lock.
///
/// The other lines stay: with the shared memory they name, PostgreSQL checks that no process of the old
/// server is left, and that protects the data.
pub(super) fn disarm(cluster: &Path) -> Result<(), EmbeddedError> {
    let path = cluster.join("postmaster.pid");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).doing("read", &path),
    };
    match pid(cluster) {
        Some(pid) if is_server(pid, cluster) => return Ok(()),
        Some(pid) => tracing::info!(pid, "postmaster.pid is stale"),
        None => {
            // Empty or garbled, as after a power failure: PostgreSQL stops at that too.
            tracing::info!("postmaster.pid is garbled");
            return fs::remove_file(&path).doing("delete", &path);
        }
    }
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    rewrite(&path, &format!("{NOBODY}\n{rest}"))
}

/// Replaces the file. The account owns the folder, so we, as root, must not follow a link there.
fn rewrite(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
    let owner = fs::symlink_metadata(path).doing("read", path)?;
    fs::remove_file(path).doing("delete", path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .doing("create", path)?;
    fchown(&file, Some(owner.uid()), Some(owner.gid())).doing("change the owner of", path)?;
    file.write_all(text.as_bytes()).doing("write", path)
}

/// Whether the process is a PostgreSQL server of this cluster, alive: a server works in its data folder.
#[cfg(target_os = "linux")]
pub(super) fn is_server(pid: i32, cluster: &Path) -> bool {
    let Ok(cluster) = cluster.canonicalize() else {
        return false;
    };
    // A zombie, which a container's first process may never reap, has no working folder.
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == cluster)
}

/// Whether the process is a PostgreSQL server of this cluster, alive, as far as `ps` tells.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_server(pid: i32, cluster: &Path) -> bool {
    let output = std::process::Command::new("ps")
        .args(["-o", "command=", "-p", &pid.to_string()])
        .output();
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
