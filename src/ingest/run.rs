use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{self, Receiver};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::batch::{IngestDocuments, Outcome};
use super::draft::{Draft, Given};
use super::extraction::Worker;
use super::format::Format;
use super::preview::PreviewDocuments;
use super::progress::Progress;
use super::reader::{self, Piece};
use super::report::{Report, printable};
use super::sources::{self, Place, Sources};
use super::turns::Turns;
use super::walk;
use super::writer::{Taken, Writer, pretend};
use crate::call::Calls;
use crate::documents::{Full, Room};
use crate::embedding::Embeddings;
use crate::identity::Caller;

/// Bounds of a batch: its call must end well within its time, and what waits in memory is a few of them. A batch costs two
/// commits, however small it is.
const BATCH_DOCUMENTS: usize = 500;
const BATCH_BYTES: usize = 1 << 20;
/// Batches under way: while one is stored the others are cut into passages, and one stands ready. More would only wait for each
/// other, for a tenant's batches are stored one after the other, in whatever order; where that matters the later one waits.
const MOST_UNDER_WAY: usize = 3;
/// What readers may be ahead.
const PIECES_AHEAD: usize = 64;

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files, folders, patterns, or - for the standard input.
    pub paths: Vec<String>,
    /// What they are written in; by the endings of their names if absent.
    pub format: Option<Format>,
    /// Whether .gitignore and its like keep files out.
    pub respects_ignores: bool,
    /// Readers side by side.
    pub readers: usize,
    /// How long the process that reads HTML, PDF and Word files may take for one.
    pub file_timeout: Duration,
    /// Whether to go on after a failure.
    pub continue_on_error: bool,
    /// Added to each document's metadata: flags.
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// Language of documents that say none.
    pub language: Option<String>,
    /// Source of a stream, or of the one file.
    pub source: Option<String>,
    /// Before the path, in sources.
    pub source_prefix: String,
    /// Whether a source's earlier text is replaced; by the kind of source if absent.
    pub replace: Option<bool>,
}

/// Where documents go.
pub enum Target {
    /// To the caller's tenant.
    Tenant {
        /// The calls by which they are stored.
        calls: Calls,
        /// Who stores them.
        caller: Caller,
        /// With what they will be embedded.
        embeddings: Embeddings,
    },
    /// Nowhere: it is looked what storing them in the caller's tenant would do.
    Look {
        /// The calls by which it is looked.
        calls: Calls,
        /// Who looks.
        caller: Caller,
    },
    /// Nowhere: they are only read.
    Nowhere,
}

/// What takes the batches.
#[derive(Clone)]
enum Sink {
    Storing(Writer<IngestDocuments>),
    Looking(Writer<PreviewDocuments>),
    Nowhere,
}

impl Sink {
    async fn take(&self, batch: &[Draft]) -> Taken {
        match self {
            Self::Storing(writer) => writer.store(batch).await,
            Self::Looking(writer) => writer.store(batch).await,
            Self::Nowhere => pretend(batch),
        }
    }
}

/// Reads everything and stores it. Whatever fails is named on stderr and in the report; what is under way when `stop` is
/// cancelled is stored to its end.
pub async fn run(options: &Options, target: Target, stop: CancellationToken) -> Report {
    let found = walk::find(&options.paths, options.format, options.respects_ignores);
    let (is_dry, is_compared) = (!matches!(target, Target::Tenant { .. }), matches!(target, Target::Look { .. }));
    let mut run = Run {
        report: Report::default(),
        progress: Progress::start(found.entries.iter().map(|entry| entry.bytes).sum()),
        sink: match target {
            Target::Tenant { calls, caller, embeddings } => {
                Sink::Storing(Writer::new(calls, caller, IngestDocuments { embeddings }))
            }
            Target::Look { calls, caller } => {
                let ingest = Arc::new(IngestDocuments { embeddings: Embeddings::default() });
                Sink::Looking(Writer::new(calls, caller, PreviewDocuments(ingest)))
            }
            Target::Nowhere => Sink::Nowhere,
        },
        continue_on_error: options.continue_on_error,
        asked: stop.clone(),
        stop: stop.child_token(),
        sources: Sources::default(),
        room: None,
        under_way: VecDeque::new(),
    };
    run.report.summary.passed_over = found.passed_over;
    run.report.summary.dry_run = is_dry;
    run.report.summary.compared = is_compared;
    for (origin, reason) in found.failures {
        run.fail(origin, reason);
    }
    let started = Instant::now();
    let given = Arc::new(Given {
        source_prefix: options.source_prefix.clone(),
        source: options.source.clone(),
        metadata: options.metadata.clone(),
        language: options.language.clone(),
        replace: options.replace,
    });
    let (entries, next) = (Arc::new(found.entries), Arc::new(AtomicUsize::new(0)));
    let turns = Arc::new(Turns::new());
    let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
    for _ in 0..options.readers.clamp(1, 16) {
        let (entries, next, given) = (Arc::clone(&entries), Arc::clone(&next), Arc::clone(&given));
        tokio::spawn(reader::read(
            (entries, Arc::clone(&turns)),
            next,
            given,
            sender.clone(),
            Worker::new(options.file_timeout),
            run.stop.clone(),
        ));
    }
    drop(sender);
    run.gather(pieces).await;
    run.progress.end();
    let mut report = run.report;
    report.summary.seconds = started.elapsed().as_secs_f64();
    report.summary.complete = !run.stop.is_cancelled();
    report
}

/// A batch and what became of it.
type Stored = (Vec<Draft>, Taken);

