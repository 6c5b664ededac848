use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio_postgres::Client;

use super::{Finding, Severity, must_see_statistics, or_blind};
use crate::db::{DbError, admin};
use crate::migrations::{self, Checksum, EntryState, Migrations};

/// PostgreSQL's releases that mended holes in what keeps tenants apart or data whole, by major version: older ones are told.
/// <https://www.postgresql.org/support/security/>
const SOUND_FROM: [(i32, i32); 3] = [(16, 160_016), (17, 170_012), (18, 180_007)];
/// A clock that is further off makes rows of the trail lie in the wrong order beside other machines' logs.
const LARGEST_SKEW: Duration = Duration::from_secs(5);
/// With less room on the disk PostgreSQL will soon take no more writes.
const LEAST_ROOM_BYTES: u64 = 1 << 30;

/// Whose schema a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// None: no migration was ever applied.
    Absent,
    /// That of another version of the program, as far as can be told.
    Other,
    /// This version's.
    Own,
}

/// What a deployment stands on.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Folders of this machine that must not run full: our own PostgreSQL's, and where audit rows wait.
    pub folders: Vec<PathBuf>,
    /// It is our own PostgreSQL, whose version is not the operator's to choose.
    pub is_embedded: bool,
}

impl Surroundings {
    pub(super) async fn examine(&self, client: &Client) -> Result<(Vec<Finding>, SchemaState), DbError> {
        let mut findings = or_blind(client, "server_version", self.of_server(client).await)?;
        let (of_schema, schema) = migrations_of(client).await?;
        findings.extend(of_schema);
        findings.extend(self.folders.iter().filter_map(|folder| of_folder(folder, self.is_embedded)));
        if schema != SchemaState::Absent {
            findings.extend(or_blind(client, "slow_statements", slow_statements(client).await)?);
        }
        Ok((findings, schema))
    }

    async fn of_server(&self, client: &Client) -> Result<Vec<Finding>, DbError> {
        let asked = SystemTime::now();
        let server = admin::server(client).await?;
        let took = asked.elapsed().unwrap_or_default();
        let version = of_server(server.version, &server.version_text, self.is_embedded);
        Ok(version.into_iter().chain(of_clock(asked + took / 2, server.now)).collect())
    }
}

/// What a PostgreSQL of that version (`server_version_num`) lacks.
#[must_use]
pub fn of_server(version: i32, text: &str, is_embedded: bool) -> Option<Finding> {
    let major = version / 10_000;
    let sound = SOUND_FROM.iter().find(|(of, _)| *of == major);
    let (severity, detail, remedy) = match sound {
        Some((_, least)) if version >= *least => return None,
        Some((_, least)) => (
            if is_embedded { Severity::Note } else { Severity::Warning },
            format!("is {text}; {major}.{} and newer have what was mended since", least % 10_000),
            if is_embedded {
                "a newer build comes with a newer Bailiwick; `--pg-bin` takes one of yours"
            } else {
                "install the newest minor release: it needs a restart and no migration"
            },
        ),
        None if major > 18 => return None,
        None => (Severity::Fault, format!("is {text}; 16, 17 and 18 are supported"), "move to PostgreSQL 18"),
    };
    Some(Finding {
        check: "server_version",
        severity,
        subject: "PostgreSQL".to_owned(),
        detail,
        remedy: remedy.to_owned(),
    })
}

fn of_clock(ours: SystemTime, theirs: SystemTime) -> Option<Finding> {
    let skew = ours.duration_since(theirs).or_else(|_| theirs.duration_since(ours)).unwrap_or_default();
    (skew > LARGEST_SKEW).then(|| Finding {
        check: "clock",
        severity: Severity::Warning,
        subject: "clock".to_owned(),
        detail: format!("this machine's and the database's are {:.0} s apart", skew.as_secs_f64()),
        remedy: "keep both by NTP: months, budgets and the trail go by the database's, tokens expire by this machine's"
            .to_owned(),
    })
}

