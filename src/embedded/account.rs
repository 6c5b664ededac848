//! Whom PostgreSQL runs as: ourselves, or, since it refuses root, an unprivileged account.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::error::{EmbeddedError, IoContext};

/// System accounts fit to run a server under, the best first.
const SYSTEM_ACCOUNTS: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// What PostgreSQL's programs may see of our environment. Not the rest: it may hold API keys, which would show
/// in the server's own environment for as long as it runs.
const PASSED_ON: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"];

/// The user that owns the cluster and runs PostgreSQL's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    uid: u32,
    gid: u32,
    name: String,
    /// We are root and must become this user.
    switch: bool,
    /// The data folder is this user's own, so all in it becomes theirs.
    owns_data_dir: bool,
}

impl Account {
    /// Ourselves; for root, the owner of an existing data folder, else a system account.
    pub(super) fn for_data_dir(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let uid = rustix::process::geteuid().as_raw();
        let gid = rustix::process::getegid().as_raw();
        if uid != 0 {
            return Ok(Self { uid, gid, name: format!("uid {uid}"), switch: false, owns_data_dir: true });
        }
        match fs::metadata(data_dir) {
            Ok(folder) if folder.uid() != 0 => Ok(Self {
                uid: folder.uid(),
                gid: folder.gid(),
                name: format!("uid {}", folder.uid()),
                switch: true,
                owns_data_dir: true,
            }),
            _ => Self::system(),
        }
    }

    fn system() -> Result<Self, EmbeddedError> {
        let path = Path::new("/etc/passwd");
        let passwd = fs::read_to_string(path).doing("read", path)?;
        SYSTEM_ACCOUNTS.iter().find_map(|name| find(&passwd, name)).ok_or(EmbeddedError::NoAccount)
    }

    /// Its numeric user id.
    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs as this account, with a clean environment and in a folder that it can enter.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.env("LC_ALL", "C").current_dir("/");
        if self.switch {
            // As root, this also clears the supplementary groups.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Makes a file or folder of ours this account's.
    pub(super) fn give(&self, path: &Path) -> Result<(), EmbeddedError> {
        if !self.switch {
            return Ok(());
        }
        chown(path, Some(self.uid), Some(self.gid)).doing("change the owner of", path)
    }

    /// Gives away what root made in a data folder that is this account's, so that its owner can go on without
    /// root. In a folder of root's own it stays root's.
    pub(super) fn give_if_at_home(&self, path: &Path) -> Result<(), EmbeddedError> {
        if self.owns_data_dir { self.give(path) } else { Ok(()) }
    }

    /// Fails if a folder above `data_dir`, or it itself, would not let this account through.
    pub(super) fn check_reach(&self, data_dir: &Path) -> Result<(), EmbeddedError> {
        match self.blocked_at(data_dir) {
            None => Ok(()),
            Some(blocking) => Err(EmbeddedError::OutOfReach {
                data_dir: data_dir.to_path_buf(),
                blocking,
                account: self.name.clone(),
            }),
        }
    }

    /// The first folder on the way to `path`, from the root, that this account cannot enter.
    pub(super) fn blocked_at(&self, path: &Path) -> Option<PathBuf> {
        if !self.switch {
            return None;
        }
        let mut folders: Vec<&Path> = path.ancestors().collect();
        folders.reverse();
        folders.into_iter().find(|folder| !self.may_enter(folder)).map(Path::to_path_buf)
    }

    fn may_enter(&self, folder: &Path) -> bool {
        // A folder that does not exist yet is made by us, enterable.
        let Ok(folder) = fs::metadata(folder) else { return true };
        let enter_bit = match () {
            () if folder.uid() == self.uid => 0o100,
            () if folder.gid() == self.gid => 0o010,
            () => 0o001,
        };
        folder.mode() & enter_bit != 0
    }
}

/// Parses one account out of the text of /etc/passwd.
fn find(passwd: &str, name: &str) -> Option<Account> {
    let fields: Vec<&str> =
        passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name)?;
    // macOS writes nobody's ids as -2; the low 32 bits are what the kernel means.
    let id = |field: usize| fields.get(field)?.parse::<i64>().ok().map(|id| id as u32);
    let (uid, gid) = (id(2)?, id(3)?);
    (uid != 0).then(|| Account { uid, gid, name: name.to_owned(), switch: true, owns_data_dir: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_passwd() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:*:-2:-2:x:/:/bin/false\npostgres:x:101:104::/:/bin/sh";
        assert_eq!(find(passwd, "postgres").map(|a| (a.uid, a.gid)), Some((101, 104)));
        assert_eq!(find(passwd, "nobody").map(|a| a.uid), Some(4_294_967_294));
        assert_eq!(find(passwd, "root"), None);
        assert_eq!(find(passwd, "absent"), None);
    }
}
