use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use super::TransferError;
use super::error::FileContext;
use super::format::{End, Line};

/// Writes lines to a draft, which gets its name when it is whole and on the disk.
pub(super) struct Writer {
    path: PathBuf,
    draft: Draft,
    sink: Sink,
    crc32: crc32fast::Hasher,
    sha256: Sha256,
}

enum Sink {
    Plain(BufWriter<File>),
    Compressed(Box<GzEncoder<BufWriter<File>>>),
}

/// Gone unless it was placed.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Writer {
    /// Begins a file that must not be there yet.
    pub fn create(path: &Path) -> Result<Self, TransferError> {
        if path.exists() {
            return Err(TransferError::Refused(format!("{} is there already and is not overwritten", path.display())));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let draft = Draft(name.into());
        let file = begin(&draft.0).doing("create", &draft.0)?;
        let file = BufWriter::with_capacity(1 << 16, file);
        let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
        let sink = match is_compressed {
            true => Sink::Compressed(Box::new(GzEncoder::new(file, Compression::default()))),
            false => Sink::Plain(file),
        };
        Ok(Self { path: path.to_owned(), draft, sink, crc32: crc32fast::Hasher::new(), sha256: Sha256::new() })
    }

    /// Appends a line.
    pub fn put(&mut self, line: &Line) -> Result<(), TransferError> {
        let text = serde_json::to_string(line).map_err(std::io::Error::from).doing("write", &self.draft.0)?;
        self.crc32.update(text.as_bytes());
        // An object with one member: its sum goes before it.
        let text = format!("{{\"crc32\":{},{}\n", self.crc32.clone().finalize(), &text[1..]);
        self.sha256.update(text.as_bytes());
        let sink: &mut dyn Write = match &mut self.sink {
            Sink::Plain(file) => file,
            Sink::Compressed(encoder) => encoder,
        };
        sink.write_all(text.as_bytes()).doing("write", &self.draft.0)
    }

    /// Ends the draft, so that all of it is on the disk; returns the checksum of the lines before the end.
    pub fn end(mut self, documents: i64, chunks: i64) -> Result<Whole, TransferError> {
        let sha256: String = self.sha256.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.put(&Line::End(End { documents, chunks, sha256: sha256.clone() }))?;
        let Self { path, draft, sink, .. } = self;
        let file = match sink {
            Sink::Plain(file) => file,
            Sink::Compressed(encoder) => encoder.finish().doing("write", &draft.0)?,
        };
        let file = file.into_inner().map_err(std::io::IntoInnerError::into_error).doing("write", &draft.0)?;
        file.sync_all().doing("write", &draft.0)?;
        Ok(Whole { path, draft, sha256 })
    }
}

/// A new file that only its owner may read. One of that name was left by a process of the same number, or was put there by somebody who
/// would read along.
fn begin(draft: &Path) -> io::Result<File> {
    let mut new = OpenOptions::new();
    new.write(true).create_new(true).mode(0o600);
    match new.open(draft) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(draft)?;
            new.open(draft)
        }
        opened => opened,
    }
}

/// A draft that is whole.
pub(super) struct Whole {
    path: PathBuf,
    draft: Draft,
    pub sha256: String,
}

impl Whole {
    /// Gives it its name. A hard link replaces nobody's file, as a rename would.
    pub fn place(self) -> Result<(), TransferError> {
        fs::hard_link(&self.draft.0, &self.path).doing("create", &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).doing("write", folder)
    }
}
