use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::HttpOptions;
use super::address::neighbourhood;
use super::quiet::Quiet;

/// The connections that there are: so many in all, and so many of one address.
///
/// Where one too many comes, the oldest that has not asked anything yet makes room: silent ones that come again and again keep
/// nobody out. In all it is one of the address that has the most of them, so a flood of few addresses costs others none of
/// theirs. Where none is silent, one that has had its answers and asks nothing goes; one whose request is under way stays.
#[derive(Clone)]
pub(super) struct Connections(Arc<Shared>);

struct Shared {
    most: usize,
    most_of_address: usize,
    options: HttpOptions,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// Given out so far: a higher number is younger.
    numbers: u64,
    members: HashMap<u64, Member>,
    by_address: HashMap<IpAddr, usize>,
    /// Those that have not sent a whole head.
    silent: Quiet,
    /// Those between two requests.
    idle: Quiet,
}

struct Member {
    address: IpAddr,
    stage: Stage,
    evicted: CancellationToken,
}

/// What a connection does, and since which number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Silent(u64),
    Idle(u64),
    Busy,
}

/// A connection's place, given back when it ends.
pub(super) struct Place {
    connections: Connections,
    number: u64,
    evicted: CancellationToken,
}

/// A request under way: until it is dropped its connection stays.
pub(super) struct Busy(Arc<Place>);

impl Connections {
    pub(super) fn new(options: &HttpOptions) -> Self {
        let (most, most_of_address) = (options.most_connections, options.most_connections_of_address);
        Self(Arc::new(Shared { most, most_of_address, options: options.clone(), held: Mutex::default() }))
    }

    /// A place for a connection from there; `None` if nobody can make room.
    pub(super) fn place(&self, peer: IpAddr) -> Option<Arc<Place>> {
        let address = neighbourhood(peer);
        let mut held = self.held();
        let of_address = held.by_address.get(&address).copied().unwrap_or_default();
        // Trusted proxies speak for many.
        let is_bounded = !self.0.options.trusted_proxies.contain(peer);
        if is_bounded && of_address >= self.0.most_of_address {
            let oldest = held.silent.oldest_of(address).or_else(|| held.idle.oldest_of(address));
            held.evict(oldest?);
        } else if held.members.len() >= self.0.most {
            let oldest = held.silent.oldest_of_most().or_else(|| held.idle.oldest_of_most());
            held.evict(oldest?);
        }
        let (number, evicted) = (held.number(), CancellationToken::new());
        held.silent.insert(address, number, number);
        held.members.insert(number, Member { address, stage: Stage::Silent(number), evicted: evicted.clone() });
        *held.by_address.entry(address).or_default() += 1;
        Some(Arc::new(Place { connections: self.clone(), number, evicted }))
    }

    /// Whether more than three quarters of the places are taken.
    pub(super) fn are_many(&self) -> bool {
        self.held().members.len() > self.0.most / 4 * 3
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing in here panics half-way.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Ends a connection; its place is free at once.
    fn evict(&mut self, number: u64) {
        if let Some(member) = self.forget(number) {
            metrics::counter!("bailiwick_http_connections_evicted_total").increment(1);
            member.evicted.cancel();
        }
    }

    fn forget(&mut self, number: u64) -> Option<Member> {
        let member = self.members.remove(&number)?;
        self.leave(member.address, member.stage);
        if let Some(count) = self.by_address.get_mut(&member.address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&member.address);
            }
        }
        Some(member)
    }

    fn leave(&mut self, address: IpAddr, stage: Stage) {
        match stage {
            Stage::Silent(since) => self.silent.remove(address, since),
            Stage::Idle(since) => self.idle.remove(address, since),
            Stage::Busy => {}
        }
    }

    /// Whoever was evicted has no stage any more.
    fn turn(&mut self, number: u64, stage: Stage) {
        let Some(member) = self.members.get_mut(&number) else { return };
        let (address, before) = (member.address, std::mem::replace(&mut member.stage, stage));
        self.leave(address, before);
        if let Stage::Idle(since) = stage {
            self.idle.insert(address, since, number);
        }
    }
}

