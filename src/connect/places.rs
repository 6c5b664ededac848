use std::ffi::OsString;
use std::path::PathBuf;

use super::{Client, ConnectError};

/// Whom a configuration is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All of the user's projects.
    User,
    /// The project in the current folder.
    Project,
}

/// Whose conventions hold for folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Linux and what follows the XDG base directories.
    Linux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

/// What places depend on.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The operating system.
    pub system: System,
    /// The home folder.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, or `APPDATA` on Windows.
    pub configurations: Option<PathBuf>,
    /// `CLAUDE_CONFIG_DIR`, which moves Claude Code's file.
    pub claude_code: Option<PathBuf>,
    /// The current folder.
    pub project: PathBuf,
}

impl Surroundings {
    /// Those of this process.
    ///
    /// # Errors
    /// If the current folder is gone.
    pub fn of_this_process() -> std::io::Result<Self> {
        let absolute = |value: OsString| Some(PathBuf::from(value)).filter(|path| path.is_absolute());
        let set = |name: &str| std::env::var_os(name).and_then(absolute);
        let system = match std::env::consts::OS {
            "macos" => System::MacOs,
            "windows" => System::Windows,
            _ => System::Linux,
        };
        Ok(Self {
            system,
            home: std::env::home_dir().filter(|path| path.is_absolute()),
            configurations: set(if system == System::Windows { "APPDATA" } else { "XDG_CONFIG_HOME" }),
            claude_code: set("CLAUDE_CONFIG_DIR"),
            project: std::env::current_dir()?,
        })
    }

    fn home(&self) -> Result<&PathBuf, ConnectError> {
        self.home
            .as_ref()
            .ok_or_else(|| ConnectError::NoPlace("no home folder is known; name the file with --file".into()))
    }

    /// Where desktop programs keep their configuration: each a folder of its own in it.
    fn configurations(&self) -> Result<PathBuf, ConnectError> {
        match (self.system, &self.configurations) {
            (System::Linux | System::Windows, Some(folder)) => Ok(folder.clone()),
            (System::Linux, None) => Ok(self.home()?.join(".config")),
            (System::MacOs, _) => Ok(self.home()?.join("Library/Application Support")),
            (System::Windows, None) => Ok(self.home()?.join("AppData/Roaming")),
        }
    }
}

/// The file in which that client looks for servers.
///
/// # Errors
/// [`ConnectError::NoPlace`] if it has none there.
pub fn place(client: Client, reach: Reach, surroundings: &Surroundings) -> Result<PathBuf, ConnectError> {
    let project = &surroundings.project;
    match (client, reach) {
        (Client::ClaudeDesktop, Reach::User) => {
            Ok(surroundings.configurations()?.join("Claude/claude_desktop_config.json"))
        }
        (Client::ClaudeDesktop, Reach::Project) => {
            Err(ConnectError::NoPlace("Claude Desktop knows no projects: leave --project out".into()))
        }
        (Client::ClaudeCode, Reach::User) => match &surroundings.claude_code {
            Some(folder) => Ok(folder.join(".claude.json")),
            None => Ok(surroundings.home()?.join(".claude.json")),
        },
        (Client::ClaudeCode, Reach::Project) => Ok(project.join(".mcp.json")),
        (Client::Cursor, Reach::User) => Ok(surroundings.home()?.join(".cursor/mcp.json")),
        (Client::Cursor, Reach::Project) => Ok(project.join(".cursor/mcp.json")),
        (Client::Vscode, Reach::User) => Ok(surroundings.configurations()?.join("Code/User/mcp.json")),
        (Client::Vscode, Reach::Project) => Ok(project.join(".vscode/mcp.json")),
    }
}
