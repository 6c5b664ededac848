use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::ConnectError;

/// Of a file that was not there: it may hold a password.
const OWNER_ALONE: u32 = 0o600;

/// A client's file as it was read.
pub(super) struct ConfigurationFile {
    /// Where it is, links followed.
    path: PathBuf,
    /// `None` if it is not there.
    found: Option<Found>,
    /// Keeps others of this program waiting until this one has written; clients do not know of it.
    _turn: Option<File>,
}

struct Found {
    text: String,
    mode: u32,
    owner: (u32, u32),
}

/// A file that was written.
pub(super) struct Written {
    /// What was there before.
    pub kept: Option<PathBuf>,
}

trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, ConnectError>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, ConnectError> {
        self.map_err(|source| ConnectError::Io { doing, path: path.to_path_buf(), source })
    }
}

impl ConfigurationFile {
    /// Reads it, following links, so that a link stays one.
    pub(super) fn open(path: &Path) -> Result<Self, ConnectError> {
        let resolved = match fs::canonicalize(path) {
            Ok(resolved) => resolved,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return match fs::read_link(path) {
                    Ok(target) => Err(ConnectError::DanglingLink { link: path.to_path_buf(), target }),
                    Err(_) => Ok(Self { path: path.to_path_buf(), found: None, _turn: None }),
                };
            }
            Err(source) => return Err(source).doing("find", path),
        };
        let turn = resolved.parent().and_then(|folder| File::open(folder).ok());
        let turn = turn.filter(|folder| folder.lock().is_ok());
        let bytes = fs::read(&resolved).doing("read", path)?;
        let about = fs::metadata(&resolved).doing("read", path)?;
        let text = String::from_utf8(bytes).map_err(|error| ConnectError::Shape {
            path: path.to_path_buf(),
            what: format!("it is not UTF-8 (from byte {} on)", error.utf8_error().valid_up_to()),
        })?;
        let found = Found { text, mode: about.permissions().mode() & 0o7777, owner: (about.uid(), about.gid()) };
        Ok(Self { path: resolved, found: Some(found), _turn: turn })
    }

    /// What it holds; nothing if it is not there.
    pub(super) fn text(&self) -> &str {
        self.found.as_ref().map_or("", |found| &found.text)
    }

    /// Whether others than its owner may read it.
    pub(super) fn others_read(&self) -> bool {
        self.found.as_ref().is_some_and(|found| found.mode & 0o044 != 0)
    }

    /// Puts a whole new file in its place, and the old one beside it. `None` if it is not any more what was read.
    pub(super) fn replace(&self, text: &str) -> Result<Option<Written>, ConnectError> {
        let path = &self.path;
        // A rename would get past the mark.
        if self.found.as_ref().is_some_and(|found| found.mode & 0o222 == 0) {
            return Err(ConnectError::ReadOnly(path.clone()));
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).doing("make the folder", folder)?;
        let mut new = NamedTempFile::new_in(folder).doing("write in", folder)?;
        let mode = self.found.as_ref().map_or(OWNER_ALONE, |found| found.mode);
        new.as_file().set_permissions(Permissions::from_mode(mode)).doing("write in", folder)?;
        if let Some(found) = &self.found {
            let about = new.as_file().metadata().doing("write in", folder)?;
            if (about.uid(), about.gid()) != found.owner {
                let (user, group) = found.owner;
                std::os::unix::fs::chown(new.path(), Some(user), Some(group)).doing("keep the owner of", path)?;
            }
        }
        new.write_all(text.as_bytes()).and_then(|()| new.as_file().sync_all()).doing("write in", folder)?;
        let Some(found) = &self.found else {
            return match new.persist_noclobber(path) {
                Ok(_) => Ok(Some(Written { kept: None })),
                Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(None),
                Err(error) => Err(error.error).doing("write", path),
            };
        };
        let kept = self.keep(found)?;
        // Clients write their files, too; what they wrote meanwhile must not be lost.
        if fs::read(path).doing("read", path)? != found.text.as_bytes() {
            fs::remove_file(&kept).doing("remove", &kept)?;
            return Ok(None);
        }
        new.persist(path).map_err(|error| error.error).doing("write", path)?;
        File::open(folder).and_then(|folder| folder.sync_all()).doing("write", folder)?;
        Ok(Some(Written { kept: Some(kept) }))
    }

    /// Writes what was found to a file beside it that was not there yet.
    fn keep(&self, found: &Found) -> Result<PathBuf, ConnectError> {
        let moment = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        for serial in 0_u32.. {
            let serial = if serial == 0 { String::new() } else { format!("-{serial}") };
            let kept = self.path.with_file_name(format!("{name}.{moment}{serial}.bak"));
            let made = OpenOptions::new().write(true).create_new(true).mode(found.mode & 0o600).open(&kept);
            match made {
                Ok(mut file) => {
                    file.write_all(found.text.as_bytes()).and_then(|()| file.sync_all()).doing("write", &kept)?;
                    return Ok(kept);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(source) => return Err(source).doing("write", &kept),
            }
        }
        unreachable!("some number is free")
    }
}