impl Place {
    /// Cancelled when the connection is to make room.
    pub(super) fn evicted(&self) -> CancellationToken {
        self.evicted.clone()
    }

    /// Notes that a request has come whole to its head and is worked on.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.connections.held().turn(self.number, Stage::Busy);
        Busy(Arc::clone(self))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.held().forget(self.number);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut held = self.0.connections.held();
        let since = held.number();
        held.turn(self.0.number, Stage::Idle(since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(most: usize, of_address: usize) -> Connections {
        Connections::new(&HttpOptions {
            most_connections: most,
            most_connections_of_address: of_address,
            trusted_proxies: "10.9.9.9".parse().unwrap(),
            ..HttpOptions::default()
        })
    }

    fn from(connections: &Connections, address: &str) -> Option<Arc<Place>> {
        connections.place(address.parse().unwrap())
    }

    fn is_out(place: &Option<Arc<Place>>) -> bool {
        place.as_ref().unwrap().evicted.is_cancelled()
    }

    #[test]
    fn the_oldest_silent_one_of_the_fullest_address_makes_room() {
        let connections = connections(4, 3);
        let lone = from(&connections, "192.0.2.1");
        let (first, second) = (from(&connections, "192.0.2.2"), from(&connections, "192.0.2.2"));
        let third = from(&connections, "192.0.2.2");
        let newcomer = from(&connections, "192.0.2.3");
        assert!(newcomer.is_some() && is_out(&first) && ![&lone, &second, &third].into_iter().any(is_out));
        drop(first);
        assert_eq!(connections.held().members.len(), 4, "whoever was put out gives nothing back twice");
        drop((lone, second, third, newcomer));
        let held = connections.held();
        assert!(held.members.is_empty() && held.by_address.is_empty());
        assert!(held.silent.oldest_of_most().is_none() && held.idle.oldest_of_most().is_none());
    }

    #[test]
    fn those_who_ask_stay_and_those_who_have_asked_go_after_the_silent() {
        let connections = connections(3, 3);
        let places: Vec<_> = (1..=3).map(|last| from(&connections, &format!("192.0.2.{last}"))).collect();
        let busy = places[0].as_ref().unwrap().busy();
        drop(places[1].as_ref().unwrap().busy());
        let fourth = from(&connections, "192.0.2.4");
        assert!(is_out(&places[2]) && !is_out(&places[1]) && !is_out(&places[0]), "the silent one goes first");
        let fourth_asks = fourth.as_ref().unwrap().busy();
        let fifth = from(&connections, "192.0.2.5");
        assert!(is_out(&places[1]) && !is_out(&fourth), "then the one between two requests");
        let _fifth_asks = fifth.as_ref().unwrap().busy();
        assert!(from(&connections, "192.0.2.6").is_none(), "all work");
        drop((busy, fourth_asks));
        assert!(from(&connections, "192.0.2.6").is_some() && is_out(&places[0]), "the one that is idle for longest");
    }

    #[test]
    fn an_address_has_its_bound_and_makes_room_for_its_own() {
        let connections = connections(10, 2);
        let (first, second) = (from(&connections, "2001:db8::1"), from(&connections, "2001:db8::2"));
        let other = from(&connections, "2001:db8:0:1::1");
        let third = from(&connections, "2001:db8::3");
        assert!(is_out(&first) && !is_out(&second) && !is_out(&other), "a /64 is one address");
        let _both = (second.as_ref().unwrap().busy(), third.as_ref().unwrap().busy());
        assert!(from(&connections, "2001:db8::4").is_none());
        let proxied: Vec<_> = (0..6).map(|_| from(&connections, "10.9.9.9")).collect();
        assert!(proxied.iter().all(Option::is_some) && !connections.held().members.is_empty());
        assert!(connections.are_many());
    }
}
