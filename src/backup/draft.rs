//! A file that is not there until it is whole.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::BackupError;
use super::error::FileContext;

/// `FILE.part`, gone unless it was placed. Whoever writes it holds a lock on it, so that what was left by one that was killed is told
/// from what another is writing.
pub(super) struct Draft {
    path: PathBuf,
    part: PathBuf,
    pub file: File,
    is_placed: bool,
}

impl Draft {
    /// Begins a file, which must not be there yet unless it is to be replaced. Only its owner may read it: everything is in it.
    pub fn create(path: &Path, replace: bool) -> Result<Self, BackupError> {
        if path.is_dir() {
            return Err(BackupError::refused(format!("{} is a folder: name a file in it", path.display())));
        }
        if !replace && path.exists() {
            let path = path.display();
            return Err(BackupError::refused(format!("{path} is there already: name another file, or --replace it")));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&part);
            let file = file.doing("create", &part)?;
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                let path = path.display();
                return Err(BackupError::refused(format!("another backup to {path} is under way")));
            }
            // Whoever had it may have placed or dropped it between our opening it and our lock.
            let named = fs::metadata(&part);
            let ours = file.metadata().doing("read", &part)?;
            if named.is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
                file.set_len(0).doing("write", &part)?;
                return Ok(Self { path: path.to_owned(), part, file, is_placed: false });
            }
        }
    }

    /// Where it is written.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Brings it to the disk and gives it its name.
    pub fn place(mut self, replace: bool) -> Result<(), BackupError> {
        self.file.sync_all().doing("write", &self.part)?;
        if replace {
            fs::rename(&self.part, &self.path).doing("create", &self.path)?;
        } else {
            // A hard link replaces nobody's file, as a rename would.
            fs::hard_link(&self.part, &self.path).doing("create", &self.path)?;
            fs::remove_file(&self.part).doing("remove", &self.part)?;
        }
        self.is_placed = true;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).doing("write", folder)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_placed {
            let _ = fs::remove_file(&self.part);
        }
    }
}
