//! Rows that the database cannot take now, kept on disk until it can.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::record::ClosedCall;

/// How much may wait: about a hundred thousand rows.
pub const DEFAULT_SPOOL_BYTES: u64 = 64 << 20;

/// A folder of segments: files of one row a line (JSON), each locked by the process that wrote it. A segment is read back
/// whole and removed once the database has every row of it; doing so twice adds nothing, since a call is closed only once.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    most_bytes: u64,
    /// What rows are appended to.
    current: Option<Segment>,
    /// What is being sent, ours and what dead processes left.
    closed: Vec<Segment>,
}

/// A locked file.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Spool {
    pub(super) fn new(folder: PathBuf, most_bytes: u64) -> Self {
        Self { folder, most_bytes, current: None, closed: Vec::new() }
    }

    /// Keeps a row; when this returns it is on disk.
    pub(super) fn append(&mut self, row: &ClosedCall) -> io::Result<()> {
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        let length = line.len() as u64;
        if self.bytes() + length > self.most_bytes {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the spool is full"));
        }
        let segment = match self.current.take() {
            Some(segment) => self.current.insert(segment),
            None => self.current.insert(Segment::create(&self.folder)?),
        };
        let written = segment.file.write_all(&line).and_then(|()| segment.file.sync_data());
        match written {
            Ok(()) => segment.bytes += length,
            // What was half written is read back as such; nothing is appended behind it.
            Err(_) => self.closed.extend(self.current.take()),
        }
        written
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> u64 {
        self.closed.iter().chain(&self.current).map(|segment| segment.bytes).sum()
    }

    /// Closes the current segment and adopts those of dead processes: what there is to send now.
    pub(super) fn close_segments(&mut self) {
        self.closed.extend(self.current.take());
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_segment = path.extension().is_some_and(|extension| extension == "jsonl");
            if is_segment && self.closed.iter().all(|segment| segment.path != path) {
                self.closed.extend(Segment::adopt(&path));
            }
        }
    }

    /// The rows of the closed segments, each with its place. What cannot be read now stays for later.
    pub(super) fn rows(&self) -> Vec<(PathBuf, Vec<ClosedCall>)> {
        let read = self.closed.iter().filter_map(|segment| match segment.rows() {
            Ok(rows) => Some((segment.path.clone(), rows)),
            Err(error) => {
                tracing::error!(path = %segment.path.display(), %error, "a segment of the audit spool cannot be read");
                None
            }
        });
        read.collect()
    }

    /// Removes a segment whose rows the database has.
    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)?;
        self.closed.retain(|segment| segment.path != path);
        Ok(())
    }
}

impl Segment {
    fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.jsonl", Uuid::now_v7()));
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(&path)?;
        file.try_lock().map_err(io::Error::from)?;
        // The file's name, too, must outlive a crash.
        File::open(folder)?.sync_all()?;
        Ok(Self { path, file, bytes: 0 })
    }

    /// Takes a segment over if its process is gone.
    fn adopt(path: &Path) -> Option<Self> {
        let file = OpenOptions::new().read(true).append(true).open(path).ok()?;
        file.try_lock().ok()?;
        // Its process may have removed it between our look and our lock.
        fs::exists(path).ok().filter(|exists| *exists)?;
        let bytes = file.metadata().ok()?.len();
        Some(Self { path: path.to_owned(), file, bytes })
    }

    fn rows(&self) -> io::Result<Vec<ClosedCall>> {
        let text = fs::read(&self.path)?;
        let (mut rows, mut torn) = (Vec::new(), 0);
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(row) => rows.push(row),
                // It never was on disk as a whole, so nobody was told that it is.
                Err(_) => torn += 1,
            }
        }
        if torn > 0 {
            tracing::warn!(path = %self.path.display(), torn, "the audit spool has lines that were not written to their end");
        }
        Ok(rows)
    }
}
