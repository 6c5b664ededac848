//! The configuration of continuous archiving and of recovery to a moment, for one folder that all of it lies in.
//!
//! ```text
//! FOLDER/
//!   archiving.conf    what PostgreSQL needs to archive its write-ahead log
//!   archive-wal       what it runs for each file
//!   wal/              the files
//!   base/             base backups, one folder each
//!   restore.conf      what a copied base backup needs to be brought up to a moment
//!   recovery.signal   what tells it to do so
//! ```
//!
//! PostgreSQL's manual, "Continuous Archiving and Point-in-Time Recovery", has the rules.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Characters that a shell, PostgreSQL's configuration or its `%` would take for something else.
const MISREAD: [char; 8] = ['\'', '"', '$', '`', '\\', '%', '\n', '\r'];
/// At most so much is lost with the disk of a database in which little happens.
const ARCHIVE_TIMEOUT: &str = "5min";

/// Where an archive is, or shall be.
#[derive(Debug, Clone)]
pub struct Plan {
    folder: PathBuf,
}

/// A file of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationFile {
    /// Its name in the folder.
    pub name: &'static str,
    /// What is in it.
    pub text: String,
    /// Whether it is run.
    pub is_program: bool,
}

/// A folder that cannot be named in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{folder:?} cannot be the folder of an archive: a shell or PostgreSQL would misread a quotation mark, $, `, \\, % or line break \
     in it; name another"
)]
pub struct UnusableFolder {
    folder: PathBuf,
}

impl Plan {
    /// An archive in that folder, which need not be there; it is named in full.
    ///
    /// # Errors
    /// [`UnusableFolder`].
    pub fn of(folder: &Path) -> Result<Self, UnusableFolder> {
        let unusable = || UnusableFolder { folder: folder.to_owned() };
        let absolute = std::path::absolute(folder).map_err(|_| unusable())?;
        match absolute.to_str() {
            Some(text) if !text.contains(MISREAD) => Ok(Self { folder: absolute }),
            _ => Err(unusable()),
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the log is archived; PostgreSQL writes there.
    #[must_use]
    pub fn wal(&self) -> PathBuf {
        self.folder.join("wal")
    }

    /// Where base backups are kept.
    #[must_use]
    pub fn base(&self) -> PathBuf {
        self.folder.join("base")
    }

    /// All files of the configuration.
    #[must_use]
    pub fn files(&self) -> Vec<ConfigurationFile> {
        let folder = self.folder.display();
        let file = |name, text| ConfigurationFile { name, text, is_program: false };
        let program = include_str!("archive-wal.sh").replace("{folder}", &folder.to_string());
        vec![
            file(
                "archiving.conf",
                format!(
                    "# Continuous archiving. At the end of postgresql.conf: include '{folder}/archiving.conf'\n\
                     # wal_level and archive_mode begin with PostgreSQL's next start.\n\
                     wal_level = replica\n\
                     archive_mode = on\n\
                     archive_command = '{folder}/archive-wal \"%p\" \"%f\"'\n\
                     # A file that is not full is archived all the same after so long: no more is lost with the disk.\n\
                     archive_timeout = {ARCHIVE_TIMEOUT}\n"
                ),
            ),
            ConfigurationFile { name: "archive-wal", text: program, is_program: true },
            file(
                "restore.conf",
                format!(
                    "# Recovery: add this to postgresql.auto.conf of a copied base backup, with recovery.signal beside it.\n\
                     restore_command = 'cp \"{folder}/wal/%f\" \"%p\"'\n\
                     # The moment to go back to; without it, all that was archived is gone through.\n\
                     #recovery_target_time = '2026-03-01 12:00:00+00'\n\
                     recovery_target_action = promote\n\
                     # Nobody is let in before the moment is reached.\n\
                     hot_standby = off\n\
                     # A copy to look at must not write into the archive of the original. Take this line out, and make a base\n\
                     # backup, once the copy has taken the original's place.\n\
                     archive_mode = off\n"
                ),
            ),
            file("recovery.signal", String::new()),
        ]
    }

    /// Writes the files, each whole or not at all; those that are there are written over, archived log and base backups are
    /// not touched.
    ///
    /// # Errors
    /// Any [`io::Error`], with the file's name.
    pub fn write(&self) -> io::Result<Vec<PathBuf>> {
        let named =
            |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        for folder in [&self.folder, &self.base()] {
            fs::create_dir_all(folder).map_err(|error| named(folder, error))?;
        }
        let mut written = Vec::new();
        for ConfigurationFile { name, text, is_program } in self.files() {
            let path = self.folder.join(name);
            let new = self.folder.join(format!(".{name}.new"));
            let mode = if is_program { 0o755 } else { 0o644 };
            let write = || {
                let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&new)?;
                file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
                file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
                fs::rename(&new, &path)
            };
            write().map_err(|error| named(&path, error))?;
            written.push(path);
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_folder_that_would_be_misread_is_refused() {
        for folder in ["/it's", "/a\"b", "/$HOME", "/a`b`", "/a\\b", "/100%", "/a\nb"] {
            assert!(Plan::of(Path::new(folder)).is_err(), "{folder:?}");
        }
        assert_eq!(Plan::of(Path::new("/back up/é")).unwrap().wal(), Path::new("/back up/é/wal"));
    }

    #[test]
    fn a_file_is_archived_once_and_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::of(&folder.path().join("the archive")).unwrap();
        plan.write().unwrap();
        fs::create_dir(plan.wal()).unwrap();
        let log = folder.path().join("000000010000000000000001");
        let archive = || {
            let name = log.file_name().unwrap();
            let output = Command::new(plan.folder().join("archive-wal")).arg(&log).arg(name).output().unwrap();
            (output.status.success(), String::from_utf8(output.stderr).unwrap())
        };
        // What a crash left in the middle of a copy.
        fs::write(plan.wal().join(".part"), "half of another").unwrap();
        fs::write(&log, "log").unwrap();
        assert_eq!(archive(), (true, String::new()));
        let there = plan.wal().join(log.file_name().unwrap());
        assert_eq!(fs::read_to_string(&there).unwrap(), "log");
        assert_eq!(archive(), (true, String::new()), "PostgreSQL asks again after a crash");
        fs::write(&log, "another").unwrap();
        let (is_good, told) = archive();
        assert!(!is_good && told.contains("holds something else"), "{told}");
        assert_eq!(fs::read_to_string(&there).unwrap(), "log");
        assert_eq!(fs::read_dir(plan.wal()).unwrap().count(), 1, "nothing is left over");
        fs::remove_dir_all(plan.wal()).unwrap();
        assert!(!archive().0, "nowhere to put it");
    }
}
