//! Whether the database could be brought back to a moment: write-ahead log archived without gaps, and a base backup to begin with.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Client;

use super::{CHECKS, Finding, Severity, ask, or_blind};
use crate::archiving::Plan;
use crate::db::DbError;
use crate::db::admin::{self, Archive};

/// More than that waits only where archiving is too slow: 16 files.
const MOST_UNARCHIVED_BYTES: i64 = 16 << 24;
/// Older base backups take long to be brought up to the moment, and all log since must be kept.
const OLDEST_BASE_BACKUP: SignedDuration = SignedDuration::from_hours(8 * 24);

/// Where archiving is on: what it leaves to be lost.
pub(super) async fn of_server(client: &Client) -> Result<Vec<Finding>, DbError> {
    let asked = admin::archive(client).await.map(|archive| match archive.archive_mode == "off" {
        true => Vec::new(),
        false => of_archive(&archive, Timestamp::now()),
    });
    or_blind(client, "archiving", asked)
}

/// How a server archives, and all that is missing before it could be brought back to a moment.
///
/// # Errors
/// Any [`DbError`].
pub async fn examine_archiving(client: &Client) -> Result<(Archive, Vec<Finding>), DbError> {
    let archive = admin::archive(client).await?;
    let mut findings = of_archive(&archive, Timestamp::now());
    for check in CHECKS.iter().filter(|check| check.name == "archiving") {
        findings.extend(ask(client, check).await?);
    }
    findings.sort_by_key(|finding| finding.severity);
    Ok((archive, findings))
}

fn of_archive(archive: &Archive, now: Timestamp) -> Vec<Finding> {
    let warning = |check, subject: &str, detail: String, remedy: &str| Finding {
        check,
        severity: Severity::Warning,
        subject: subject.to_owned(),
        detail,
        remedy: remedy.to_owned(),
    };
    if archive.archive_mode == "off" {
        return vec![warning(
            "archive_mode",
            "archive_mode",
            format!("is off (wal_level is {}): with the disk all is lost since the last dump", archive.wal_level),
            "`bailiwick doctor --pitr FOLDER` writes what it takes; it begins with PostgreSQL's next start",
        )];
    }
    let mut findings = Vec::new();
    if archive.archive_timeout_s == 0 {
        findings.push(warning(
            "archive_settings",
            "archive_timeout",
            "is 0: what a quiet database wrote last is not archived until it has filled 16 MiB".to_owned(),
            "set it to what may be lost, such as 5min",
        ));
    }
    if archive.archive_library.is_empty() && is_bare_copy(&archive.archive_command) {
        findings.push(warning(
            "archive_settings",
            "archive_command",
            "writes over what is in the archive, and answers before it is on disk".to_owned(),
            "take the program archive-wal that `bailiwick doctor --pitr FOLDER` writes",
        ));
    }
    let last = archive
        .last_archived_at
        .map_or_else(|| "nothing was archived yet".to_owned(), |at| format!("the last was at {at:.0}"));
    if let Some(waiting) = archive.unarchived_bytes.filter(|bytes| *bytes > MOST_UNARCHIVED_BYTES) {
        findings.push(warning(
            "archive_lag",
            "write-ahead log",
            format!("{} MiB wait to be archived; {last}", waiting >> 20),
            "see the server's log for what archive_command says, and whether the archive is fast enough",
        ));
    }
    findings.extend(match archive.base_backup_at {
        _ if !archive.sees_base_backups => Some(Finding {
            severity: Severity::Note,
            ..warning(
                "base_backups",
                "base backup",
                "is not for this role to see".to_owned(),
                "GRANT pg_monitor to the administrator's role",
            )
        }),
        None => Some(warning(
            "base_backups",
            "base backup",
            "none is known, and archived log is of use only from one on".to_owned(),
            "make one with pg_basebackup, and one each week from then on",
        )),
        Some(at) if now.duration_since(at) > OLDEST_BASE_BACKUP => Some(warning(
            "base_backups",
            "base backup",
            format!("the last one that is known is of {at:.0}: all log since would have to be gone through"),
            "make one with pg_basebackup each week",
        )),
        Some(_) => None,
    });
    findings
}

/// As half of the world's manuals have it.
fn is_bare_copy(command: &str) -> bool {
    let command = command.trim_start();
    ["cp ", "/bin/cp ", "/usr/bin/cp ", "copy ", "scp ", "rsync "].iter().any(|copy| command.starts_with(copy))
}

/// Whether a database archives already, and not into the folder of that plan.
#[must_use]
pub fn archives_elsewhere(archive: &Archive, plan: &Plan) -> bool {
    let is_other_command = !archive.archive_command.is_empty() && !plan.is_run_by(&archive.archive_command);
    archive.archive_mode != "off" && (!archive.archive_library.is_empty() || is_other_command)
}

/// What is said then: nothing is written, for it would take the place of what works.
#[must_use]
pub fn of_other_archive(folder: &Path) -> Finding {
    Finding {
        check: "archive_folder",
        severity: Severity::Fault,
        subject: folder.display().to_string(),
        detail: "nothing was written there: this database archives already by another command or library, and archiving.conf would take its place"
            .to_owned(),
        remedy: "keep that (its own manual says how to go back to a moment), or first take archive_command and archive_library out of the \
                 configuration (ALTER SYSTEM RESET) and reload it"
            .to_owned(),
    }
}

