//! The rules that make a set of files a list of migrations.

use std::collections::BTreeMap;

use super::{FileProblem, InvalidFiles, Migration, Migrations};
use crate::migrations::name::{self, Direction, file_name};

/// The two files of one version and name, as far as found.
#[derive(Default)]
struct Pair {
    up: Option<String>,
    down: Option<String>,
}

/// Checks everything, so that all problems are reported together.
pub(super) fn list(
    files: impl IntoIterator<Item = (String, String)>,
    mut problems: Vec<FileProblem>,
) -> Result<Migrations, InvalidFiles> {
    let mut versions: BTreeMap<i64, BTreeMap<String, Pair>> = BTreeMap::new();
    for (file, text) in files {
        let Some(parsed) = name::parse(&file) else {
            problems.push(FileProblem::new(
                file,
                "is not named NNNNNN_name.up.sql or NNNNNN_name.down.sql \
                 (six digits from 000001; a-z, 0-9 and _ in the name)",
            ));
            continue;
        };
        // A checkout that turned the line ends must not change the checksum.
        let text = text.replace("\r\n", "\n");
        if text.trim().is_empty() {
            problems.push(FileProblem::new(&file, "is empty"));
        }
        let names = versions.entry(parsed.version).or_default();
        let pair = names.entry(parsed.name.to_owned()).or_default();
        let side = match parsed.direction {
            Direction::Up => &mut pair.up,
            Direction::Down => &mut pair.down,
        };
        if side.replace(text).is_some() {
            problems.push(FileProblem::new(file, "is there twice"));
        }
    }
    let list = pair_up(versions, &mut problems);
    if list.is_empty() && problems.is_empty() {
        problems.push(FileProblem::new("sql/migrations", "holds no migration"));
    }
    if problems.is_empty() { Ok(Migrations { list }) } else { Err(InvalidFiles { problems }) }
}

fn pair_up(versions: BTreeMap<i64, BTreeMap<String, Pair>>, problems: &mut Vec<FileProblem>) -> Vec<Migration> {
    let mut list = Vec::new();
    let mut expected = 1;
    for (version, names) in versions {
        let several = names.len() > 1;
        for (name, pair) in names {
            let up = file_name(version, &name, Direction::Up);
            let down = file_name(version, &name, Direction::Down);
            let present = if pair.up.is_some() { &up } else { &down };
            if several {
                let reason = format!("shares its version {version:06} with another name");
                problems.push(FileProblem::new(present, reason));
            } else if version != expected {
                let reason = format!("follows a gap: version {expected:06} is missing");
                problems.push(FileProblem::new(present, reason));
            }
            match pair {
                Pair { up: Some(up), down: Some(down) } => list.push(Migration::new(version, name, up, down)),
                Pair { up: Some(_), .. } => {
                    problems.push(FileProblem::new(&up, format!("has no {down}")));
                }
                Pair { .. } => problems.push(FileProblem::new(&down, format!("has no {up}"))),
            }
        }
        expected = version + 1;
    }
    list
}
