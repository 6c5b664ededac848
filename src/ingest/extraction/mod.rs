//! Texts out of HTML, PDF and Word files, in a process of its own: whatever a hostile file does to its reader (a panic, an overflowing
//! stack, a loop without end, gigabytes) ends that process and fails that file.

mod docx;
mod html;
mod pdf;
mod worker;

use std::io::{BufRead, Read, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::draft::Extracted;
use super::format::Format;

pub(super) use worker::{Input, Worker};

/// Address space that the process may take.
const MOST_MEMORY_BYTES: u64 = 2 << 30;

/// What to read, as a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    place: Place,
    format: Format,
}

/// Where it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    File(PathBuf),
    /// Behind the line, so many bytes: what came by a stream is nowhere else, and is not put on a disk for this.
    Behind(u64),
}

/// What came of it, as a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Done {
    Extracted(Extracted),
    Failed(String),
}

/// The process's work: tasks on stdin (a line, and the bytes that it says are behind it), answers on stdout, until stdin ends.
///
/// # Errors
/// If a pipe breaks.
pub fn serve() -> std::io::Result<()> {
    // Where that cannot be had (macOS), time alone bounds it.
    let _ = rustix::process::setrlimit(
        rustix::process::Resource::As,
        rustix::process::Rlimit { current: Some(MOST_MEMORY_BYTES), maximum: Some(MOST_MEMORY_BYTES) },
    );
    let (mut stdin, mut stdout) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut line = Vec::new();
    loop {
        line.clear();
        if stdin.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let done = match serde_json::from_slice::<Task>(&line) {
            Ok(task) => match bytes(&task.place, &mut stdin)?.and_then(|bytes| extract(&bytes, task.format)) {
                Ok(extracted) => Done::Extracted(extracted),
                Err(why) => Done::Failed(why),
            },
            Err(error) => Done::Failed(format!("cannot be asked for: {error}")),
        };
        serde_json::to_writer(&mut stdout, &done)?;
        stdout.write_all(b"\n")?;
        stdout.flush()?;
    }
}

/// What is at the place; in words why it cannot be read. A pipe that ends too early is nobody's file, but the end of the process.
fn bytes(place: &Place, stdin: &mut impl Read) -> std::io::Result<Result<Vec<u8>, String>> {
    let length = match place {
        Place::File(path) => return Ok(std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))),
        Place::Behind(length) => *length,
    };
    let mut bytes = Vec::new();
    match stdin.take(length).read_to_end(&mut bytes)? as u64 == length {
        true => Ok(Ok(bytes)),
        false => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

fn extract(bytes: &[u8], format: Format) -> Result<Extracted, String> {
    let mut extracted = match format {
        Format::Html => html::extract(bytes)?,
        Format::Pdf => pdf::extract(bytes)?,
        Format::Docx => docx::extract(bytes)?,
        Format::Text | Format::Markdown | Format::Jsonl => return Err("needs no process of its own".to_owned()),
    };
    // No text of ours holds it, and PDFs do.
    extracted.content.retain(|character| character != '\0');
    Ok(extracted)
}
