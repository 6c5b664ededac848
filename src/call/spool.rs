//! Rows that the database cannot take now, kept on disk until it can.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::record::ClosedCall;
use crate::identity::TenantId;

/// How much may wait: about a hundred thousand rows.
pub const DEFAULT_SPOOL_BYTES: u64 = 64 << 20;
/// A segment that has grown so far is closed, so that none takes much memory when it is read.
const SEGMENT_BYTES: u64 = 1 << 20;

/// A folder of segments: files of one row a line (JSON), each locked by the process that has it. A segment is read back
/// whole and removed once the database has every row of it; doing so twice adds nothing, since a call is closed only once.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    most_bytes: u64,
    /// What rows are appended to.
    current: Option<Segment>,
    /// What is to be sent, ours and what dead processes left.
    closed: Vec<Segment>,
}

/// A locked file. It is read through the handle that holds the lock, never by its name.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
}

/// What a segment holds.
pub(super) struct Contents {
    /// Its rows.
    pub rows: Vec<ClosedCall>,
    /// Some of it is no row of ours: another version's, or damaged. It is not to be removed.
    pub is_strange: bool,
}

/// How much more a spool in that folder can take: within its bound, and as the file system has it.
pub(super) fn room_bytes(folder: &Path, most_bytes: u64, used_bytes: u64) -> u64 {
    // The folder is made when it is first needed.
    let existing = folder.ancestors().find(|folder| folder.exists());
    let free = existing.and_then(|folder| rustix::fs::statvfs(folder).ok());
    let free_bytes = free.map_or(0, |free| free.f_bavail.saturating_mul(free.f_frsize));
    most_bytes.saturating_sub(used_bytes).min(free_bytes)
}

/// What processes that are gone left in one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranded {
    /// The folder.
    pub folder: PathBuf,
    /// Rows in it.
    pub rows: usize,
}

/// Rows of dead processes in the folders beside `own`, which no server of that folder will send.
#[must_use]
pub fn stranded(own: &Path) -> Vec<Stranded> {
    let beside = own.parent().and_then(|root| fs::read_dir(root).ok());
    let folders = beside.into_iter().flatten().flatten().map(|entry| entry.path()).filter(|folder| folder != own);
    let mut stranded: Vec<_> = folders
        .map(|folder| Stranded { rows: left_in(&folder), folder })
        .filter(|stranded| stranded.rows > 0)
        .collect();
    stranded.sort_by(|one, other| one.folder.cmp(&other.folder));
    stranded
}

/// Whose rows processes that are gone left in a folder.
#[must_use]
pub fn tenants_left(folder: &Path) -> HashSet<TenantId> {
    contents_left(folder).flat_map(|contents| contents.rows).map(|row| row.tenant_id).collect()
}

/// Moves segments that processes left that are gone from a folder into another, those of whose tenants all are wanted there; how many
/// rows that were.
///
/// # Errors
/// Those of the file system; what was not moved stays where it is.
pub fn move_left(from: &Path, to: &Path, wants: impl Fn(&HashSet<TenantId>) -> bool) -> io::Result<usize> {
    let mut rows = 0;
    for path in segments_in(from) {
        // Held until it has moved: another process looks for it by the name that it had.
        let Some(segment) = Segment::adopt(&path) else { continue };
        let contents = segment.contents()?;
        let is_wanted = !contents.is_strange && wants(&contents.rows.iter().map(|row| row.tenant_id).collect());
        let Some(name) = path.file_name().filter(|_| is_wanted) else { continue };
        fs::create_dir_all(to)?;
        // Names are of a moment and of chance; one that is there is a copy, and for a person to look at.
        if to.join(name).exists() {
            continue;
        }
        fs::rename(&path, to.join(name))?;
        File::open(to)?.sync_all()?;
        rows += contents.rows.len();
    }
    Ok(rows)
}

/// How many rows of dead processes wait in a folder for its next server.
#[must_use]
pub fn left_in(folder: &Path) -> usize {
    contents_left(folder).map(|contents| contents.rows.len()).sum()
}

/// What processes left in a folder that are gone: whoever lives holds its own.
fn contents_left(folder: &Path) -> impl Iterator<Item = Contents> {
    segments_in(folder).filter_map(|path| Segment::adopt(&path)?.contents().ok())
}

fn segments_in(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
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
        let mut segment = match self.current.take() {
            Some(segment) => segment,
            None => Segment::create(&self.folder)?,
        };
        let written = (&*segment.file).write_all(&line).and_then(|()| segment.file.sync_data());
        segment.bytes += if written.is_ok() { length } else { 0 };
        // What was half written is read back as such; nothing is appended behind it.
        if written.is_err() || segment.bytes >= SEGMENT_BYTES {
            self.closed.push(segment);
        } else {
            self.current = Some(segment);
        }
        written
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> u64 {
        self.closed.iter().chain(&self.current).map(|segment| segment.bytes).sum()
    }

    /// Closes the current segment, adopts those of dead processes, and says what there is to send.
    pub(super) fn segments(&mut self) -> Vec<Segment> {
        self.closed.extend(self.current.take());
        for path in segments_in(&self.folder) {
            if self.closed.iter().all(|segment| segment.path != path) {
                self.closed.extend(Segment::adopt(&path));
            }
        }
        self.closed.clone()
    }

    /// Removes a segment whose rows the database has.
    pub(super) fn remove(&mut self, segment: &Segment) -> io::Result<()> {
        match fs::remove_file(&segment.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.closed.retain(|closed| closed.path != segment.path),
        }
        Ok(())
    }

    /// Puts a segment aside, for a person to look at.
    pub(super) fn set_aside(&mut self, segment: &Segment) -> io::Result<PathBuf> {
        let aside = segment.path.with_extension("strange");
        fs::rename(&segment.path, &aside)?;
        self.closed.retain(|closed| closed.path != segment.path);
        Ok(aside)
    }
}

impl Segment {
    fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let name = Uuid::now_v7().to_string();
        let (making, path) = (folder.join(format!("{name}.new")), folder.join(format!("{name}.jsonl")));
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(&making)?;
        // Locked before it has a name that others look for.
        file.try_lock().map_err(io::Error::from)?;
        fs::rename(&making, &path)?;
        // The file's name, too, must outlive a crash.
        File::open(folder)?.sync_all()?;
        Ok(Self { path, file: Arc::new(file), bytes: 0 })
    }

    /// Takes a segment over if its process is gone.
    fn adopt(path: &Path) -> Option<Self> {
        let file = OpenOptions::new().read(true).append(true).open(path).ok()?;
        file.try_lock().ok()?;
        // Another may have sent and removed it between our opening and our lock.
        let (ours, named) = (file.metadata().ok()?, fs::metadata(path).ok()?);
        let is_there = (ours.dev(), ours.ino()) == (named.dev(), named.ino());
        is_there.then(|| Self { path: path.to_owned(), file: Arc::new(file), bytes: ours.len() })
    }

    /// Reads it.
    pub(super) fn contents(&self) -> io::Result<Contents> {
        let mut text = Vec::new();
        let mut file = &*self.file;
        file.rewind()?;
        file.read_to_end(&mut text)?;
        let mut contents = Contents { rows: Vec::new(), is_strange: false };
        // Only the last line can have been cut short, and then it never was on disk as a whole: nobody was told that it is.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(row) => contents.rows.push(row),
                Err(_) => contents.is_strange = true,
            }
        }
        Ok(contents)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}
