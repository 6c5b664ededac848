//! Texts out of HTML, PDF and Word files, in a process of its own: whatever a hostile file does to its reader (a panic, an overflowing
//! stack, a loop without end, gigabytes) ends that process and fails that file.

mod docx;
mod html;
mod pdf;
mod worker;

use std::io::{BufRead, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::draft::Extracted;
use super::format::Format;

pub(super) use worker::Worker;

/// Address space that the process may take.
const MOST_MEMORY_BYTES: u64 = 2 << 30;

/// A file to read, as a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    path: PathBuf,
    format: Format,
}

/// What came of it, as a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Done {
    Extracted(Extracted),
    Failed(String),
}

/// The process's work: tasks on stdin, answers on stdout, until stdin ends.
///
/// # Errors
/// If a pipe breaks.
pub fn serve() -> std::io::Result<()> {
    // Where that cannot be had (macOS), time alone bounds it.
    let _ = rustix::process::setrlimit(
        rustix::process::Resource::As,
        rustix::process::Rlimit { current: Some(MOST_MEMORY_BYTES), maximum: Some(MOST_MEMORY_BYTES) },
    );
    let (stdin, mut stdout) = (std::io::stdin().lock(), std::io::stdout().lock());
    for line in stdin.lines() {
        let done = match serde_json::from_str::<Task>(&line?) {
            Ok(task) => match extract(&task) {
                Ok(extracted) => Done::Extracted(extracted),
                Err(why) => Done::Failed(why),
            },
            Err(error) => Done::Failed(format!("cannot be asked for: {error}")),
        };
        serde_json::to_writer(&mut stdout, &done)?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
    }
    Ok(())
}

fn extract(task: &Task) -> Result<Extracted, String> {
    let bytes = std::fs::read(&task.path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut extracted = match task.format {
        Format::Html => html::extract(&bytes)?,
        Format::Pdf => pdf::extract(&bytes)?,
        Format::Docx => docx::extract(&bytes)?,
        Format::Text | Format::Markdown | Format::Jsonl => return Err("needs no process of its own".to_owned()),
    };
    // No text of ours holds it, and PDFs do.
    extracted.content.retain(|character| character != '\0');
    Ok(extracted)
}
