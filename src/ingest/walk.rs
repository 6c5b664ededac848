use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

use super::format::Format;

/// One file to read, or the standard input.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Where it is; `None` for the standard input.
    pub path: Option<PathBuf>,
    /// What it is called: the path as it was given, with slashes.
    pub origin: String,
    pub format: Format,
    pub bytes: u64,
    /// The standard input, a pipe or a device: read once and as it comes, and known by no place.
    pub is_stream: bool,
}

/// What paths, folders and patterns lead to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub entries: Vec<Entry>,
    /// Files of folders that are of no format that is read, and links.
    pub passed_over: u64,
    /// What could not be looked at, and why.
    pub failures: Vec<(String, String)>,
}

/// Finds the files: those that are named, those of folders that no .gitignore, .ignore or .bailiwickignore keeps out, and those
/// that patterns match. In the order of names within each folder, each once.
pub(super) fn find(paths: &[String], format: Option<Format>, respects_ignores: bool) -> Found {
    let mut found = Found::default();
    for path in paths {
        if path == "-" {
            let format = format.unwrap_or(Format::Text);
            found.entries.push(Entry { path: None, origin: "-".to_owned(), format, bytes: 0, is_stream: true });
        } else if Path::new(path).exists() {
            one(Path::new(path), format, respects_ignores, &mut found);
        } else {
            pattern(path, format, respects_ignores, &mut found);
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.entries.retain(|entry| seen.insert(entry.path.clone()));
    found
}

fn one(path: &Path, format: Option<Format>, respects_ignores: bool, found: &mut Found) {
    if path.is_dir() {
        return folder(path, format, respects_ignores, found);
    }
    match format.or_else(|| Format::of(path)) {
        Some(format) => add(path, format, found),
        None => {
            let known = "is of no known format; say which with --format";
            found.failures.push((origin(path), known.to_owned()));
        }
    }
}

fn folder(root: &Path, format: Option<Format>, respects_ignores: bool, found: &mut Found) {
    let mut walk = WalkBuilder::new(root);
    walk.standard_filters(respects_ignores).require_git(false).sort_by_file_name(Ord::cmp);
    if respects_ignores {
        walk.add_custom_ignore_filename(".bailiwickignore");
    }
    for entry in walk.build() {
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => match Format::of(entry.path()) {
                Some(known) => add(entry.path(), format.unwrap_or(known), found),
                None => found.passed_over += 1,
            },
            // They lead where they lead, and may lead in rings.
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_symlink()) => found.passed_over += 1,
            Ok(_) => {}
            Err(error) => found.failures.push((origin(root), error.to_string())),
        }
    }
}

fn pattern(text: &str, format: Option<Format>, respects_ignores: bool, found: &mut Found) {
    let before = (found.entries.len(), found.failures.len());
    match glob::glob(text) {
        Err(_) => {}
        Ok(matches) => {
            for path in matches {
                match path {
                    Ok(path) => one(&path, format, respects_ignores, found),
                    Err(error) => found.failures.push((text.to_owned(), error.to_string())),
                }
            }
        }
    }
    if before == (found.entries.len(), found.failures.len()) {
        found.failures.push((text.to_owned(), "is not there, and matches no file".to_owned()));
    }
}

fn add(path: &Path, format: Format, found: &mut Found) {
    match std::fs::metadata(path) {
        Ok(metadata) => {
            let (bytes, is_stream) = (metadata.len(), !metadata.is_file() || is_of_the_process(path));
            found.entries.push(Entry { path: Some(path.to_owned()), origin: origin(path), format, bytes, is_stream });
        }
        Err(error) => found.failures.push((origin(path), error.to_string())),
    }
}

/// What the program was started with under this name, even where a file stands behind it: the next start has another there.
fn is_of_the_process(path: &Path) -> bool {
    path == Path::new("/dev/stdin") || ["/dev/fd", "/proc/self/fd"].iter().any(|folder| path.starts_with(folder))
}

/// A path with slashes and without `./`, the same wherever the program runs.
fn origin(path: &Path) -> String {
    let parts = path.components().filter(|part| !matches!(part, std::path::Component::CurDir));
    let clean: PathBuf = parts.collect();
    clean.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
}
