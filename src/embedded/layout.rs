//! Where everything lies in the data folder.
//!
//! ```text
//! DATA_DIR/
//!   cluster/          the databases; the account's alone
//!   run/              the socket; the account's alone (elsewhere when its path would be too long)
//!   log/              PostgreSQL's logs; the account's alone
//!   postgresql/V/     PostgreSQL itself, unpacked
//!   models/V/         the embedding model, unpacked
//!   downloads/        the archives they came in
//!   locks/            see `locks`
//!   settings.conf     what we tell PostgreSQL, written anew at each start
//!   server.json       which build the running server is
//!   keeper.log        what the keeper had to say
//! ```
//!
//! Under root, only the first three are writable by the account that PostgreSQL runs under: root must not
//! write by name into a folder where another could have laid a symbolic link.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    account::Account,
    error::{EmbeddedError, IoContext},
};

/// Port in the socket's name. No TCP port is ever opened.
pub(super) const PORT: u16 = 5432;
const CLUSTER: &str = "cluster";
/// The longest socket path we use. `sun_path` takes 107 bytes on Linux, 103 on macOS.
const LONGEST_SOCKET_PATH: usize = 100;
/// Characters that PostgreSQL's programs would let a shell interpret.
const SHELL_CHARACTERS: [char; 5] = ['"', '$', '`', '\\', '\n'];

/// The paths in one data folder.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    data_dir: PathBuf,
    socket_dir: PathBuf,
}

impl Layout {
    /// Makes the folders that are missing, and checks that the account can reach them.
    pub(super) fn prepare(data_dir: &Path) -> Result<(Self, Account), EmbeddedError> {
        check_characters(data_dir)?;
        let data_dir = std::path::absolute(data_dir).doing("find", data_dir)?;
        let made_here = make_data_dir(&data_dir)?;
        let (layout, account) = Self::open(&data_dir)?;
        if made_here {
            account.give_if_at_home(&layout.data_dir)?;
        }
        account.check_reach(&layout.data_dir)?;
        layout.make_folders(&account)?;
        Ok((layout, account))
    }

    /// Makes the folders that a model needs: also where the database is somebody else's.
    pub(super) fn prepare_models(data_dir: &Path) -> Result<(Self, Account), EmbeddedError> {
        let data_dir = std::path::absolute(data_dir).doing("find", data_dir)?;
        let made_here = make_data_dir(&data_dir)?;
        let (layout, account) = Self::open(&data_dir)?;
        if made_here {
            account.give_if_at_home(&layout.data_dir)?;
        }
        for (folder, mode) in [(layout.locks(), 0o700), (layout.downloads(), 0o755), (layout.models(), 0o755)] {
            make_dir(&folder, mode)?;
            account.give_if_at_home(&folder)?;
        }
        let lock = layout.model_lock();
        OpenOptions::new().create(true).append(true).open(&lock).doing("create", &lock)?;
        account.give_if_at_home(&lock)?;
        Ok((layout, account))
    }

    /// The paths in a data folder that exists, none of which are made.
    pub(super) fn open(data_dir: &Path) -> Result<(Self, Account), EmbeddedError> {
        // One folder must have one name: the socket's folder may derive from it.
        let data_dir = data_dir.canonicalize().doing("open", data_dir)?;
        check_characters(&data_dir)?;
        let account = Account::for_data_dir(&data_dir)?;
        let socket_dir = socket_dir(&data_dir, account.uid());
        Ok((Self { data_dir, socket_dir }, account))
    }

    fn make_folders(&self, account: &Account) -> Result<(), EmbeddedError> {
        // Nobody else may even read a lock's file: whoever can open it can hold the lock.
        for (folder, mode) in [(self.locks(), 0o700), (self.downloads(), 0o755), (self.builds(), 0o755)] {
            make_dir(&folder, mode)?;
            account.give_if_at_home(&folder)?;
        }
        for file in [self.start_lock(), self.lease_lock(), self.keeper_lock(), self.keeper_log()] {
            OpenOptions::new().create(true).append(true).open(&file).doing("create", &file)?;
            account.give_if_at_home(&file)?;
        }
        private_dir(&self.log_dir(), account)?;
        private_dir(&self.socket_dir, account)
    }

    /// The data folder itself.
    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The folder that holds the socket, and nothing else.
    pub(super) fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{PORT}"))
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.data_dir.join(CLUSTER)
    }

    pub(super) fn log_dir(&self) -> PathBuf {
        self.data_dir.join("log")
    }

    /// The folder with one folder a version of PostgreSQL that we unpacked.
    pub(super) fn builds(&self) -> PathBuf {
        self.data_dir.join("postgresql")
    }

    /// The folder with one folder a version of the embedding model.
    pub(super) fn models(&self) -> PathBuf {
        self.data_dir.join("models")
    }

    pub(super) fn model_lock(&self) -> PathBuf {
        self.locks().join("model.lock")
    }

    pub(super) fn downloads(&self) -> PathBuf {
        self.data_dir.join("downloads")
    }

    fn locks(&self) -> PathBuf {
        self.data_dir.join("locks")
    }

    pub(super) fn start_lock(&self) -> PathBuf {
        self.locks().join("start.lock")
    }

    pub(super) fn lease_lock(&self) -> PathBuf {
        self.locks().join("lease.lock")
    }

    pub(super) fn keeper_lock(&self) -> PathBuf {
        self.locks().join("keeper.lock")
    }

    pub(super) fn keeper_log(&self) -> PathBuf {
        self.data_dir.join("keeper.log")
    }

    pub(super) fn settings(&self) -> PathBuf {
        self.data_dir.join("settings.conf")
    }

    pub(super) fn record(&self) -> PathBuf {
        self.data_dir.join("server.json")
    }
}

