use std::path::PathBuf;

use thiserror::Error;

/// Why a client's configuration was left as it was.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The file is not what the client reads.
    #[error("{path}, line {line}, column {column}: {what}. Nothing was changed; mend it there, or see `--print` for what to put in", path = path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// It is JSON, but not of the shape that the client reads.
    #[error("{path}: {what}. Nothing was changed", path = path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It is marked as not to be written.
    #[error("{} is read-only. Nothing was changed; allow writing to it, or see `--print` for what to put in", .0.display())]
    ReadOnly(PathBuf),
    /// A link to nothing.
    #[error("{link} is a link to {target}, which is not there. Nothing was changed; remove the link or make the file", link = link.display(), target = target.display())]
    DanglingLink {
        /// The link.
        link: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// Somebody else kept writing to it.
    #[error("{} is being written by another program. Nothing was changed; close the client and try again", .0.display())]
    Busy(PathBuf),
    /// The system refused.
    #[error("cannot {doing} {path}: {source}. Nothing was changed", path = path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The platform has no such file, or it cannot be told where.
    #[error("{0}")]
    NoPlace(String),
}
