use std::collections::{HashMap, HashSet};

use super::{FaultKind, Findings};
use crate::audit::{Hash, KnownHead, Seal};

/// Heads that were kept outside, looked for in the chain as it comes by.
#[derive(Default)]
pub(super) struct KeptHeads {
    numbered: HashMap<i64, Vec<KnownHead>>,
    anywhere: Vec<KnownHead>,
    seen: HashSet<Hash>,
    wanted: HashSet<Hash>,
}

impl KeptHeads {
    pub fn new(heads: &[KnownHead]) -> Self {
        let mut kept = Self::default();
        for head in heads {
            match head.seal_no {
                Some(seal_no) => kept.numbered.entry(seal_no).or_default().push(head.clone()),
                None => {
                    kept.wanted.insert(head.head);
                    kept.anywhere.push(head.clone());
                }
            }
        }
        kept
    }

    pub fn check(&mut self, seal: &Seal, findings: &mut Findings) {
        if self.wanted.contains(&seal.head) {
            self.seen.insert(seal.head);
        }
        for known in self.numbered.remove(&seal.seal_no).unwrap_or_default() {
            if known.head != seal.head {
                let what = format!("its head is not the one kept in {}: the chain was made anew", known.source);
                findings.seal(FaultKind::Head, seal.seal_no, what);
            }
        }
    }

    pub fn end(self, findings: &mut Findings) {
        let mut missing: Vec<_> = self.numbered.into_iter().collect();
        missing.sort_unstable_by_key(|(seal_no, _)| *seal_no);
        for (seal_no, known) in missing {
            let source = known.first().map(|known| known.source.to_string()).unwrap_or_default();
            findings.seal(FaultKind::Head, seal_no, format!("the seal is gone, and {source} has its head"));
        }
        for known in self.anywhere {
            if !self.seen.contains(&known.head) {
                findings.other(FaultKind::Head, format!("no seal has the head {} ({})", known.head, known.source));
            }
        }
    }
}
