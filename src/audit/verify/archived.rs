use std::path::Path;

use serde::Serialize;

use super::links::Links;
use super::matching::{Expected, Matching};
use super::{FaultKind, Findings};
use crate::audit::archive::{Counts, Line, Lines};
use crate::audit::ids::Ids;
use crate::audit::{AuditError, KnownHead, Month, Seal, TrustedKeys};

/// What an archive holds, and what is wrong with it.
#[derive(Debug, Serialize)]
pub struct ArchiveReport {
    /// The file.
    pub file: String,
    /// The database it is of.
    pub database: String,
    /// Its month.
    pub month: Month,
    /// Rows and seals in it.
    #[serde(flatten)]
    pub counts: Counts,
    /// Whether its seals' signatures were checked: somebody's public key was known.
    pub signatures_checked: bool,
    /// What is wrong.
    #[serde(flatten)]
    pub findings: Findings,
    /// Its seals' heads, which must be in the chain of the database.
    #[serde(skip)]
    pub heads: Vec<KnownHead>,
    /// Its rows.
    #[serde(skip)]
    pub(in crate::audit) ids: Ids,
}

/// Checks an archive by itself: rows against leaves, leaves against roots, heads against each other and their signatures.
///
/// # Errors
/// A file that cannot be read or is no archive.
pub fn check_archive(path: &Path, trusted: &TrustedKeys) -> Result<ArchiveReport, AuditError> {
    let (mut lines, database, month) = Lines::open(path)?;
    let (mut findings, mut heads) = (Findings::default(), Vec::new());
    let (mut counts, mut ids) = (Counts::default(), Ids::default());
    let source: std::sync::Arc<str> = path.display().to_string().into();
    let mut links = Links::new(trusted, true, None);
    let expected = Expected::Within(month.begin(), month.end());
    let mut next = lines.next()?;
    let mut declared = None;
    while let Some(line) = next.take() {
        match line {
            Line::Seal(seal) => {
                links.check(&seal, &mut findings);
                heads.push(KnownHead { seal_no: Some(seal.seal_no), head: seal.head, source: source.clone() });
                counts.seals += 1;
                next = rows(&mut lines, &seal, expected, (&mut counts, &mut ids), &mut findings)?;
                continue;
            }
            Line::End(counts) => declared = Some(counts),
            Line::Header { .. } | Line::Row(_) => return Err(lines.refuse("not to be here".to_owned())),
        }
        if lines.next()?.is_some() {
            return Err(lines.refuse("something behind the last line".to_owned()));
        }
    }
    links.end(&mut findings);
    match declared {
        None => findings.other(FaultKind::Removed, format!("{source} is cut off")),
        Some(declared) if declared != counts => {
            findings
                .other(FaultKind::Removed, format!("{source} says that it holds {declared:?} and holds {counts:?}"));
        }
        Some(_) => {}
    }
    findings.name_moves(&[]);
    let (file, signatures_checked) = (source.to_string(), !trusted.is_empty());
    Ok(ArchiveReport { file, database, month, counts, signatures_checked, findings, heads, ids })
}

/// Compares the rows behind a seal with its leaves; returns the line after them.
fn rows(
    lines: &mut Lines,
    seal: &Seal,
    expected: Expected,
    (counts, ids): (&mut Counts, &mut Ids),
    findings: &mut Findings,
) -> Result<Option<Line>, AuditError> {
    let mut matching = Matching::new(seal, expected);
    loop {
        match lines.next()? {
            Some(Line::Row(row)) => {
                matching.row(&row, findings);
                counts.rows += 1;
                ids.push(row.id);
            }
            other => {
                matching.end(findings);
                return Ok(other);
            }
        }
    }
}
