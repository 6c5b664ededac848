//! `bailiwick ingest` and `bailiwick search`: the real binary on real files.

mod files;
mod formats;
mod hostile;
mod restarts;
mod searching;
mod streams;
mod waiting;

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::harness::TestDatabase;

/// What a run said.
#[derive(Debug)]
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// Numbers of the summary.
    fn counts<const N: usize>(&self, names: [&str; N]) -> [u64; N] {
        let report = self.report();
        names.map(|name| report["summary"][name].as_u64().unwrap_or_else(|| panic!("{name}: {report}")))
    }

    /// Failures as `origin: reason`.
    fn failures(&self) -> Vec<String> {
        let report = self.report();
        let failures = report["failures"].as_array().unwrap();
        let mut told: Vec<String> = failures
            .iter()
            .map(|one| format!("{}: {}", one["origin"].as_str().unwrap(), one["reason"].as_str().unwrap()))
            .collect();
        told.sort();
        told
    }
}

async fn command(database: &TestDatabase, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command
        .current_dir(folder)
        .env("BAILIWICK_DATABASE_URL", database.url("bailiwick_app").await)
        .env("BAILIWICK_TENANT", "demo")
        .env("BAILIWICK_USER", "loader")
        .env("BAILIWICK_LOG", "error")
        .env("NO_COLOR", "1")
        .kill_on_drop(true);
    command
}

/// Runs a command of the program in a folder.
async fn run(database: &TestDatabase, folder: &Path, arguments: &[&str]) -> Run {
    run_with(database, folder, arguments, b"").await
}

async fn run_with(database: &TestDatabase, folder: &Path, arguments: &[&str], stdin: &[u8]) -> Run {
    let mut command = command(database, folder).await;
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = stdin.to_vec();
    let writing = tokio::spawn(async move {
        let _ = pipe.write_all(&input).await;
    });
    let output = child.wait_with_output().await.unwrap();
    writing.await.unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A PDF of one page with these lines, as small as can be.
fn pdf(lines: &[&str]) -> Vec<u8> {
    let shown: String = lines.iter().map(|line| format!("({line}) Tj 0 -20 Td ")).collect();
    let stream = format!("BT /F1 12 Tf 72 700 Td {shown}ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>".to_owned(),
        format!("<< /Length {} >>\nstream\n{stream}\nendstream", stream.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
        "<< /Title (Parking rules) >>".to_owned(),
    ];
    let (mut file, mut table) = ("%PDF-1.4\n".to_owned(), "0000000000 65535 f \n".to_owned());
    for (object, number) in objects.iter().zip(1..) {
        table.push_str(&format!("{:010} 00000 n \n", file.len()));
        file.push_str(&format!("{number} 0 obj\n{object}\nendobj\n"));
    }
    let start = file.len();
    file.push_str(&format!(
        "xref\n0 7\n{table}trailer\n<< /Size 7 /Root 1 0 R /Info 6 0 R >>\nstartxref\n{start}\n%%EOF\n"
    ));
    file.into_bytes()
}

/// A Word document with this body and title.
fn docx(body: &str, title: &str) -> Vec<u8> {
    use std::io::Write;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let name = r#"xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main""#;
    for (part, text) in [
        (
            "word/document.xml",
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><w:document {name}><w:body>{body}</w:body></w:document>"
            ),
        ),
        (
            "docProps/core.xml",
            format!(
                "<cp:coreProperties xmlns:cp=\"c\" xmlns:dc=\"d\"><dc:title>{title}</dc:title></cp:coreProperties>"
            ),
        ),
    ] {
        archive.start_file(part, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}
