//! Writing this server into the configuration of MCP clients, without harm to what else is in it.

mod edit;
mod entry;
mod error;
mod file;
mod places;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

pub use edit::Change;
pub use entry::{Credential, Server};
pub use error::ConnectError;
pub use places::{Reach, Surroundings, System, place};

/// How often a file that somebody else writes at the same time is read anew.
const TRIES: usize = 5;

/// A client whose servers are listed in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    /// Claude Desktop
    ClaudeDesktop,
    /// Claude Code
    ClaudeCode,
    /// Cursor
    Cursor,
    /// VS Code
    Vscode,
}

impl Client {
    /// What it calls itself.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::ClaudeDesktop => "Claude Desktop",
            Self::ClaudeCode => "Claude Code",
            Self::Cursor => "Cursor",
            Self::Vscode => "VS Code",
        }
    }

    /// The member of the file that lists servers.
    #[must_use]
    pub fn section(self) -> &'static str {
        match self {
            Self::Vscode => "servers",
            Self::ClaudeDesktop | Self::ClaudeCode | Self::Cursor => "mcpServers",
        }
    }

    /// Whether its file is JSON with comments and trailing commas; the others' readers refuse both.
    #[must_use]
    pub fn reads_comments(self) -> bool {
        matches!(self, Self::Cursor | Self::Vscode)
    }
}

/// What was done to a file.
#[derive(Debug)]
pub struct Done {
    /// What became of the entry.
    pub change: Change,
    /// The file as it was before, if it was there and was changed.
    pub backup: Option<PathBuf>,
    /// Whether others than its owner may read the file.
    pub others_read: bool,
}

/// What the file of a client that has no servers yet would hold.
///
/// # Errors
/// None that a caller can cause: what is written is read back before it is told.
pub fn print(client: Client, name: &str, server: &Server) -> Result<String, ConnectError> {
    let (text, _) = edit::with_entry("", client, name, server).map_err(|fault| fault.at(Path::new("the new file")))?;
    Ok(text)
}

/// Puts the server into the file under that name, in the place of what was there under it.
///
/// # Errors
/// [`ConnectError`] if the file cannot be read, understood or written; it is then as it was.
pub fn add(path: &Path, client: Client, name: &str, server: &Server) -> Result<Done, ConnectError> {
    rewrite(path, |text| edit::with_entry(text, client, name, server))
}

/// Takes the server of that name out of the file.
///
/// # Errors
/// As [`add`].
pub fn remove(path: &Path, client: Client, name: &str) -> Result<Done, ConnectError> {
    rewrite(path, |text| edit::without_entry(text, client, name))
}

fn rewrite(path: &Path, edit: impl Fn(&str) -> Result<(String, Change), edit::Fault>) -> Result<Done, ConnectError> {
    for _ in 0..TRIES {
        let file = file::ConfigurationFile::open(path)?;
        let (text, change) = edit(file.text()).map_err(|fault| fault.at(path))?;
        if !change.is_one() {
            return Ok(Done { change, backup: None, others_read: file.others_read() });
        }
        if let Some(backup) = file.replace(&text)? {
            return Ok(Done { change, backup: backup.kept, others_read: file.others_read() });
        }
    }
    Err(ConnectError::Busy(path.to_path_buf()))
}