async fn migrations_of(client: &Client) -> Result<(Vec<Finding>, SchemaState), DbError> {
    let finding = |subject: String, detail: &str, remedy: &str| Finding {
        check: "migrations",
        severity: Severity::Fault,
        subject,
        detail: detail.to_owned(),
        remedy: remedy.to_owned(),
    };
    let known = Migrations::embedded().map_err(|error| DbError::Other(error.to_string()))?;
    let status = match migrations::status(client, &known).await {
        Ok(status) => status,
        Err(error) => {
            let told = finding("schema".to_owned(), &error.to_string(), "`bailiwick migrate status` tells more");
            return Ok((vec![told], SchemaState::Other));
        }
    };
    if status.pending() == status.entries.len() && status.unknown.is_empty() && !status.dirty {
        let detail = "there is none in this database: no migration was applied to it";
        let remedy = "`bailiwick migrate up` makes it, if this is the right database (BAILIWICK_ADMIN_DATABASE_URL)";
        return Ok((vec![finding("schema".to_owned(), detail, remedy)], SchemaState::Absent));
    }
    let is_other = status.pending() > 0 || !status.unknown.is_empty();
    let mut findings = Vec::new();
    for entry in &status.entries {
        let subject = format!("{:06}_{}", entry.version, entry.name);
        match &entry.state {
            EntryState::Pending => findings.push(finding(subject, "is not applied", "`bailiwick migrate up`")),
            EntryState::Applied { checksum: Checksum::Differs, .. } => findings.push(finding(
                subject,
                "was another when it was applied",
                "compare the schema with sql/init.sql: an edited migration is not run again",
            )),
            EntryState::Applied { .. } => {}
        }
    }
    if status.dirty {
        findings.push(finding(
            "schema_migrations".to_owned(),
            "a migration tool failed in the middle of the current version",
            "see what of it was done, then `migrate force` of that tool",
        ));
    }
    findings.extend(status.unknown.iter().map(|unknown| {
        finding(format!("{:06}", unknown.version), "is of a newer program than this one", "run the newer program")
    }));
    Ok((findings, if is_other { SchemaState::Other } else { SchemaState::Own }))
}

/// What is wrong with the room for a folder, which may be made only when it is first needed.
fn of_folder(folder: &Path, is_embedded: bool) -> Option<Finding> {
    let free = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    let free_bytes = free.f_bavail.saturating_mul(free.f_frsize);
    (free_bytes < LEAST_ROOM_BYTES).then(|| Finding {
        check: "disk",
        severity: if is_embedded { Severity::Fault } else { Severity::Warning },
        subject: folder.display().to_string(),
        detail: format!("{} MiB are left on its disk", free_bytes >> 20),
        remedy: match is_embedded {
            true => "make room: a PostgreSQL whose disk is full takes no more writes",
            false => {
                "make room: audit rows wait there while the database is away, and archives of months are written there"
            }
        }
        .to_owned(),
    })
}

async fn slow_statements(client: &Client) -> Result<Vec<Finding>, DbError> {
    let rows = admin::slow_statements(client).await?;
    if rows.is_some() {
        must_see_statistics(client).await?;
    }
    let Some(rows) = rows else {
        return Ok(vec![Finding {
            check: "slow_statements",
            severity: Severity::Note,
            subject: "pg_stat_statements".to_owned(),
            detail: "is not there, so slow statements are not known".to_owned(),
            remedy: "shared_preload_libraries = 'pg_stat_statements', then CREATE EXTENSION pg_stat_statements"
                .to_owned(),
        }]);
    };
    let findings = rows.into_iter().map(|(subject, detail)| Finding {
        check: "slow_statements",
        severity: Severity::Warning,
        subject,
        detail,
        remedy: "EXPLAIN (ANALYZE, BUFFERS) it; a statement of ours that is slow is worth a report".to_owned(),
    });
    Ok(findings.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_told_and_new_ones_are_not() {
        let severity = |version, is_embedded| of_server(version, "x", is_embedded).map(|finding| finding.severity);
        assert_eq!(severity(150_099, false), Some(Severity::Fault));
        assert_eq!(severity(160_014, false), Some(Severity::Warning));
        assert_eq!(severity(160_016, false), None);
        assert_eq!(severity(180_006, true), Some(Severity::Note));
        assert_eq!(severity(180_007, false), None);
        assert_eq!(severity(190_000, false), None);
    }

    #[test]
    fn clocks_may_differ_a_little_either_way() {
        let now = SystemTime::now();
        let second = Duration::from_secs(1);
        assert_eq!(of_clock(now, now + 4 * second), None);
        assert!(of_clock(now, now + 6 * second).is_some() && of_clock(now + 3_600 * second, now).is_some());
    }

    #[test]
    fn a_full_disk_is_told() {
        // Nothing can be stored there.
        let severity = |folder: &str, is_embedded| of_folder(Path::new(folder), is_embedded).map(|told| told.severity);
        assert_eq!(severity("/proc", true), Some(Severity::Fault));
        // It is asked of the disk that the folder will be on.
        assert_eq!(severity("/proc/nowhere/at/all", false), Some(Severity::Warning));
    }
}
