//! The folder of the databases: made once, whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
    process::Stdio,
};

use super::{
    account::Account,
    builds::Build,
    error::{EmbeddedError, IoContext, tail},
    layout::{Layout, private_dir},
    progress::Progress,
    wheel::remove_tree,
};

/// The cluster's superuser. Only whoever may enter the socket's folder can become it.
pub(super) const SUPERUSER: &str = "postgres";

/// Character classes for full text and trigrams, the best first: under plain C, `pg_trgm` and the text search
/// parser take no letter beyond ASCII for a letter. (Sort order is not theirs, but the builtin provider's.)
const CTYPES: [&str; 3] = ["C.UTF-8", "en_US.UTF-8", "C"];

/// Trust is right here: the socket's folder is closed to all but the owner, and there is no other way in.
const HBA: &str = "# Only the socket, whose folder admits its owner alone. Written by bailiwick.\n\
     local all all trust\n\
     local replication all trust\n";

/// The major version that made the cluster, if there is one.
pub(super) fn major(cluster: &Path) -> Result<Option<u32>, EmbeddedError> {
    let path = cluster.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| {
            let problem = io::Error::new(io::ErrorKind::InvalidData, format!("it holds {:?}", text.trim()));
            EmbeddedError::io("read", &path, problem)
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing("read", &path),
    }
}

/// Makes the cluster if there is none, and tells whether it did. To be called under the start lock.
pub(super) async fn ensure(
    layout: &Layout,
    build: &Build,
    account: &Account,
    progress: &Progress,
) -> Result<bool, EmbeddedError> {
    let cluster = layout.cluster();
    if major(&cluster)?.is_some() {
        return Ok(false);
    }
    let _step = progress.step("Creating the database cluster");
    // A name of its own keeps us from an initdb that a killed process left running.
    let partial = layout.data_dir().join(format!("cluster.partial.{}", uuid::Uuid::new_v4().simple()));
    remove_partials(layout.data_dir());
    for (index, ctype) in CTYPES.iter().enumerate() {
        private_dir(&partial, account)?;
        match initdb(&partial, build, account, ctype).await {
            Ok(()) => break,
            Err(EmbeddedError::Command { output, .. })
                if output.contains("invalid locale name") && index + 1 < CTYPES.len() =>
            {
                remove_tree(&partial)?;
            }
            Err(error) => {
                remove_tree(&partial)?;
                return Err(error);
            }
        }
    }
    configure(&partial)?;
    // An empty folder in the way (a mount point, say) is replaced; anything else in it is an error.
    fs::rename(&partial, &cluster).doing("rename to its final name", &partial)?;
    File::open(layout.data_dir()).and_then(|folder| folder.sync_all()).doing("write", layout.data_dir())?;
    // Once more: what was still being written before may be deleted now.
    remove_partials(layout.data_dir());
    Ok(true)
}

async fn initdb(partial: &Path, build: &Build, account: &Account, ctype: &str) -> Result<(), EmbeddedError> {
    let mut command = account.command(build.bin_dir.join("initdb"));
    command.arg("--pgdata").arg(partial).args(["--username", SUPERUSER, "--auth=trust", "--encoding=UTF8"]);
    command.args(["--data-checksums", "--no-instructions", "--locale=C", "--lc-ctype", ctype]);
    if build.major >= 17 {
        // A sort order that no upgrade of the operating system can change, and with it no index.
        command.args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
    }
    let program = build.bin_dir.join("initdb");
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.doing("run", &program)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("No space left on device") {
        return Err(EmbeddedError::DiskFull { doing: "create the database cluster in", path: partial.into() });
    }
    Err(EmbeddedError::Command { program: "initdb".into(), status: output.status.to_string(), output: tail(&said) })
}

/// Has PostgreSQL read our settings, which lie outside the cluster and are written anew at each start. What
/// a person sets with ALTER SYSTEM comes after them, and wins.
fn configure(partial: &Path) -> Result<(), EmbeddedError> {
    let conf = partial.join("postgresql.conf");
    let include = "\n# Written by bailiwick at each start. Use ALTER SYSTEM to change a setting for good.\n\
         include = '../settings.conf'\n";
    let mut file = OpenOptions::new().append(true).open(&conf).doing("open", &conf)?;
    file.write_all(include.as_bytes()).and_then(|()| file.sync_all()).doing("write", &conf)?;
    let hba = partial.join("pg_hba.conf");
    let mut file = OpenOptions::new().write(true).truncate(true).open(&hba).doing("open", &hba)?;
    file.write_all(HBA.as_bytes()).and_then(|()| file.sync_all()).doing("write", &hba)
}

/// Deletes what a killed process's initdb left. It may still be running and fill a folder while it is emptied, which
/// is no reason not to go on.
fn remove_partials(data_dir: &Path) {
    for entry in fs::read_dir(data_dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("cluster.partial.")
            && let Err(error) = remove_tree(&entry.path())
        {
            tracing::debug!(%error, "an unfinished cluster stays for now");
        }
    }
}
