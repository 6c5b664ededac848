//! `bailiwick doctor --pitr`: what recovery to a moment takes here, and what of it is missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;
use tokio_postgres::Client;
use tokio_postgres::config::Host;

use super::{CommandError, is_sound, print, tell};
use crate::archiving::{ConfigurationFile, Plan};
use crate::db::admin::Archive;
use crate::diagnosis;
use crate::startup::Deployment;

/// Stands in what is printed for the folder that was not named.
const SOMEWHERE: &str = "/var/backups/bailiwick";

/// Writes the configuration into the folder, or prints it where none was named, and says how archiving stands.
pub(super) async fn run(
    deployment: &Deployment,
    client: &Client,
    folder: Option<&Path>,
    as_json: bool,
) -> Result<ExitCode, CommandError> {
    let (archive, mut findings) = diagnosis::examine_archiving(client).await?;
    let plan = Plan::of(folder.unwrap_or(Path::new(SOMEWHERE)))?.for_wal_level(&archive.wal_level);
    let is_on = archive.archive_mode != "off";
    let is_elsewhere = folder.is_some() && diagnosis::archives_elsewhere(&archive, &plan);
    if is_elsewhere {
        findings.insert(0, diagnosis::of_other_archive(plan.folder()));
    }
    let written = match folder {
        Some(_) if !is_elsewhere => write(deployment, &plan)?,
        _ => Vec::new(),
    };
    findings.extend(folder.and_then(|_| diagnosis::of_archive_disk(plan.folder(), deployment.data_dir())));
    findings.extend(folder.filter(|_| !is_on).and_then(|_| diagnosis::of_used_archive(&plan.wal())));
    let steps = if is_elsewhere { Vec::new() } else { steps(deployment, &plan)? };
    if as_json {
        let files: BTreeMap<_, _> = plan.files().into_iter().map(|file| (file.name, file.text)).collect();
        let told = json!({
            "sound": is_sound(&findings), "findings": findings, "archive": archive, "folder": plan.folder(), "files": files,
            "written": written, "steps": steps,
        });
        print(&serde_json::to_string_pretty(&told)?);
    } else {
        print(&standing(&archive));
        tell(&findings, &[]);
        for path in &written {
            print(&format!("wrote {}", path.display()));
        }
        if folder.is_none() && !is_on {
            plan.files().iter().for_each(|file| print(&shown(&plan, file)));
        }
        if !steps.is_empty() && (folder.is_some() || !is_on) {
            print("");
            for (at, step) in steps.iter().enumerate() {
                print(&format!("{}. {step}", at + 1));
            }
        }
    }
    Ok(if is_sound(&findings) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(deployment: &Deployment, plan: &Plan) -> Result<Vec<PathBuf>, CommandError> {
    let written = plan.write()?;
    match deployment.server() {
        Some(server) => server.make_folder(&plan.wal())?,
        // Whose user it must be is known on the database's machine.
        None => std::fs::create_dir_all(plan.wal())?,
    }
    Ok(written)
}

/// What is to be done here, in order.
fn steps(deployment: &Deployment, plan: &Plan) -> Result<Vec<String>, CommandError> {
    // For a shell; PostgreSQL's configuration has it in its own quotes.
    let named = plan.folder().display().to_string();
    let folder = shlex::try_quote(&named)?.into_owned();
    let admin = deployment.admin()?;
    let host = match admin.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = admin.get_ports().first().copied().unwrap_or(5432);
    let include = format!("include '{named}/archiving.conf'");
    let first = match deployment.server() {
        Some(server) => vec![
            format!("Add to the end of {}/cluster/postgresql.conf: {include}", server.data_dir().display()),
            "End every bailiwick process, and wait until PostgreSQL has stopped (half a minute); the next one starts it anew.".to_owned(),
        ],
        None => vec![
            format!("On the database's machine, put {folder} where its user can read it, and give it the folder {folder}/wal: chown postgres {folder}/wal"),
            format!("Add to the end of postgresql.conf: {include}"),
            "Restart PostgreSQL.".to_owned(),
        ],
    };
    let programs = deployment.server().map(|server| format!("{}/", server.bin_dir().display())).unwrap_or_default();
    let user = admin.get_user().unwrap_or("postgres");
    let rest = [
        format!(
            "Make a base backup, and one each week: {programs}pg_basebackup --host={host} --port={port} --username={user} \
             --checkpoint=fast --manifest-checksums=SHA256 --pgdata={folder}/base/$(date +%F)"
        ),
        format!("Verify it: {programs}pg_verifybackup {folder}/base/$(date +%F)"),
        "Run `bailiwick doctor --pitr` again: it must find nothing.".to_owned(),
        "Going back to a moment is in docs/operations.md.".to_owned(),
    ];
    Ok(first.into_iter().chain(rest).collect())
}

fn standing(archive: &Archive) -> String {
    let Archive { archive_mode, wal_level, .. } = archive;
    let at = |moment: Option<jiff::Timestamp>| moment.map_or_else(|| "never".to_owned(), |at| format!("{at:.0}"));
    let mut told = format!(
        "archive_mode {archive_mode}, wal_level {wal_level}; last archived {}, last failed {}, last base backup {}",
        at(archive.last_archived_at),
        at(archive.last_failed_at),
        at(archive.base_backup_at)
    );
    if let (Some(bytes), true) = (archive.unarchived_bytes, archive_mode != "off") {
        told.push_str(&format!("; {} KiB not archived yet", bytes >> 10));
    }
    told
}

fn shown(plan: &Plan, file: &ConfigurationFile) -> String {
    let kind = if file.is_program { " (to be run: chmod 755)" } else { "" };
    let text = if file.text.is_empty() { "(empty)\n" } else { &file.text };
    format!("\n==> {}/{}{kind}\n{text}", plan.folder().display(), file.name)
}
