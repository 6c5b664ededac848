//! What the documentation says is so: its tables are the program's, its commands run, its links lead somewhere.

mod commands;
mod korean;
mod links;
mod markdown;
mod tables;

use std::path::{Path, PathBuf};

pub use markdown::Document;

/// A file of the repository.
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every document that people read, by its path in the repository.
pub fn documents() -> Vec<(String, Document)> {
    let mut paths: Vec<String> = [
        "README.md",
        "README.ko.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "packaging/README.md",
        "examples/clients/README.md",
        "benches/README.md",
    ]
    .map(str::to_owned)
    .into();
    let docs = std::fs::read_dir(file("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    paths.extend(docs.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")));
    paths.sort();
    assert!(paths.len() > 14, "{paths:?}");
    let read = |path: &String| Document::read(&std::fs::read_to_string(file(path)).unwrap());
    paths.iter().map(|path| (path.clone(), read(path))).collect()
}
