//! The folder by which one tenant's data get from one database into the other.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::BackupError;
use super::error::FileContext;

/// How such folders are called.
const PREFIX: &str = "restoring-";

/// A folder that only this user may look into, gone with the restore. It is locked as long as the restore lives, so that one that was
/// killed is known to have left it.
pub(super) struct Passage {
    folder: PathBuf,
    _lock: File,
}

impl Passage {
    /// Makes it, and clears away what others left that were killed.
    pub fn open(data_dir: &Path, name: &str) -> Result<Self, BackupError> {
        fs::create_dir_all(data_dir).doing("create", data_dir)?;
        // Nobody clears it away before it is locked.
        let turn = File::open(data_dir).doing("open", data_dir)?;
        turn.lock().doing("lock", data_dir)?;
        remove_abandoned(data_dir);
        let folder = data_dir.join(format!("{PREFIX}{name}"));
        DirBuilder::new().mode(0o700).create(&folder).doing("create", &folder)?;
        let lock = File::open(&folder).doing("open", &folder)?;
        lock.lock().doing("lock", &folder)?;
        Ok(Self { folder, _lock: lock })
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Folders in a data folder that restores of one tenant left when they were killed: its documents may be in them, in plain.
#[must_use]
pub fn abandoned_folders(data_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data_dir).into_iter().flatten().flatten();
    let named = entries.filter(|entry| {
        entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.file_type().is_ok_and(|kind| kind.is_dir())
    });
    let free = |folder: &PathBuf| File::open(folder).is_ok_and(|folder| folder.try_lock().is_ok());
    let mut folders: Vec<_> = named.map(|entry| entry.path()).filter(free).collect();
    folders.sort();
    folders
}

/// Removes them, whatever database they were of.
pub(super) fn clear_abandoned(data_dir: &Path) {
    let Ok(turn) = File::open(data_dir) else { return };
    if turn.lock().is_ok() {
        remove_abandoned(data_dir);
    }
}

fn remove_abandoned(data_dir: &Path) {
    for folder in abandoned_folders(data_dir) {
        let shown = folder.display();
        match fs::remove_dir_all(&folder) {
            Ok(()) => tracing::warn!(folder = %shown, "cleared away what a restore of one tenant left that was killed"),
            Err(error) => {
                tracing::warn!(folder = %shown, %error, "what a restore of one tenant left that was killed cannot be cleared away");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_at_work_is_left_alone_and_what_was_abandoned_is_found_and_goes() {
        let data = tempfile::tempdir().unwrap();
        let passage = Passage::open(data.path(), "7-one").unwrap();
        fs::write(passage.file("tenant.jsonl"), "secret").unwrap();
        let mode = fs::metadata(&passage.folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let left = data.path().join("restoring-8-two");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("tenant.jsonl"), "secret").unwrap();
        fs::create_dir(data.path().join("spool")).unwrap();
        std::os::unix::fs::symlink(data.path().join("spool"), data.path().join("restoring-9")).unwrap();
        assert_eq!(abandoned_folders(data.path()), std::slice::from_ref(&left));
        clear_abandoned(data.path());
        assert_eq!((left.exists(), passage.folder.exists()), (false, true));
        assert!(data.path().join("spool").exists());
        // Of the same name there is only one at a time.
        assert!(Passage::open(data.path(), "7-one").is_err());
        let folder = passage.folder.clone();
        drop(passage);
        assert!(!folder.exists());
        clear_abandoned(Path::new(""));
    }
}
