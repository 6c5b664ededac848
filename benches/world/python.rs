//! Python packages for the benches, pinned, in folders of their own below `target/bench`.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use super::Result;

/// The folder with the packages that files of pins name, for PYTHONPATH; installed once.
pub fn installed(pins: &[&str]) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pins: Vec<PathBuf> = pins.iter().map(|pins| root.join(pins)).collect();
    let mut digest = Sha256::new();
    for pins in &pins {
        digest.update(std::fs::read(pins)?);
    }
    let digest: String = digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let folder = root.join("target/bench").join(format!("python-{digest}"));
    if !folder.is_dir() {
        let unfinished = root.join("target/bench").join(format!("python-{digest}-unfinished"));
        let _ = std::fs::remove_dir_all(&unfinished);
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"])
            .arg(&unfinished);
        for pins in &pins {
            pip.arg("-r").arg(pins);
        }
        let output = pip.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        std::fs::rename(&unfinished, &folder)?;
    }
    Ok(folder)
}