/// Whether a server was ever made in that folder.
#[must_use]
pub fn has_cluster(data_dir: &Path) -> bool {
    data_dir.join(CLUSTER).is_dir()
}

/// The data folder when none is named: `XDG_DATA_HOME/bailiwick`, or the platform's place in the home folder.
///
/// Root's home is commonly closed to others (0700), and so to the account that PostgreSQL must run under:
/// then it is `/var/lib/bailiwick`.
pub fn default_data_dir() -> Result<PathBuf, EmbeddedError> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let in_home = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/share" };
    let wanted = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(in_home))).map(|dir| dir.join("bailiwick"));
    if !rustix::process::geteuid().is_root() {
        return wanted.ok_or(EmbeddedError::NoHome);
    }
    let open_to_account =
        |path: &PathBuf| Account::for_data_dir(path).is_ok_and(|account| account.blocked_at(path).is_none());
    Ok(wanted.filter(open_to_account).unwrap_or_else(|| PathBuf::from("/var/lib/bailiwick")))
}

fn check_characters(path: &Path) -> Result<(), EmbeddedError> {
    let unusable = |reason| Err(EmbeddedError::UnusablePath { path: path.to_path_buf(), reason });
    match path.to_str() {
        None => unusable("its name is not UTF-8"),
        Some("") => unusable("its name is empty"),
        Some(text) if text.contains(SHELL_CHARACTERS) => {
            unusable("PostgreSQL's programs cannot handle a \", $, `, \\ or line break in it")
        }
        Some(_) => Ok(()),
    }
}

/// Makes the data folder if need be, and tells whether it is new (or still empty).
fn make_data_dir(path: &Path) -> Result<bool, EmbeddedError> {
    // Under root the account must be able to pass through, though not to look around.
    let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
    let missing = !path.exists();
    if missing {
        DirBuilder::new().recursive(true).mode(mode).create(path).doing("create", path)?;
    }
    let empty = fs::read_dir(path).doing("read", path)?.next().is_none();
    let owner = fs::metadata(path).doing("read", path)?.uid();
    // An empty folder made by `mktemp -d` is 0700; nothing is in it yet that this could expose.
    if empty && owner == rustix::process::geteuid().as_raw() {
        fs::set_permissions(path, Permissions::from_mode(mode)).doing("change the mode of", path)?;
    }
    Ok(missing)
}

fn make_dir(path: &Path, mode: u32) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        made => made.doing("create", path)?,
    }
    // The umask may have narrowed it.
    fs::set_permissions(path, Permissions::from_mode(mode)).doing("change the mode of", path)
}

/// Makes sure of a folder that only the account may enter (and root).
///
/// In /tmp somebody else may have made it first, to listen in our place: then it is refused.
pub(super) fn private_dir(path: &Path, account: &Account) -> Result<(), EmbeddedError> {
    make_dir(path, 0o700)?;
    let found = fs::symlink_metadata(path).doing("read", path)?;
    let ours = [account.uid(), rustix::process::geteuid().as_raw()].contains(&found.uid());
    if !found.is_dir() || !ours {
        return Err(EmbeddedError::UnusablePath {
            path: path.to_path_buf(),
            reason: "it belongs to another user, or is not a folder",
        });
    }
    if found.mode() & 0o777 != 0o700 {
        fs::set_permissions(path, Permissions::from_mode(0o700)).doing("change the mode of", path)?;
    }
    if found.uid() == account.uid() { Ok(()) } else { account.give(path) }
}

/// `run` in the data folder, or a short path that every process derives alike, whatever its environment.
fn socket_dir(data_dir: &Path, uid: u32) -> PathBuf {
    let near = data_dir.join("run");
    let longest_name = ".s.PGSQL.65535.lock".len() + 1;
    if near.as_os_str().len() + longest_name <= LONGEST_SOCKET_PATH {
        return near;
    }
    let digest = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    PathBuf::from(format!("/tmp/bailiwick-{uid}-{short}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_data_folder_gets_a_short_socket_folder() {
        assert_eq!(socket_dir(Path::new("/data"), 7), Path::new("/data/run"));
        let long = PathBuf::from(format!("/{}", "x".repeat(120)));
        let short = socket_dir(&long, 7);
        assert!(short.starts_with("/tmp") && short.as_os_str().len() < 40, "{short:?}");
        assert_eq!(short, socket_dir(&long, 7));
        assert_ne!(short, socket_dir(&long.join("y"), 7));
    }

    #[test]
    fn a_folder_that_a_shell_would_misread_is_refused() {
        for name in ["", "/a\"b", "/a$(b)", "/a`b`", "/a\\b", "/a\nb"] {
            assert!(check_characters(Path::new(name)).is_err(), "{name:?}");
        }
        assert!(check_characters(Path::new("/it's a, folder/é")).is_ok());
    }
}
