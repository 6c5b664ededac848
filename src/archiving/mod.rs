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
    /// Whether the database's log must be told to hold enough.
    raises_wal_level: bool,
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
            Some(text) if !text.contains(MISREAD) => Ok(Self { folder: absolute, raises_wal_level: false }),
            _ => Err(unusable()),
        }
    }

    /// The same for a database of that `wal_level`. One that suffices is left alone: PostgreSQL would not start with a lower one while a
    /// logical slot is there. What an earlier run of this has raised stays.
    #[must_use]
    pub fn for_wal_level(mut self, wal_level: &str) -> Self {
        let there = fs::read_to_string(self.folder.join("archiving.conf")).unwrap_or_default();
        let is_ours = wal_level == "replica" && there.lines().any(|line| line.starts_with("wal_level"));
        self.raises_wal_level = wal_level == "minimal" || is_ours;
        self
    }

    /// Whether a database that archives by this command archives here.
    #[must_use]
    pub fn is_run_by(&self, archive_command: &str) -> bool {
        archive_command.contains(&format!("{}/archive-wal", self.folder.display()))
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
        let wal_level = if self.raises_wal_level { "wal_level = replica\n" } else { "" };
        let program = include_str!("archive-wal.sh").replace("{folder}", &folder.to_string());
        vec![
            file(
                "archiving.conf",
                format!(
                    "# Continuous archiving. At the end of postgresql.conf: include '{folder}/archiving.conf'\n\
                     # It begins with PostgreSQL's next start.\n\
                     {wal_level}archive_mode = on\n\
                     archive_command = '\"{folder}/archive-wal\" \"%p\" \"%f\"'\n\
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
                     # A copy to look at must not write into the archive of the original. Once it takes the original's place, all of\n\
                     # these go: ALTER SYSTEM RESET each, restart, and make a base backup.\n\
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

    /// PostgreSQL hands the command to a shell.
    #[test]
    fn the_command_is_run_whatever_the_folder_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::of(&folder.path().join("back up; & | (a) < b > * ? #")).unwrap();
        plan.write().unwrap();
        fs::create_dir(plan.wal()).unwrap();
        let log = folder.path().join("000000010000000000000001");
        fs::write(&log, "log").unwrap();
        let conf = fs::read_to_string(plan.folder().join("archiving.conf")).unwrap();
        let command =
            conf.lines().find_map(|line| line.strip_prefix("archive_command = '")?.strip_suffix('\'')).unwrap();
        assert!(plan.is_run_by(command) && !plan.is_run_by("pgbackrest archive-push %p"));
        let command = command.replace("%p", log.to_str().unwrap()).replace("%f", "000000010000000000000001");
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::read_to_string(plan.wal().join("000000010000000000000001")).unwrap(), "log");
    }

    #[test]
    fn only_a_level_that_does_not_suffice_is_raised() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::of(folder.path()).unwrap();
        let raises = |plan: &Plan| plan.files()[0].text.contains("wal_level = replica");
        for (level, wanted) in [("logical", false), ("replica", false), ("minimal", true)] {
            assert_eq!(raises(&plan.clone().for_wal_level(level)), wanted, "{level}");
        }
        plan.clone().for_wal_level("minimal").write().unwrap();
        assert!(raises(&plan.clone().for_wal_level("replica")), "it would be minimal again with the next start");
        assert!(!raises(&plan.for_wal_level("logical")));
    }

    #[test]
    fn a_file_system_without_links_archives_too() {
        let folder = tempfile::tempdir().unwrap();
        let plan = Plan::of(&folder.path().join("archive")).unwrap();
        plan.write().unwrap();
        fs::create_dir(plan.wal()).unwrap();
        let (log, without) = (folder.path().join("1"), folder.path().join("bin"));
        fs::write(&log, "log").unwrap();
        fs::create_dir(&without).unwrap();
        fs::write(without.join("ln"), "#!/bin/sh\nexit 1\n").unwrap();
        fs::set_permissions(without.join("ln"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", without.display(), std::env::var("PATH").unwrap());
        let output =
            Command::new(plan.folder().join("archive-wal")).arg(&log).arg("1").env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::read_to_string(plan.wal().join("1")).unwrap(), "log");
        assert_eq!(fs::read_dir(plan.wal()).unwrap().count(), 1, "nothing is left over");
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