struct Run {
    report: Report,
    progress: Progress,
    sink: Sink,
    continue_on_error: bool,
    /// The person's wish.
    asked: CancellationToken,
    /// That, or a failure that is not to be gone on after.
    stop: CancellationToken,
    sources: Sources,
    /// What a run that only looks thinks is left of the quota: as it was, less what the documents before would take.
    room: Option<Room>,
    under_way: VecDeque<(sources::Batch, JoinHandle<Stored>)>,
}

impl Run {
    async fn gather(&mut self, mut pieces: Receiver<Piece>) {
        let (mut batch, mut bytes) = (Vec::<Draft>::new(), 0);
        loop {
            let piece = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                piece = pieces.recv() => piece,
            };
            match piece {
                None => break,
                Some(Piece::File) => self.report.summary.files += 1,
                Some(Piece::Bytes(read)) => self.report.summary.bytes += read,
                Some(Piece::Failed { origin, reason }) => self.fail(origin, reason),
                Some(Piece::Document(draft)) => {
                    let is_full = batch.len() == BATCH_DOCUMENTS || bytes + draft.content.len() > BATCH_BYTES;
                    if is_full && !batch.is_empty() {
                        self.send(std::mem::take(&mut batch)).await;
                        bytes = 0;
                    }
                    bytes += draft.content.len();
                    match self.sources.place(&draft) {
                        Place::Next => {
                            self.sources.note(&draft, batch.len());
                            batch.push(*draft);
                        }
                        Place::Instead(place) => {
                            self.report.summary.superseded += 1;
                            bytes -= batch[place].content.len();
                            batch[place] = *draft;
                        }
                        Place::Taken(first) => {
                            let source = draft.source.unwrap_or_default();
                            let reason = format!("conflict: {first} has the source {source:?}, too; give each its own");
                            self.fail(draft.origin, reason);
                        }
                    }
                }
            }
            self.progress.tell(&self.report.summary);
        }
        // What was read before a failure is good; what a person takes back is not begun any more.
        if !self.asked.is_cancelled() && !batch.is_empty() {
            self.send(batch).await;
        }
        while !self.under_way.is_empty() {
            self.settle().await;
        }
    }

    async fn send(&mut self, batch: Vec<Draft>) {
        let sources = self.sources.end_batch();
        // What is further on is the younger text, and must not be overtaken by the older.
        while self.under_way.len() >= MOST_UNDER_WAY
            || self.under_way.iter().any(|(earlier, _)| sources.follows(earlier))
        {
            self.settle().await;
        }
        let sink = self.sink.clone();
        let task = tokio::spawn(async move {
            let taken = sink.take(&batch).await;
            (batch, taken)
        });
        self.under_way.push_back((sources, task));
    }

    /// Waits for the oldest batch and counts what became of it.
    async fn settle(&mut self) {
        let Some((_, task)) = self.under_way.pop_front() else { return };
        let Ok((batch, taken)) = task.await else {
            self.fail("a batch".to_owned(), "could not be stored: the program failed".to_owned());
            return;
        };
        self.room = self.room.take().or(taken.quota.as_ref().map(Room::of));
        for (draft, outcome) in batch.into_iter().zip(taken.outcomes) {
            let outcome = outcome.map(|outcome| self.fitted(outcome));
            let summary = &mut self.report.summary;
            match outcome {
                Ok(Outcome::Stored { chunks } | Outcome::WouldStore { chunks, .. }) => {
                    summary.stored += 1;
                    summary.chunks += chunks as u64;
                }
                Ok(Outcome::Replaced { chunks } | Outcome::WouldReplace { chunks, .. }) => {
                    summary.replaced += 1;
                    summary.chunks += chunks as u64;
                }
                Ok(Outcome::Unchanged) => summary.unchanged += 1,
                Ok(Outcome::OverQuota(reason)) => self.over_quota(draft.origin, format!("quota_exceeded: {reason}")),
                Ok(Outcome::Ambiguous) => {
                    let source = draft.source.unwrap_or_default();
                    self.fail(
                        draft.origin,
                        format!("conflict: several documents have the source {source:?}; which one is meant?"),
                    );
                }
                Err(reason) => self.fail(draft.origin, reason),
            }
        }
        self.progress.tell(&self.report.summary);
    }

    /// What a look at a document comes to, in view of what those before it leave.
    fn fitted(&mut self, outcome: Outcome) -> Outcome {
        let (documents, bytes) = match outcome {
            Outcome::WouldStore { bytes, .. } => (1, bytes),
            Outcome::WouldReplace { bytes, .. } => (0, bytes),
            other => return other,
        };
        match self.room.as_mut().map(|room| room.take(documents, bytes)) {
            Some(Err(Full { message, hint })) => Outcome::OverQuota(format!("by then {message}. {hint}")),
            Some(Ok(())) | None => outcome,
        }
    }

    /// A run that only looks goes on, for it is to tell how much does not fit; the first stands for those behind it.
    fn over_quota(&mut self, origin: String, reason: String) {
        let summary = &mut self.report.summary;
        summary.over_quota += 1;
        let is_first = summary.first_over_quota.is_none();
        summary.first_over_quota.get_or_insert_with(|| origin.clone());
        match (summary.dry_run, is_first) {
            (false, _) => self.fail(origin, reason),
            (true, true) => {
                self.tell(&origin, &reason);
                self.report.fail(origin, reason);
            }
            (true, false) => self.report.fail(origin, reason),
        }
    }

    fn tell(&self, origin: &str, reason: &str) {
        self.progress.line(&printable(&format!("{origin}: {reason}")));
    }

    fn fail(&mut self, origin: String, reason: String) {
        self.tell(&origin, &reason);
        self.report.fail(origin, reason);
        if !self.continue_on_error {
            self.stop.cancel();
        }
    }
}
