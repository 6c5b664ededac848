//! `pg_restore` at work.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::process::Stdio;

use tokio_postgres::Client;

use super::program::{Program, listen};
use super::scratch::Scratch;
use super::{BackupError, BackupFile, Manifest, Programs, Step};
use crate::db::{DbError, admin};

const AVAILABLE_EXTENSIONS: &str = include_str!("../../sql/queries/backup/available_extensions.sql");

/// Extensions without which nothing works; others are left out where the server has none.
const NEEDED: [&str; 2] = ["vector", "pg_trgm"];
/// The database is thrown away unless all of it comes to the disk, which the transaction that puts it in its place sees to. A session
/// may have nothing to do while another builds an index.
const OPTIONS: &str = "-c synchronous_commit=off -c idle_session_timeout=0";
/// For building indexes, of all jobs together: one of vectors whose graph does not fit is built several times slower.
const BUILD_MEMORY_MB: usize = 1_024;
const LEAST_BUILD_MEMORY_MB: usize = 64;

/// What `pg_restore` is to do, once it is known that it can.
pub(super) struct Filling {
    program: Program,
    /// Extensions that this server does not have.
    pub left_out: Vec<String>,
}

impl Filling {
    /// Compares the versions of backup, program and server.
    pub async fn prepare(programs: &Programs, client: &Client, backup: &BackupFile) -> Result<Self, BackupError> {
        let manifest = backup.manifest();
        let program = programs.find("pg_restore").await?;
        let server = admin::server(client).await?;
        check_versions(manifest, &program, server.version, &server.version_text)?;
        Ok(Self { program, left_out: missing_extensions(manifest, client).await? })
    }

    /// Fills the scratch database, some tables and indexes at a time.
    pub async fn run(
        &self,
        backup: &BackupFile,
        scratch: &Scratch,
        jobs: usize,
        tell: &(dyn Fn(Step) + Sync),
    ) -> Result<(), BackupError> {
        let contents = self.program.output(&[OsStr::new("--list"), backup.path().as_os_str()]).await?;
        let of = contents.lines().filter(|line| !line.starts_with(';') && !line.is_empty()).count() as u64;
        let list = if self.left_out.is_empty() { None } else { Some(list_without(&contents, &self.left_out)?) };
        let mut command = self.program.command(scratch.connection());
        let build_memory_mb = (BUILD_MEMORY_MB / jobs.max(1)).max(LEAST_BUILD_MEMORY_MB);
        let mut options = format!("{OPTIONS} -c maintenance_work_mem={build_memory_mb}MB");
        // Whatever the URL sets goes on top.
        if let Some((_, own)) = scratch.connection().environment().into_iter().find(|(name, _)| *name == "PGOPTIONS") {
            options = format!("{options} {}", own.to_string_lossy());
        }
        command.env("PGOPTIONS", options);
        // `tenant_statistics` is filled through the policies of its owner.
        command.args(["--format=custom", "--enable-row-security", "--exit-on-error", "--verbose", "--no-password"]);
        command.arg(format!("--jobs={jobs}")).arg(format!("--dbname={}", scratch.name()));
        if let Some(list) = &list {
            command.arg("--use-list").arg(list.path());
        }
        let mut child = command
            .arg(backup.path())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| self.program.failed(error.to_string()))?;
        let mut items = 0;
        let failure = match child.stderr.take() {
            None => String::new(),
            Some(stderr) => {
                let listened = listen(stderr, |line| {
                    if let Some(item) = item(line) {
                        items += 1;
                        tell(Step::Filling { items: items.min(of), of, item });
                    }
                });
                listened.await.map_err(|error| self.program.failed(error.to_string()))?
            }
        };
        let status = child.wait().await.map_err(|error| self.program.failed(error.to_string()))?;
        match status.success() {
            true => Ok(()),
            false if failure.is_empty() => Err(self.program.failed(status.to_string())),
            false => Err(self.program.failed(failure)),
        }
    }
}

/// What `pg_restore` turns to, from a line of its own.
fn item(line: &str) -> Option<String> {
    let said = line.strip_prefix("pg_restore: ")?;
    let rest = said
        .strip_prefix("creating ")
        .or_else(|| said.strip_prefix("processing data for "))
        .or_else(|| said.strip_prefix("executing SEQUENCE SET "))?;
    Some(rest.replace("\"public.", "").replace('"', ""))
}

