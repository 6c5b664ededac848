use sha2::{Digest, Sha256};

use super::Hash;

/// Merkle Tree Hash of a list of leaves (RFC 9162, section 2.1.1), a leaf at a time.
#[derive(Debug, Default)]
pub struct MerkleTree {
    /// Roots of the full trees that the leaves so far make, largest first, each with its height.
    full: Vec<(u32, Hash)>,
}

impl MerkleTree {
    /// Adds the hash of the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        let (mut height, mut node) = (0, leaf);
        while let Some((_, left)) = self.full.pop_if(|(last, _)| *last == height) {
            node = parent(left, node);
            height += 1;
        }
        self.full.push((height, node));
    }

    /// The hash of the tree; of no leaves that of the empty string.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut smallest_first = self.full.iter().rev().map(|(_, node)| *node);
        let Some(last) = smallest_first.next() else { return Hash::of(Sha256::new()) };
        smallest_first.fold(last, |right, left| parent(left, right))
    }
}

fn parent(left: Hash, right: Hash) -> Hash {
    Hash::of(Sha256::new_with_prefix([1]).chain_update(left.0).chain_update(right.0))
}
