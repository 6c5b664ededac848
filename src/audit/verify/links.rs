use super::{FaultKind, Findings};
use crate::audit::entry::entries;
use crate::audit::{Hash, MerkleTree, Moment, Seal, TrustedKeys};

/// Checks seals as they come in order: each in itself, and against the one before it.
pub(super) struct Links<'a> {
    trusted: &'a TrustedKeys,
    /// Whether seals may be missing between, as in an archive of a month.
    gaps: bool,
    /// Rows of calls that began before may have been retired, by the last seal's word.
    retained_from: Option<Moment>,
    previous: Option<Previous>,
    has_signed: bool,
    first_unsigned: Option<i64>,
}

struct Previous {
    seal_no: i64,
    last_id: i64,
    head: Hash,
}

impl<'a> Links<'a> {
    pub fn new(trusted: &'a TrustedKeys, gaps: bool, retained_from: Option<Moment>) -> Self {
        Self { trusted, gaps, retained_from, previous: None, has_signed: false, first_unsigned: None }
    }

    pub fn check(&mut self, seal: &Seal, findings: &mut Findings) {
        let mut fault = |what: String| findings.seal(FaultKind::Chain, seal.seal_no, what);
        let (expected_no, first_id, previous_head) = match &self.previous {
            None => (1, 1, Hash::default()),
            Some(last) => (last.seal_no.saturating_add(1), last.last_id.saturating_add(1), last.head),
        };
        let follows = seal.seal_no == expected_no;
        if !follows && (!self.gaps || self.previous.as_ref().is_some_and(|last| last.seal_no >= seal.seal_no)) {
            fault(format!("seal {} stands where seal {expected_no} belongs", seal.seal_no));
        }
        if follows && seal.previous_head != previous_head {
            fault("the seal before it is not the one that it was made after".to_owned());
        }
        if follows && seal.first_id != first_id {
            fault(format!("it begins at id {} instead of {first_id}", seal.first_id));
        }
        if seal.last_id.saturating_add(1) < seal.first_id {
            fault(format!("it ends at id {} before it begins at {}", seal.last_id, seal.first_id));
        }
        if seal.computed_head() != seal.head {
            fault("its head is not that of its content".to_owned());
        }
        if let Some(what) = self.leaf_fault(seal) {
            fault(what);
        }
        self.signature(seal, findings);
        self.previous = Some(Previous { seal_no: seal.seal_no, last_id: seal.last_id, head: seal.head });
    }

    fn leaf_fault(&self, seal: &Seal) -> Option<String> {
        let Some(leaves) = &seal.leaves else {
            let is_retired = seal.latest_timestamp < self.retained_from;
            return (!is_retired).then(|| "its leaves are gone, and its rows are not all retired".to_owned());
        };
        let Some(entries) = entries(leaves) else { return Some("its leaves are cut off".to_owned()) };
        let (mut tree, mut count, mut latest) = (MerkleTree::default(), 0_i64, None);
        let (mut last_id, mut in_order) = (seal.first_id.checked_sub(1), true);
        for entry in entries {
            in_order &= last_id < Some(entry.id);
            last_id = Some(entry.id);
            latest = latest.max(Some(entry.timestamp));
            count += 1;
            tree.push(entry.leaf_hash());
        }
        if tree.root() != seal.merkle_root {
            return Some("its leaves do not make its root".to_owned());
        }
        if count != seal.row_count {
            return Some(format!("it says that it has {} rows and has {count}", seal.row_count));
        }
        if !in_order || last_id > Some(seal.last_id) {
            return Some("its leaves are not in the order of their ids, or beyond its range".to_owned());
        }
        (latest != seal.latest_timestamp).then(|| "its latest timestamp is not that of its leaves".to_owned())
    }

    fn signature(&mut self, seal: &Seal, findings: &mut Findings) {
        let mut fault = |what: String| findings.seal(FaultKind::Signature, seal.seal_no, what);
        match (&seal.key_id, &seal.signature) {
            (None, None) if self.trusted.is_empty() => {}
            // Seals from before there was a key: the first signed one vouches for them, being chained to them.
            (None, None) if !self.has_signed => {
                self.first_unsigned.get_or_insert(seal.seal_no);
            }
            (None, None) => fault("it is not signed, and seals before it are".to_owned()),
            (Some(_), None) | (None, Some(_)) => fault("it has a key without a signature, or the reverse".to_owned()),
            (Some(_), Some(_)) if self.trusted.is_empty() => {}
            (Some(key), Some(_)) if !self.trusted.know(key) => {
                fault(format!("it is signed with the key {key}, which is none of those trusted"));
            }
            (Some(key), Some(signature)) => {
                if self.trusted.confirm(key, seal.head, signature) {
                    (self.has_signed, self.first_unsigned) = (true, None);
                } else {
                    fault(format!("its signature is not that of the key {key}"));
                }
            }
        }
    }

    pub fn end(self, findings: &mut Findings) {
        if let Some(seal_no) = self.first_unsigned {
            findings.seal(FaultKind::Signature, seal_no, "neither it nor any seal after it is signed".to_owned());
        }
    }
}
