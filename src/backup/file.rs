//! The file: the dump, and behind it two lines, a manifest in JSON and an end of fixed length that says where it begins.
//!
//! `pg_restore` reads a dump by its table of contents and never looks behind it, so the manifest cannot be lost apart from its dump,
//! and `tail -n 2 FILE` shows it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::error::FileContext;
use super::manifest::FORMAT;
use super::{BackupError, Manifest, Step};
use crate::audit::Hash;

/// How every dump of the custom format begins.
const DUMP_BEGINS: &[u8] = b"PGDMP";
/// Bytes of the last line: the format's name, twenty digits, 64 hexadecimal ones and what stands between.
const END_BYTES: u64 = FORMAT.len() as u64 + " manifest_bytes= sha256=\n".len() as u64 + 20 + 64;
/// Read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// `bailiwick-backup-2 manifest_bytes=00000000000000000000 sha256=…`
fn end_of(manifest_bytes: u64, sha256: Hash) -> String {
    format!("{FORMAT} manifest_bytes={manifest_bytes:020} sha256={sha256}\n")
}

/// Appends a manifest to its dump.
pub(super) fn append(to: &mut impl Write, manifest: &Manifest) -> std::io::Result<u64> {
    let json = serde_json::to_vec(manifest)?;
    let end = end_of(json.len() as u64, Hash::of(Sha256::new_with_prefix(&json)));
    to.write_all(b"\n")?;
    to.write_all(&json)?;
    to.write_all(b"\n")?;
    to.write_all(end.as_bytes())?;
    Ok(json.len() as u64 + 2 + end.len() as u64)
}

/// The checksum of a file's next bytes, as many as are asked for, and how many there were.
pub(super) async fn checksum(
    from: &mut tokio::fs::File,
    bytes: u64,
    mut tell: impl FnMut(u64),
) -> std::io::Result<(u64, Hash)> {
    let (mut hash, mut piece, mut done) = (Sha256::new(), vec![0; PIECE_BYTES], 0);
    while done < bytes {
        let most = usize::try_from(bytes - done).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let read = from.read(&mut piece[..most]).await?;
        if read == 0 {
            break;
        }
        hash.update(&piece[..read]);
        done += read as u64;
        tell(done);
    }
    Ok((done, Hash::of(hash)))
}

/// A backup whose manifest could be read.
#[derive(Debug, Clone)]
pub struct BackupFile {
    path: PathBuf,
    manifest: Manifest,
}

impl BackupFile {
    /// Finds the manifest of a file, which must be as it was written. The dump is not looked at yet.
    ///
    /// # Errors
    /// [`BackupError`]: what the file is, if it is no backup, or what is wrong with it.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let mut file = File::open(path).doing("read", path)?;
        let length = file.metadata().doing("read", path)?.len();
        let shown = path.display();
        let mut begins = Vec::new();
        (&mut file).take(DUMP_BEGINS.len() as u64).read_to_end(&mut begins).doing("read", path)?;
        if begins != DUMP_BEGINS {
            return Err(BackupError::refused(format!("{shown} is no backup: `bailiwick backup` did not write it")));
        }
        let cut = || {
            BackupError::refused(format!(
                "{shown} has no manifest at its end: it was cut off, or it is a dump that pg_dump made by itself (which pg_restore restores). \
                 Nothing was restored; take another backup"
            ))
        };
        let damaged = |what: &str| {
            BackupError::refused(format!("{shown} is damaged: {what}. Nothing was restored; take another backup"))
        };
        let end_at = length.checked_sub(END_BYTES).ok_or_else(cut)?;
        let end = read_at(&mut file, end_at, END_BYTES).doing("read", path)?;
        let end = String::from_utf8(end).map_err(|_| cut())?;
        if !end.starts_with("bailiwick-backup-") {
            return Err(cut());
        }
        if !end.starts_with(&format!("{FORMAT} ")) {
            let is_older = end.starts_with("bailiwick-backup-1 ");
            return Err(BackupError::refused(format!(
                "{shown} was written by {} bailiwick: restore it with that one",
                if is_older { "an older" } else { "a newer" }
            )));
        }
        let parts = end
            .trim_end()
            .strip_prefix(&format!("{FORMAT} manifest_bytes="))
            .and_then(|rest| rest.split_once(" sha256="));
        let (bytes, sha256) = parts
            .and_then(|(bytes, sha256)| Some((bytes.parse::<u64>().ok()?, sha256.parse::<Hash>().ok()?)))
            .ok_or_else(|| damaged("its last line cannot be read"))?;
        let dump_bytes = end_at
            .checked_sub(bytes.saturating_add(2))
            .ok_or_else(|| damaged("it is shorter than its last line says"))?;
        let json = read_at(&mut file, dump_bytes + 1, bytes).doing("read", path)?;
        if Hash::of(Sha256::new_with_prefix(&json)) != sha256 {
            return Err(damaged("its manifest is not as it was written"));
        }
        let manifest: Manifest = serde_json::from_slice(&json)
            .map_err(|error| damaged(&format!("its manifest cannot be read ({error})")))?;
        if manifest.dump.bytes != dump_bytes {
            return Err(damaged(&format!("its dump has {dump_bytes} bytes and had {}", manifest.dump.bytes)));
        }
        Ok(Self { path: path.to_owned(), manifest })
    }

    /// Holds the dump against its checksum.
    ///
    /// # Errors
    /// [`BackupError`] if a byte is another.
    pub async fn check(&self, tell: &(dyn Fn(Step) + Sync)) -> Result<(), BackupError> {
        let of = self.manifest.dump.bytes;
        let mut file = tokio::fs::File::open(&self.path).await.doing("read", &self.path)?;
        let read = checksum(&mut file, of, |bytes| tell(Step::Checking { bytes, of })).await;
        let (bytes, found) = read.doing("read", &self.path)?;
        if bytes != of || found != self.manifest.dump.sha256 {
            return Err(BackupError::refused(format!(
                "{} is damaged: the SHA-256 of its dump is {found}, and was {} when it was made. Nothing was restored; take another backup",
                self.path.display(),
                self.manifest.dump.sha256
            )));
        }
        Ok(())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says of itself.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

fn read_at(file: &mut File, at: u64, bytes: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut read = Vec::new();
    file.take(bytes).read_to_end(&mut read)?;
    Ok(read)
}
