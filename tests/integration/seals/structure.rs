use bailiwick::audit::{AuditRow, Entry, Hash, MerkleTree, Moment};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The definition of RFC 9162, section 2.1.1, word for word.
fn tree_hash(leaves: &[Vec<u8>]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => Sha256::digest([&[0_u8][..], leaf].concat()).into(),
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            let (left, right) = (tree_hash(&leaves[..k]), tree_hash(&leaves[k..]));
            Sha256::digest([&[1_u8][..], &left, &right].concat()).into()
        }
    }
}

#[test]
fn the_tree_is_that_of_the_rfc() {
    for count in 0..=260_i64 {
        let entries = (0..count).map(|id| Entry { id, timestamp: Moment::from_micros(-id), body_hash: Hash([3; 32]) });
        let leaves: Vec<Vec<u8>> = entries.clone().map(|entry| entry.to_bytes().to_vec()).collect();
        let mut tree = MerkleTree::default();
        entries.for_each(|entry| tree.push(entry.leaf_hash()));
        assert_eq!(tree.root().0, tree_hash(&leaves), "{count} leaves");
    }
}

#[test]
fn the_tree_of_nothing_is_that_of_certificate_transparency() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(MerkleTree::default().root().to_string(), empty);
}

fn row() -> impl Strategy<Value = AuditRow> {
    // Few letters, so that fields often look alike and only their borders tell them apart.
    let text = || "[ab\u{0}\u{1}]{0,3}";
    let maybe = || prop::option::of("[ab\u{0}\u{1}]{0,3}");
    let id = || prop::sample::select(vec![Uuid::nil(), Uuid::max()]);
    (
        (0..2_i64, text(), id(), text(), maybe(), prop::option::of(id())),
        (text(), text(), any::<bool>(), maybe(), maybe(), maybe(), prop::option::of(0..3_i32)),
    )
        .prop_map(|((completed_at, user_id, call_id, action, resource, resource_id), rest)| AuditRow {
            id: 1,
            timestamp: Moment::UNIX_EPOCH,
            completed_at: Moment::from_micros(completed_at),
            tenant_id: Uuid::nil(),
            user_id,
            call_id,
            action,
            resource,
            resource_id,
            details: rest.0,
            outcome: rest.1,
            success: rest.2,
            error_message: rest.3,
            ip_address: rest.4,
            user_agent: rest.5,
            duration_ms: rest.6,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn rows_that_differ_hash_differently(one in row(), two in row()) {
        prop_assert_eq!(one == two, one.body_hash() == two.body_hash());
    }

    #[test]
    fn text_that_slides_from_field_to_field_changes_the_hash(base in row(), text in "[ab]{2,6}", a in 0..7_usize, b in 0..7_usize) {
        let cut = |at: usize| {
            let mut row = base.clone();
            let (left, right) = text.split_at(at.min(text.len()));
            (row.user_id, row.action, row.resource) = (left.to_owned(), right.to_owned(), None);
            row
        };
        prop_assert_eq!(cut(a) == cut(b), cut(a).body_hash() == cut(b).body_hash());
    }

    #[test]
    fn rows_survive_an_archive(row in row()) {
        let json = serde_json::to_string(&row).unwrap();
        prop_assert_eq!(serde_json::from_str::<AuditRow>(&json).unwrap(), row);
    }

    #[test]
    fn entries_are_their_bytes(id in any::<i64>(), micros in any::<i64>(), hash in any::<[u8; 32]>()) {
        let entry = Entry { id, timestamp: Moment::from_micros(micros), body_hash: Hash(hash) };
        prop_assert_eq!(Entry::from_bytes(&entry.to_bytes()), entry);
    }
}
