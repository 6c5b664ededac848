use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Connections that nobody would miss, by address and by how long they have been so.
#[derive(Default)]
pub(super) struct Quiet {
    /// Each address's, by the number since which they are quiet.
    by_address: HashMap<IpAddr, BTreeMap<u64, u64>>,
    /// The address that has the most last; of equals the one whose oldest is older.
    ranks: BTreeSet<Rank>,
}

type Rank = (usize, Reverse<u64>, IpAddr);

fn rank(theirs: &BTreeMap<u64, u64>, address: IpAddr) -> Rank {
    (theirs.len(), Reverse(theirs.first_key_value().map_or(0, |(since, _)| *since)), address)
}

impl Quiet {
    pub(super) fn insert(&mut self, address: IpAddr, since: u64, connection: u64) {
        let theirs = self.by_address.entry(address).or_default();
        self.ranks.remove(&rank(theirs, address));
        theirs.insert(since, connection);
        self.ranks.insert(rank(theirs, address));
    }

    pub(super) fn remove(&mut self, address: IpAddr, since: u64) {
        let Some(theirs) = self.by_address.get_mut(&address) else { return };
        self.ranks.remove(&rank(theirs, address));
        theirs.remove(&since);
        if theirs.is_empty() {
            self.by_address.remove(&address);
        } else {
            self.ranks.insert(rank(theirs, address));
        }
    }

    /// The address's connection that has been quiet for longest.
    pub(super) fn oldest_of(&self, address: IpAddr) -> Option<u64> {
        self.by_address.get(&address)?.first_key_value().map(|(_, connection)| *connection)
    }

    /// The same, of the address that has the most.
    pub(super) fn oldest_of_most(&self) -> Option<u64> {
        self.oldest_of(self.ranks.last()?.2)
    }
}
