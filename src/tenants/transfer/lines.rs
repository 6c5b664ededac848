use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::TransferError;
use super::error::FileContext;
use super::format::Line;

/// More than any line of ours has; a file without an end of line shall not fill the memory.
const LONGEST_LINE_BYTES: u64 = 1 << 30;
/// What a line begins with.
const SUM: &str = "{\"crc32\":";

/// The lines of a file, each held against its sum.
pub(super) struct Lines {
    path: PathBuf,
    source: Box<dyn BufRead + Send>,
    /// The number of the line read last.
    line: u64,
    crc32: crc32fast::Hasher,
    sha256: Sha256,
    sha256_before: Sha256,
}

impl Lines {
    pub fn open(path: &Path) -> Result<Self, TransferError> {
        let mut file = File::open(path).doing("read", path)?;
        let mut magic = [0; 2];
        let is_compressed = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
        file.seek(SeekFrom::Start(0)).doing("read", path)?;
        let file = BufReader::with_capacity(1 << 16, file);
        let source: Box<dyn BufRead + Send> = match is_compressed {
            true => Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        Ok(Self {
            path: path.to_owned(),
            source,
            line: 0,
            crc32: crc32fast::Hasher::new(),
            sha256: Sha256::new(),
            sha256_before: Sha256::new(),
        })
    }

    /// The next line; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Line>, TransferError> {
        self.line += 1;
        let mut bytes = Vec::new();
        let read = (&mut self.source).take(LONGEST_LINE_BYTES).read_until(b'\n', &mut bytes);
        read.map_err(|error| self.refuse(format!("it cannot be read: {error}")))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.sha256_before = self.sha256.clone();
        self.sha256.update(&bytes);
        if bytes.pop() != Some(b'\n') {
            return Err(self.refuse("it has no end: the file was cut off here".to_owned()));
        }
        let text = String::from_utf8(bytes).map_err(|_| self.refuse("it is no UTF-8".to_owned()))?;
        let parts = text.strip_prefix(SUM).and_then(|rest| rest.split_once(','));
        let Some((sum, rest)) = parts.and_then(|(sum, rest)| Some((sum.parse::<u32>().ok()?, rest))) else {
            return Err(self.refuse(format!("it does not begin with {SUM}")));
        };
        let content = format!("{{{rest}");
        self.crc32.update(content.as_bytes());
        if self.crc32.clone().finalize() != sum {
            return Err(self
                .refuse("its checksum is another: it was changed, or does not stand where it was written".to_owned()));
        }
        serde_json::from_str(&content).map(Some).map_err(|error| self.refuse(error.to_string()))
    }

    /// Whether nothing comes any more.
    pub fn is_at_end(&mut self) -> Result<bool, TransferError> {
        let left = self.source.fill_buf().map(|left| left.is_empty());
        left.map_err(|error| self.refuse(format!("what follows cannot be read: {error}")))
    }

    /// SHA-256 of all lines before the one read last, in hexadecimal.
    pub fn sha256_before(&self) -> String {
        self.sha256_before.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// An error about the line read last.
    pub fn refuse(&self, reason: String) -> TransferError {
        TransferError::Line { path: self.path.clone(), line: self.line, reason }
    }
}