/// What is wrong with the folder of an archive on this machine: it goes with the database where both are on one disk.
#[must_use]
pub fn of_archive_disk(folder: &Path, data_dir: Option<&Path>) -> Option<Finding> {
    let disk = |path: &Path| std::fs::metadata(path).ok().map(|found| found.dev());
    (disk(folder)? == disk(data_dir?)?).then(|| Finding {
        check: "archive_disk",
        severity: Severity::Note,
        subject: folder.display().to_string(),
        detail: "is on the disk of the database, and is lost with it".to_owned(),
        remedy: "put it on another machine's disk, or copy it there".to_owned(),
    })
}

/// What is wrong with the folder that log shall be archived in from now on: another database's log may be there.
#[must_use]
pub fn of_used_archive(wal: &Path) -> Option<Finding> {
    let mut entries = std::fs::read_dir(wal).ok()?;
    entries.next().is_some().then(|| Finding {
        check: "archive_folder",
        severity: Severity::Warning,
        subject: wal.display().to_string(),
        detail: "holds files already, and this database archives nothing yet".to_owned(),
        remedy: "take another folder: two databases must not archive into one, for their files have the same names"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-03-01T12:00:00Z";

    fn good() -> Archive {
        let now: Timestamp = NOW.parse().unwrap();
        Archive {
            archive_mode: "on".to_owned(),
            wal_level: "replica".to_owned(),
            archive_command: "/backup/archive-wal \"%p\" \"%f\"".to_owned(),
            archive_library: String::new(),
            archive_timeout_s: 300,
            last_archived_wal: Some("000000010000000000000007".to_owned()),
            last_archived_at: Some(now),
            last_failed_wal: None,
            last_failed_at: None,
            unarchived_bytes: Some(1 << 20),
            base_backup_at: Some(now),
            sees_base_backups: true,
        }
    }

    fn archive(change: impl FnOnce(&mut Archive)) -> Vec<(&'static str, String)> {
        let mut archive = good();
        change(&mut archive);
        of_archive(&archive, NOW.parse().unwrap()).into_iter().map(|finding| (finding.check, finding.detail)).collect()
    }

    #[test]
    fn an_archive_that_holds_something_or_lies_beside_the_database_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(of_used_archive(folder.path()), None);
        assert_eq!(of_used_archive(&folder.path().join("nowhere")), None);
        std::fs::write(folder.path().join("000000010000000000000001"), "log").unwrap();
        assert!(of_used_archive(folder.path()).is_some());
        assert!(of_archive_disk(folder.path(), Some(folder.path())).is_some());
        assert_eq!(of_archive_disk(folder.path(), Some(Path::new("/proc"))), None);
        assert_eq!(of_archive_disk(folder.path(), None), None);
    }

    #[test]
    fn what_archives_elsewhere_is_left_alone() {
        let plan = Plan::of(Path::new("/backup")).unwrap();
        let elsewhere = |change: fn(&mut Archive)| {
            let mut archive = good();
            change(&mut archive);
            archives_elsewhere(&archive, &plan)
        };
        assert!(!elsewhere(|_| ()));
        assert!(!elsewhere(|archive| archive.archive_command = "\"/backup/archive-wal\" \"%p\" \"%f\"".to_owned()));
        assert!(elsewhere(|archive| archive.archive_command = "pgbackrest archive-push %p".to_owned()));
        assert!(elsewhere(|archive| archive.archive_library = "basic_archive".to_owned()));
        assert!(!elsewhere(|archive| archive.archive_command = String::new()));
        assert!(!elsewhere(|archive| {
            archive.archive_mode = "off".to_owned();
            archive.archive_command = "pgbackrest archive-push %p".to_owned();
        }));
    }

    #[test]
    fn nothing_is_said_of_a_good_archive_and_each_lack_is_named() {
        assert_eq!(archive(|_| ()), []);
        for (check, found) in [
            ("archive_mode", archive(|archive| archive.archive_mode = "off".to_owned())),
            ("archive_settings", archive(|archive| archive.archive_timeout_s = 0)),
            ("archive_settings", archive(|archive| archive.archive_command = "cp %p /backup/%f".to_owned())),
            ("archive_lag", archive(|archive| archive.unarchived_bytes = Some(1 << 30))),
            ("base_backups", archive(|archive| archive.base_backup_at = None)),
            ("base_backups", archive(|archive| archive.sees_base_backups = false)),
            ("base_backups", archive(|archive| archive.base_backup_at = Some("2026-02-20T12:00:00Z".parse().unwrap()))),
        ] {
            assert!(found.len() == 1 && found[0].0 == check, "{check}: {found:?}");
        }
        let lag = archive(|archive| archive.unarchived_bytes = Some(1 << 30));
        assert_eq!(lag[0].1, "1024 MiB wait to be archived; the last was at 2026-03-01T12:00:00Z");
    }
}
