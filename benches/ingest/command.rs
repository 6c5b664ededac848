//! `bailiwick ingest`, the program itself: files of a folder, and a stream of JSON lines that is far larger than its memory.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio_postgres::config::Host;

use crate::world::Result;
use crate::world::database::Database;
use crate::world::debian::Text;

/// Files of a folder and a stream, each stored and then found stored.
pub async fn measure(database: &Database, texts: &[Text], files: usize, mib: usize) -> Result<Value> {
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let notes = folder.path().join("notes");
    std::fs::create_dir(&notes)?;
    for (text, at) in texts.iter().zip(0..files) {
        std::fs::write(notes.join(format!("{at}.md")), format!("# {}\n\n{}\n", text.title, text.body))?;
    }
    let lines = stream(&folder.path().join("lines.jsonl"), texts, mib << 20)?;
    let mut rows = Vec::new();
    for (what, path) in
        [("files", "notes"), ("files again", "notes"), ("stream", "lines.jsonl"), ("stream again", "lines.jsonl")]
    {
        if what == "files" || what == "stream" {
            database.tenant(&format!("command-{what}")).await?;
        }
        let tenant = format!("command-{}", what.trim_end_matches(" again"));
        let (report, peak_bytes) = run(database, &tenant, folder.path(), path).await?;
        let summary = &report["summary"];
        let documents: u64 =
            ["stored", "replaced", "unchanged"].iter().filter_map(|name| summary[*name].as_u64()).sum();
        let seconds = summary["seconds"].as_f64().unwrap_or(f64::NAN);
        let (per_s, mib_per_s) =
            (documents as f64 / seconds, summary["bytes"].as_f64().unwrap_or(0.0) / seconds / 1_048_576.0);
        let peak_mib = peak_bytes as f64 / 1_048_576.0;
        println!(
            "bailiwick ingest, {what}: {documents} documents, {per_s:.0}/s, {mib_per_s:.1} MiB/s, at most {peak_mib:.0} MiB of memory"
        );
        rows.push(json!({ "what": what, "documents": documents, "documents_per_s": per_s, "mib_per_s": mib_per_s, "peak_mib": peak_mib, "summary": summary }));
    }
    Ok(json!({ "files": files, "lines": lines, "jsonl_mib": mib, "runs": rows }))
}

/// Lines of two descriptions each, of that size together; how many.
fn stream(path: &Path, texts: &[Text], bytes: usize) -> Result<usize> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    let (mut written, mut lines) = (0, 0);
    while written < bytes {
        let (one, other) = (&texts[lines % texts.len()], &texts[(lines * 7 + lines / texts.len() + 1) % texts.len()]);
        let line = json!({ "title": one.title, "content": format!("{}\n\n{}", one.body, other.body), "line": lines })
            .to_string();
        writeln!(file, "{line}")?;
        written += line.len() + 1;
        lines += 1;
    }
    file.flush()?;
    Ok(lines)
}

/// Runs the program: its report, and the most memory it had (`VmHWM`), in bytes.
async fn run(database: &Database, tenant: &str, folder: &Path, path: &str) -> Result<(Value, u64)> {
    let child = Command::new(env!("CARGO_BIN_EXE_bailiwick"))
        .args(["ingest", "--json", "--tenant", tenant, path])
        .current_dir(folder)
        .env("BAILIWICK_DATABASE_URL", url(&database.app)?)
        .env("BAILIWICK_ADMIN_DATABASE_URL", url(&database.admin)?)
        .env("BAILIWICK_LOG", "error")
        .stdout(Stdio::piped())
        .spawn()?;
    let status = format!("/proc/{}/status", child.id().ok_or("the program is gone")?);
    let watching = tokio::spawn(async move {
        let mut peak_kib = 0;
        while let Ok(status) = tokio::fs::read_to_string(&status).await {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let Some(kib) = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()) else {
                break;
            };
            peak_kib = peak_kib.max(kib);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        peak_kib * 1_024
    });
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        return Err(format!("bailiwick ingest: {}", output.status).into());
    }
    Ok((serde_json::from_slice(&output.stdout)?, watching.await?))
}

/// The socket's folder as a URL for another process.
fn url(config: &tokio_postgres::Config) -> Result<String> {
    let Some(Host::Unix(folder)) = config.get_hosts().first() else {
        return Err("the bench's server has a socket".into());
    };
    let folder = folder.display().to_string().replace('/', "%2F");
    let (user, port) = (config.get_user().unwrap_or_default(), config.get_ports().first().copied().unwrap_or(5432));
    Ok(format!("postgresql://{user}@{folder}:{port}/{}", config.get_dbname().unwrap_or_default()))
}
