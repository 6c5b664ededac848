use super::Findings;
use crate::audit::{AuditRow, Entry, Moment, Seal};

/// Which leaves must have a row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expected {
    /// All but those of calls that began before this moment, which may be retired.
    Since(Option<Moment>),
    /// Those of calls that began from the first moment to before the second; there are no other rows.
    Within(Moment, Moment),
}

/// Compares a seal's leaves with the rows of its range, which come in the order of their ids.
pub(super) struct Matching<'a> {
    seal: &'a Seal,
    rest: &'a [[u8; Entry::LENGTH]],
    expected: Expected,
    /// Leaves without a row that need none.
    pub excused: u64,
}

impl<'a> Matching<'a> {
    pub fn new(seal: &'a Seal, expected: Expected) -> Self {
        let rest = seal.leaves.as_deref().map_or(&[][..], |leaves| leaves.as_chunks().0);
        Self { seal, rest, expected, excused: 0 }
    }

    pub fn row(&mut self, row: &AuditRow, findings: &mut Findings) {
        while let Some((leaf, rest)) = self.next() {
            if leaf.id > row.id {
                break;
            }
            self.rest = rest;
            if leaf.id == row.id {
                let outside =
                    matches!(self.expected, Expected::Within(from, to) if !(from..to).contains(&row.timestamp));
                if leaf != row.entry() {
                    findings.changed(self.seal.seal_no, &leaf, row);
                } else if outside {
                    findings.unsealed(Some(self.seal.seal_no), row, "does not belong to the archive's month");
                }
                return;
            }
            self.without_row(&leaf, findings);
        }
        let what = "stands among sealed rows and was not sealed with them (out of a seal)";
        findings.unsealed(Some(self.seal.seal_no), row, what);
    }

    /// Ends it; returns how many leaves without a row were excused.
    pub fn end(mut self, findings: &mut Findings) -> u64 {
        while let Some((leaf, rest)) = self.next() {
            self.rest = rest;
            self.without_row(&leaf, findings);
        }
        self.excused
    }

    fn next(&self) -> Option<(Entry, &'a [[u8; Entry::LENGTH]])> {
        self.rest.split_first().map(|(leaf, rest)| (Entry::from_bytes(leaf), rest))
    }

    fn without_row(&mut self, leaf: &Entry, findings: &mut Findings) {
        let is_excused = match self.expected {
            Expected::Since(retained_from) => Some(leaf.timestamp) < retained_from,
            Expected::Within(from, to) => !(from..to).contains(&leaf.timestamp),
        };
        if is_excused {
            self.excused += 1;
        } else {
            findings.removed(self.seal.seal_no, leaf);
        }
    }
}
