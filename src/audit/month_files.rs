//! The files of a retired month: the first has no number, one with what came later has the next.

use std::io;
use std::path::{Path, PathBuf};

/// Those called `STEM.SUFFIX`, `STEM.2.SUFFIX` and so on that are in the folder, in their order, and the name behind the last of
/// them. One that was taken away leaves a gap, and its number is not given again while a later one is there.
///
/// # Errors
/// Whatever keeps the folder from being read.
pub(crate) fn month_files(folder: &Path, stem: &str, suffix: &str) -> io::Result<(Vec<PathBuf>, PathBuf)> {
    let path = |number: u32| match number {
        1 => folder.join(format!("{stem}.{suffix}")),
        number => folder.join(format!("{stem}.{number}.{suffix}")),
    };
    let mut numbers = Vec::new();
    for file in folder.read_dir()? {
        let name = file?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(stem)?.strip_suffix(suffix)?.strip_suffix('.'));
        match number {
            Some("") => numbers.push(1),
            Some(number) => numbers.extend(number.strip_prefix('.').and_then(numbered)),
            None => {}
        }
    }
    numbers.sort_unstable();
    let free = path(numbers.last().map_or(1, |last| last.saturating_add(1)));
    Ok((numbers.into_iter().map(path).collect(), free))
}

/// The number of a file that has one, as it is written here.
fn numbered(text: &str) -> Option<u32> {
    let number = text.parse().ok().filter(|number| *number >= 2)?;
    (format!("{number}") == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> (Vec<String>, String) {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        let (there, free) = month_files(folder.path(), "db-costs-2026-08", "jsonl.gz").unwrap();
        (there.iter().map(name).collect(), name(&free))
    }

    #[test]
    fn a_month_without_a_file_gets_the_first() {
        let others = ["db-costs-2026-07.jsonl.gz", "db-costs-2026-08.jsonl.gz.part", "db-costs-2026-08.x.jsonl.gz"];
        let unlike = ["db-costs-2026-08.1.jsonl.gz", "db-costs-2026-08.02.jsonl.gz", "db-costs-2026-08.+2.jsonl.gz"];
        assert_eq!(of(&[others, unlike].concat()), (vec![], "db-costs-2026-08.jsonl.gz".to_owned()));
    }

    #[test]
    fn numbers_go_on_behind_a_gap_and_past_nine() {
        let names = ["db-costs-2026-08.10.jsonl.gz", "db-costs-2026-08.jsonl.gz", "db-costs-2026-08.3.jsonl.gz"];
        let there = [names[1], names[2], names[0]].map(str::to_owned).to_vec();
        assert_eq!(of(&names), (there, "db-costs-2026-08.11.jsonl.gz".to_owned()));
    }
}
