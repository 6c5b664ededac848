use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Connections that nobody would miss, by address and by how long they have been so.
#[derive(Default)]
pub(super) struct Quiet {
    /// Each address's, by the number since which they are quiet.
    by_address: HashMap<IpAddr, BTreeMap<u64, u64>>,
    /// How many each address has.
    counts: BTreeSet<(usize, IpAddr)>,
}

impl Quiet {
    pub(super) fn insert(&mut self, address: IpAddr, since: u64, connection: u64) {
        let theirs = self.by_address.entry(address).or_default();
        self.counts.remove(&(theirs.len(), address));
        theirs.insert(since, connection);
        self.counts.insert((theirs.len(), address));
    }

    pub(super) fn remove(&mut self, address: IpAddr, since: u64) {
        let Some(theirs) = self.by_address.get_mut(&address) else { return };
        self.counts.remove(&(theirs.len(), address));
        theirs.remove(&since);
        if theirs.is_empty() {
            self.by_address.remove(&address);
        } else {
            self.counts.insert((theirs.len(), address));
        }
    }

    /// The address's connection that has been quiet for longest.
    pub(super) fn oldest_of(&self, address: IpAddr) -> Option<u64> {
        self.by_address.get(&address)?.first_key_value().map(|(_, connection)| *connection)
    }

    /// The same, of the address that has the most.
    pub(super) fn oldest_of_most(&self) -> Option<u64> {
        self.oldest_of(self.counts.last()?.1)
    }
}
