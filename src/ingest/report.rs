use serde::Serialize;

/// Failures that are kept by name; each is told when it happens, however many there are.
const MOST_KEPT: usize = 1_000;

/// What a run came to.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// In numbers.
    pub summary: Summary,
    /// What failed, the first 1,000.
    pub failures: Vec<Failed>,
    /// How far the embedding is, where it was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Embedding>,
}

/// How far the embedding of what a tenant has stored is.
#[derive(Debug, Serialize)]
pub struct Embedding {
    /// Documents that still wait.
    pub pending: u64,
    /// Documents of this run that were given up.
    pub failed: u64,
    /// What most of them ended with last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it was waited for after all was stored, in seconds.
    pub seconds: f64,
}

/// A run in numbers.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Files that were read, or begun.
    pub files: u64,
    /// Files of folders that are of no format that is read.
    pub passed_over: u64,
    /// New documents.
    pub stored: u64,
    /// Documents that took the place of what their source said before.
    pub replaced: u64,
    /// Documents that were there already.
    pub unchanged: u64,
    /// Lines whose source came again further on, with --replace: the last one counts.
    pub superseded: u64,
    /// Documents that the quota left no room for; they count as failed, too.
    pub over_quota: u64,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_over_quota: Option<String>,
    /// Files, lines and documents that failed.
    pub failed: u64,
    /// Passages that stored and replaced documents were cut into.
    pub chunks: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Whether it came to its end: it did not if it was stopped, or stopped at a failure.
    pub complete: bool,
    /// Whether nothing was to be stored.
    pub dry_run: bool,
    /// Whether that was compared with what is stored; else all of it counts as new.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub compared: bool,
}

/// A file, line or document that failed.
#[derive(Debug, Clone, Serialize)]
pub struct Failed {
    /// Which.
    pub origin: String,
    /// Why.
    pub reason: String,
}

/// A text for a terminal, which must not obey names and texts of files: they are not ours.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl Report {
    pub(super) fn fail(&mut self, origin: String, reason: String) {
        self.summary.failed += 1;
        if self.failures.len() < MOST_KEPT {
            self.failures.push(Failed { origin, reason });
        }
    }
}

impl Summary {
    /// Documents that went through.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.stored + self.replaced + self.unchanged + self.superseded
    }
}
