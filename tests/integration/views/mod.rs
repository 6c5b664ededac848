//! The page that hosts show for `cost_report`: offered as MCP Apps has it, built from its sources, and looked at in a browser.

mod built;
mod listed;
mod shown;
mod words;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clients::packages;
use crate::harness::{Lacking, skip};

/// Where the page and its sources are.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("views/cost-report")
}

/// A folder of one test's own with copies of the page's sources (`cost-report`) and of the browser's scripts (`views`), below the
/// packages that they import; none where there is no Node to use them with.
async fn folder(test: &'static str) -> Option<PathBuf> {
    tokio::task::spawn_blocking(move || {
        let version = Command::new("node").arg("--version").output().ok();
        let version = version.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
        let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_none_or(|major| major < 20) {
            skip(Lacking::Node, "the view needs Node 20 or newer to be built and looked at");
            return None;
        }
        let folder = packages::javascript_of("views", &sources()).join(test);
        let _ = std::fs::remove_dir_all(&folder);
        copy(&sources(), &folder.join("cost-report"));
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/views"), &folder.join("views"));
        Some(folder)
    })
    .await
    .unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in
        std::fs::read_dir(from).unwrap().map(Result::unwrap).filter(|entry| entry.file_name() != "node_modules")
    {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