fn check_versions(manifest: &Manifest, program: &Program, server: i32, server_text: &str) -> Result<(), BackupError> {
    let (dumped, server_major) = (manifest.server.version / 10_000, server / 10_000);
    if server_major < dumped {
        return Err(BackupError::refused(format!(
            "this backup is of PostgreSQL {}, and this server is {server_text}: a dump is not restored into an older major version",
            manifest.server.version_text
        )));
    }
    let (tool, written) = (program.major, manifest.dump_major());
    if server_major < written {
        return Err(BackupError::refused(format!(
            "this dump was written by pg_dump {}, and this server is {server_text}: what a newer pg_dump writes an older server does not read. \
             Restore it on a server of PostgreSQL {written}",
            manifest.dump.pg_dump
        )));
    }
    if tool < written || tool > server_major {
        return Err(BackupError::refused(format!(
            "this pg_restore is of PostgreSQL {}: the dump was written by pg_dump {} and the server is {server_text}, which takes a pg_restore \
             of {written}{}. Install it, or name its folder by --pg-bin",
            program.version,
            manifest.dump.pg_dump,
            if written == server_major { String::new() } else { format!(" to {server_major}") },
        )));
    }
    Ok(())
}

/// Extensions of the dump that this server cannot make; without the needed ones nothing is restored.
async fn missing_extensions(manifest: &Manifest, client: &Client) -> Result<Vec<String>, BackupError> {
    let rows = client.query(AVAILABLE_EXTENSIONS, &[]).await.map_err(DbError::from)?;
    let available = rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("version")?)));
    let available = available.collect::<Result<BTreeMap<String, Option<String>>, DbError>>()?;
    let mut left_out = Vec::new();
    for (name, version) in &manifest.server.extensions {
        let here = available.get(name);
        if here.is_none() && NEEDED.contains(&name.as_str()) {
            return Err(BackupError::refused(format!(
                "this server does not have the extension {name} ({version} in the backup): install its package"
            )));
        }
        if let (true, Some(Some(here))) = (name == "vector", here)
            && numbers(here) < numbers(version)
        {
            return Err(BackupError::refused(format!(
                "this server has pgvector {here}, and the backup is of {version}: install that version or a newer one"
            )));
        }
        if here.is_none() {
            left_out.push(name.clone());
        }
    }
    Ok(left_out)
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

/// The table of contents without some extensions and what is said of them.
fn list_without(contents: &str, extensions: &[String]) -> Result<tempfile::NamedTempFile, BackupError> {
    let is_of = |line: &str| {
        extensions.iter().any(|name| {
            line.contains(&format!(" EXTENSION - {name} ")) || line.contains(&format!(" COMMENT - EXTENSION {name} "))
        })
    };
    let kept: String = contents.lines().filter(|line| !is_of(line)).map(|line| format!("{line}\n")).collect();
    let written = tempfile::NamedTempFile::new().and_then(|mut file| file.write_all(kept.as_bytes()).map(|()| file));
    written.map_err(|source| BackupError::File { doing: "write a list to", path: std::env::temp_dir(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_left_out_with_its_comment_and_nothing_else() {
        let contents = "4; 3079 18593 EXTENSION - pg_stat_statements \n4020; 0 0 COMMENT - EXTENSION pg_stat_statements \n3; 3079 16732 EXTENSION - pg_trgm \n; pg_stat_statements\n";
        let list = list_without(contents, &["pg_stat_statements".to_owned()]).unwrap();
        let kept = std::fs::read_to_string(list.path()).unwrap();
        assert_eq!(kept, "3; 3079 16732 EXTENSION - pg_trgm \n; pg_stat_statements\n");
    }

    #[test]
    fn lines_of_work_are_told_from_others() {
        assert_eq!(item("pg_restore: creating TABLE \"public.documents\"").as_deref(), Some("TABLE documents"));
        assert_eq!(
            item("pg_restore: processing data for table \"public.documents\"").as_deref(),
            Some("table documents")
        );
        assert_eq!(item("pg_restore: launching item 4315 ACL TABLE fresh_postings"), None);
    }
}
