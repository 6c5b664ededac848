//! A file that is not there until it is whole.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::BackupError;
use super::error::FileContext;

/// `FILE.part`, gone unless it is whole. Whoever writes it holds a lock on it, so that what was left by one that was killed is told
/// from what another is writing.
pub(super) struct Draft {
    path: PathBuf,
    part: PathBuf,
    pub file: File,
    stays: bool,
}

impl Draft {
    /// Begins a file, which must not be there yet unless it is to be replaced. Only its owner may read it: everything is in it. So it is
    /// always a new one, whatever somebody may have put in its place before.
    pub fn create(path: &Path, replace: bool) -> Result<Self, BackupError> {
        let shown = path.display();
        if path.is_dir() {
            return Err(BackupError::refused(format!("{shown} is a folder: name a file in it")));
        }
        if let Ok(there) = fs::symlink_metadata(path) {
            if !there.is_file() {
                let why = "is a link, a device or a pipe, and is not replaced: name a file, or - for stdout";
                return Err(BackupError::refused(format!("{shown} {why}")));
            }
            if !replace {
                return Err(BackupError::refused(format!(
                    "{shown} is there already: name another file, or --replace it"
                )));
            }
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        loop {
            let mut new = OpenOptions::new();
            new.read(true).write(true).create_new(true).mode(0o600);
            match new.open(&part) {
                Ok(file) => {
                    lock(&file, path, true)?;
                    // Another may have taken it for left over between our making it and our lock.
                    if is_named(&file, &part)? {
                        return Ok(Self { path: path.to_owned(), part, file, stays: false });
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => clear(&part, path)?,
                Err(error) => return Err(error).doing("create", &part),
            }
        }
    }

    /// Where it is written.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// Brings it to the disk and gives it its name. Where that fails it stays as it is, for all of it is there.
    pub fn place(mut self, replace: bool) -> Result<(), BackupError> {
        self.file.sync_all().doing("write", &self.part)?;
        self.stays = true;
        let named = match replace {
            true => fs::rename(&self.part, &self.path),
            false => name(&self.part, &self.path),
        };
        named.map_err(|error| {
            let (path, part) = (self.path.display(), self.part.display());
            BackupError::refused(format!(
                "cannot create {path}: {error}. The backup is whole and is in {part}: rename it"
            ))
        })?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).doing("write", folder)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.stays {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Takes the lock on a draft. There are file systems without locks; a new file is our own there, too.
fn lock(file: &File, path: &Path, is_new: bool) -> Result<(), BackupError> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => {
            Err(BackupError::refused(format!("another backup to {} is under way", path.display())))
        }
        Err(error) if is_new => {
            tracing::debug!(%error, "the file cannot be locked");
            Ok(())
        }
        Err(error) => Err(BackupError::refused(format!(
            "{0}.part is there and cannot be locked ({error}): remove it, unless another backup to {0} is under way",
            path.display()
        ))),
    }
}

/// Removes what one that was killed has left; nothing is ever written into it.
fn clear(part: &Path, path: &Path) -> Result<(), BackupError> {
    let mut there = OpenOptions::new();
    there.read(true).write(true);
    there.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    match there.open(part) {
        Ok(file) => {
            if !file.metadata().doing("read", part)?.is_file() {
                return Err(BackupError::refused(format!("{} is no file: remove it", part.display())));
            }
            lock(&file, path, false)?;
            if is_named(&file, part)? {
                fs::remove_file(part).doing("remove", part)?;
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => Err(BackupError::refused(format!(
            "{} is a link, and nothing is written where it leads: remove it",
            part.display()
        ))),
        Err(error) => Err(error).doing("open", part),
    }
}

fn is_named(file: &File, name: &Path) -> Result<bool, BackupError> {
    let ours = file.metadata().doing("read", name)?;
    let named = fs::symlink_metadata(name);
    Ok(named.is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())))
}

/// Gives a file a name that nobody has. A hard link replaces nobody's file, as a rename would.
fn name(part: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(part, path) {
        Ok(()) => fs::remove_file(part),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => name_without_links(part, path),
    }
}

/// Where a file system has no links: takes the name by a file of its own, and renames over that.
fn name_without_links(part: &Path, path: &Path) -> io::Result<()> {
    drop(OpenOptions::new().write(true).create_new(true).open(path)?);
    fs::rename(part, path).inspect_err(|_| drop(fs::remove_file(path)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn said(result: Result<impl Sized, BackupError>) -> String {
        result.map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn nothing_is_written_into_what_somebody_else_put_in_the_drafts_place() {
        let folder = tempfile::tempdir().unwrap();
        let (path, part) = (folder.path().join("x"), folder.path().join("x.part"));
        // Open to all, and kept open by whoever wants to read along.
        fs::write(&part, "planted").unwrap();
        fs::set_permissions(&part, fs::Permissions::from_mode(0o666)).unwrap();
        let kept = File::open(&part).unwrap();
        let mut draft = Draft::create(&path, false).unwrap();
        assert_eq!(draft.file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        draft.file.write_all(b"everything").unwrap();
        draft.place(false).unwrap();
        assert_eq!(io::read_to_string(kept).unwrap(), "planted");
        assert_eq!(fs::read_to_string(&path).unwrap(), "everything");

        let victim = folder.path().join("victim");
        fs::write(&victim, "as it was").unwrap();
        symlink(&victim, &part).unwrap();
        let told = said(Draft::create(&path, true));
        assert!(told.contains("is a link"), "{told}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
    }

    #[test]
    fn only_a_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
        symlink(&victim, &link).unwrap();
        for path in [&link, Path::new("/dev/null")] {
            let told = said(Draft::create(path, true));
            assert!(told.contains("is not replaced"), "{told}");
        }
        assert!(!Path::new("/dev/null.part").exists());
    }

    #[test]
    fn a_whole_backup_stays_where_its_name_is_taken_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let (path, part) = (folder.path().join("x"), folder.path().join("x.part"));
        let mut draft = Draft::create(&path, false).unwrap();
        draft.file.write_all(b"everything").unwrap();
        fs::write(&path, "somebody's").unwrap();
        let told = said(draft.place(false));
        assert!(told.contains("is whole") && told.contains("x.part"), "{told}");
        assert_eq!(
            (fs::read_to_string(&path).unwrap(), fs::read_to_string(&part).unwrap()),
            ("somebody's".into(), "everything".into())
        );

        // As on a file system that has no links.
        assert_eq!(name_without_links(&part, &path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's");
        fs::remove_file(&path).unwrap();
        name_without_links(&part, &path).unwrap();
        assert_eq!((fs::read_to_string(&path).unwrap(), part.exists()), ("everything".into(), false));
    }
}
