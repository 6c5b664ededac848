//! Notes which build the running server is, for the participants that find it running.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    error::{EmbeddedError, IoContext},
    layout::Layout,
};

#[derive(Serialize, Deserialize)]
struct Record {
    bin_dir: PathBuf,
}

/// Writes the note. To be called under the start lock.
pub(super) fn write(layout: &Layout, bin_dir: &Path) -> Result<(), EmbeddedError> {
    let (path, new) = (layout.record(), layout.record().with_extension("json.new"));
    let text = serde_json::to_string(&Record { bin_dir: bin_dir.into() }).map_err(std::io::Error::other);
    text.and_then(|text| fs::write(&new, text)).doing("write", &new)?;
    fs::rename(&new, &path).doing("rename", &new)
}

/// The bin folder of the running server's build, if the note is there and still true.
pub(super) fn bin_dir(layout: &Layout) -> Option<PathBuf> {
    let text = fs::read_to_string(layout.record()).ok()?;
    let record: Record = serde_json::from_str(&text).ok()?;
    record.bin_dir.join("postgres").is_file().then_some(record.bin_dir)
}
