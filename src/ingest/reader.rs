use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::draft::{Draft, Extracted, Given};
use super::extraction::{Input, Worker};
use super::format::Format;
use super::jsonl::{self, LineRead};
use super::turns::Turns;
use super::walk::Entry;
use super::{decode, front_matter};

/// What readers find.
#[derive(Debug)]
pub(super) enum Piece {
    Document(Box<Draft>),
    Failed {
        origin: String,
        reason: String,
    },
    /// A file was begun.
    File,
    /// So many bytes were read.
    Bytes(u64),
}

/// Reads entries until there are none, or the run is stopped. Several may share the list.
pub(super) async fn read(
    (entries, turns): (Arc<Vec<Entry>>, Arc<Turns>),
    next: Arc<AtomicUsize>,
    given: Arc<Given>,
    pieces: Sender<Piece>,
    mut worker: Worker,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some(entry) = entries.get(at) else { return };
        let turn = turns.begin(at);
        if pieces.send(Piece::File).await.is_err() {
            return;
        }
        if entry.format == Format::Jsonl {
            if given.replace == Some(true) {
                // Its lines may say again what those of another said.
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = turn.come() => {}
                }
            }
            stream(entry.clone(), Arc::clone(&given), pieces.clone(), stop.clone()).await;
            continue;
        }
        let read = file(entry, &given, &mut worker).await;
        let has_name = |draft: &Draft| draft.replace && draft.source.as_ref() != Some(&given.place_of(&entry.origin));
        if read.as_ref().is_ok_and(has_name) {
            tokio::select! {
                () = stop.cancelled() => return,
                () = turn.come() => {}
            }
        }
        let piece = match read {
            Ok(draft) => match draft.problem() {
                None => Piece::Document(Box::new(draft)),
                Some(reason) => Piece::Failed { origin: draft.origin, reason },
            },
            Err(reason) => Piece::Failed { origin: entry.origin.clone(), reason },
        };
        if pieces.send(piece).await.is_err() || pieces.send(Piece::Bytes(entry.bytes)).await.is_err() {
            return;
        }
    }
}

async fn file(entry: &Entry, given: &Given, worker: &mut Worker) -> Result<Draft, String> {
    let Entry { path, origin, format, bytes, is_stream } = entry;
    let most = format.largest_bytes();
    if *bytes > most {
        return Err(format!("has {bytes} bytes; a {} file may have {}", format.name(), most));
    }
    let path = match path {
        Some(path) if !is_stream => path,
        path => {
            let bytes = whole_stream(path.clone(), most).await?;
            let extracted = match format {
                Format::Html | Format::Pdf | Format::Docx => worker.extract(Input::Bytes(&bytes), *format).await?,
                Format::Text | Format::Markdown | Format::Jsonl => by_text(*format, &bytes)?,
            };
            let is_named = given.source.is_some() || extracted.source.is_some();
            let mut draft = Draft::of_file("stdin", *format, extracted, None, given);
            // The next stream is another text: nothing tells that it corrects this one, unless it has a name.
            if !is_named {
                (draft.source, draft.replace) = (Some(given.source_of_stream(&bytes)), false);
            }
            if path.is_some() {
                draft.origin.clone_from(origin);
            }
            return Ok(draft);
        }
    };
    let extracted = match format {
        Format::Text | Format::Markdown => by_text(*format, &whole(path, most).await?)?,
        _ => worker.extract(Input::File(path), *format).await?,
    };
    let modified_at = tokio::fs::metadata(path).await.and_then(|metadata| metadata.modified()).ok();
    let modified_at = modified_at.and_then(|at| jiff::Timestamp::try_from(at).ok());
    let modified_at = modified_at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    Ok(Draft::of_file(origin, *format, extracted, modified_at, given))
}

/// Never more than `most`, however the file grows.
async fn whole(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    use tokio::io::AsyncReadExt;
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).await.map_err(unreadable)?;
    if bytes.len() as u64 > most { Err(format!("has more than {most} bytes")) } else { Ok(bytes) }
}

/// The same of the standard input or a pipe, on a thread of its own: nobody may ever write to it, and the program must end all the same.
async fn whole_stream(path: Option<PathBuf>, most: u64) -> Result<Vec<u8>, String> {
    let (ended, read) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = match path {
            Some(path) => std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)),
            None => std::io::stdin().take(most + 1).read_to_end(&mut bytes),
        };
        // Nobody waits any more once the run was stopped.
        drop(ended.send(read.map(|_| bytes)));
    });
    let bytes = read.await.map_err(|_| "cannot be read".to_owned())?;
    let bytes = bytes.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > most { Err(format!("has more than {most} bytes")) } else { Ok(bytes) }
}

fn by_text(format: Format, bytes: &[u8]) -> Result<Extracted, String> {
    let text = decode::text(bytes, None)?;
    if format != Format::Markdown {
        return Ok(Extracted { content: text, ..Extracted::default() });
    }
    let (mut fields, body) = front_matter::split(&text)?;
    let mut taken = |names: &[&str]| {
        let name = names.iter().find(|name| fields.get(**name).is_some_and(serde_json::Value::is_string))?;
        fields.remove(*name)?.as_str().map(str::to_owned)
    };
    let heading = || body.lines().find_map(|line| line.strip_prefix("# ")).map(|line| line.trim().to_owned());
    Ok(Extracted {
        title: taken(&["title"]).or_else(heading),
        language: taken(&["language", "lang"]),
        source: taken(&["source", "url"]),
        content: body.to_owned(),
        metadata: fields,
    })
}

/// A stream of lines, on a thread of its own: it may be of any size, and is never held as a whole.
async fn stream(entry: Entry, given: Arc<Given>, pieces: Sender<Piece>, stop: CancellationToken) {
    let origin = entry.origin.clone();
    let failed = pieces.clone();
    let (ended, read) = tokio::sync::oneshot::channel();
    // Not one of the runtime's threads, which would keep the program from ending while the stream is silent.
    std::thread::spawn(move || {
        let each = |read: Option<LineRead>, bytes: u64| {
            let piece = match read {
                Some(LineRead::Document(draft)) => match draft.problem() {
                    None => Some(Piece::Document(draft)),
                    Some(reason) => Some(Piece::Failed { origin: draft.origin, reason }),
                },
                Some(LineRead::Failed(origin, reason)) => Some(Piece::Failed { origin, reason }),
                None => None,
            };
            let sent = piece.is_none_or(|piece| pieces.blocking_send(piece).is_ok());
            sent && pieces.blocking_send(Piece::Bytes(bytes)).is_ok() && !stop.is_cancelled()
        };
        let place = (entry.origin.as_str(), entry.is_stream);
        let read = match &entry.path {
            Some(path) => std::fs::File::open(path).and_then(|file| jsonl::lines(file, place, &given, each)),
            None => jsonl::lines(std::io::stdin(), place, &given, each),
        };
        // Nobody waits any more once the run was stopped.
        drop(ended.send(read));
    });
    if let Ok(Err(error)) = read.await {
        drop(failed.send(Piece::Failed { origin, reason: format!("cannot be read: {error}") }).await);
    }
}
