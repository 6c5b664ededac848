use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::FileContext;
use super::{AuditError, Hash, Moment, Seal};

/// A file outside of the database to which each new seal's head is appended, a line of JSON each.
///
/// Whoever changes the chain in the database cannot change what stands there. Several databases may share one: each line
/// names its own.
#[derive(Debug, Clone)]
pub struct HeadsFile(PathBuf);

/// A line of it.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    database: String,
    seal_no: i64,
    head: Hash,
    sealed_until: Moment,
}

/// A head that somebody kept, to be found in the chain.
#[derive(Debug, Clone)]
pub struct KnownHead {
    /// Where in the chain, if that is known.
    pub seal_no: Option<i64>,
    /// The head.
    pub head: Hash,
    /// Who says so, for a fault's text.
    pub source: Arc<str>,
}

impl HeadsFile {
    /// In that file, which need not be there yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Appends a seal's head and waits until it is on the disk.
    ///
    /// # Errors
    /// [`AuditError::File`].
    pub fn append(&self, database: &str, seal: &Seal) -> Result<(), AuditError> {
        let line = Line {
            database: database.to_owned(),
            seal_no: seal.seal_no,
            head: seal.head,
            sealed_until: seal.sealed_until,
        };
        let write = || -> std::io::Result<()> {
            if let Some(folder) = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                fs::create_dir_all(folder)?;
            }
            let mut file = OpenOptions::new().create(true).read(true).append(true).open(&self.0)?;
            let mut text = serde_json::to_string(&line)? + "\n";
            // A crash may have left half a line.
            if !ends_a_line(&mut file)? {
                text.insert(0, '\n');
            }
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().doing("append to", &self.0)
    }

    /// Takes a database's heads behind that seal out of the file, and leaves a copy of the whole beside it; its name, if there were any.
    ///
    /// # Errors
    /// [`AuditError::File`].
    pub fn set_aside(&self, database: &str, after: Option<i64>) -> Result<Option<PathBuf>, AuditError> {
        let text = match fs::read_to_string(&self.0) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.doing("read", &self.0)?,
        };
        let is_lost = |line: &&str| {
            let head = serde_json::from_str::<Line>(line).ok();
            head.is_some_and(|head| head.database == database && after.is_none_or(|after| head.seal_no > after))
        };
        if !text.lines().any(|line| is_lost(&line)) {
            return Ok(None);
        }
        let beside = |suffix: String| {
            let mut name = self.0.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let copy = beside(format!(".before-restore-{}", jiff::Timestamp::now().as_second()));
        fs::copy(&self.0, &copy).doing("copy to", &copy)?;
        let kept: String = text.lines().filter(|line| !is_lost(line)).map(|line| format!("{line}\n")).collect();
        let new = beside(".new".to_owned());
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&new)?;
            file.set_permissions(fs::metadata(&self.0)?.permissions())?;
            file.write_all(kept.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.0)
        };
        write().doing("write", &new)?;
        Ok(Some(copy))
    }

    /// The heads of that database's seals; none if the file is not there. Lines that are none are told to the log.
    ///
    /// # Errors
    /// [`AuditError::File`].
    pub fn read(&self, database: &str) -> Result<Vec<KnownHead>, AuditError> {
        let file = match File::open(&self.0) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.doing("read", &self.0)?,
        };
        let mut heads = Vec::new();
        let source: Arc<str> = self.0.display().to_string().into();
        for (at, text) in BufReader::new(file).lines().enumerate() {
            let text = text.doing("read", &self.0)?;
            if text.trim().is_empty() {
                continue;
            }
            match serde_json::from_str::<Line>(&text) {
                Ok(line) if line.database == database => {
                    heads.push(KnownHead { seal_no: Some(line.seal_no), head: line.head, source: Arc::clone(&source) });
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(file = %self.0.display(), line = at + 1, %error, "no head"),
            }
        }
        Ok(heads)
    }
}

fn ends_a_line(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
