use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{Mutex as Queue, MutexGuard};

use super::address::neighbourhood;

/// Addresses are told apart by so many numbers. Two that share one share their failures, which keeps nobody with a good
/// credential out; and however many addresses come, no more is remembered.
const NUMBERS: u64 = 4_096;
/// Queues for look-ups of those who have failed too often.
const QUEUES: u64 = 64;
/// So long one of a queue is kept after a failure, so that guesses cost little.
const PAUSE: Duration = Duration::from_millis(2);

/// Who shows bad credentials, by address: only failures are counted, so whoever has a good one is let in from anywhere.
pub(super) struct Strangers {
    failures: Option<DefaultKeyedRateLimiter<u64>>,
    /// Until when a number's next failure would be one too many.
    put_off: Mutex<HashMap<u64, Instant>>,
    queues: Vec<Queue<()>>,
    seed: RandomState,
}

impl Strangers {
    /// So many failures a minute from one address, as many at once; no bound for 0.
    pub(super) fn new(failures_per_minute: u32) -> Arc<Self> {
        Arc::new(Self {
            failures: NonZeroU32::new(failures_per_minute)
                .map(|failures| RateLimiter::keyed(Quota::per_minute(failures))),
            put_off: Mutex::default(),
            queues: (0..QUEUES).map(|_| Queue::default()).collect(),
            seed: RandomState::new(),
        })
    }

    /// Counts a failure; how long until the next one is answered as such, if this one is not. Whoever is told so has waited in a
    /// queue, that their next guess comes a little later.
    pub(super) async fn failed(&self, address: IpAddr) -> Option<Duration> {
        let (failures, number) = (self.failures.as_ref()?, self.number(address));
        let wait = failures.check_key(&number).err()?.wait_time_from(DefaultClock::default().now());
        self.put_off().insert(number, Instant::now() + wait);
        let turn = self.queue(number)?.lock().await;
        tokio::time::sleep(PAUSE).await;
        drop(turn);
        Some(wait)
    }

    /// Waits for the turn to look a credential up that is not known to be good: at once, unless too many from that address were
    /// bad of late. Then one comes after the other.
    pub(super) async fn turn(&self, address: IpAddr) -> Option<MutexGuard<'_, ()>> {
        let number = self.number(address);
        let is_put_off = self.put_off().get(&number).is_some_and(|until| Instant::now() < *until);
        if is_put_off { Some(self.queue(number)?.lock().await) } else { None }
    }

    fn put_off(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Instant>> {
        self.put_off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self, number: u64) -> Option<&Queue<()>> {
        self.queues.get(usize::try_from(number % QUEUES).ok()?)
    }

    fn number(&self, address: IpAddr) -> u64 {
        self.seed.hash_one(neighbourhood(address)) % NUMBERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn failures_are_counted_by_address() {
        let strangers = Strangers::new(3);
        let (stranger, neighbour) = (address("2001:db8::1"), address("2001:db8::2"));
        for _ in 0..3 {
            assert_eq!(strangers.failed(stranger).await, None);
            assert!(strangers.turn(stranger).await.is_none());
        }
        let wait = strangers.failed(neighbour).await.expect("a /64 is one address");
        assert!(wait > Duration::from_secs(10) && wait <= Duration::from_secs(20), "{wait:?}");
        let turn = strangers.turn(stranger).await.expect("one after the other");
        let waiting = tokio::time::timeout(Duration::from_millis(20), strangers.turn(neighbour)).await;
        assert!(waiting.is_err(), "one at a time");
        drop(turn);
        assert!(strangers.turn(neighbour).await.is_some());
    }

    #[tokio::test]
    async fn whatever_comes_little_is_remembered_and_nothing_where_there_is_no_bound() {
        let strangers = Strangers::new(1);
        let numbers: std::collections::HashSet<_> =
            (0..20_000_u32).map(|bits| strangers.number(std::net::Ipv4Addr::from_bits(bits).into())).collect();
        assert!(numbers.len() <= 4_096 && numbers.len() > 3_000, "{}", numbers.len());
        let free = Strangers::new(0);
        for _ in 0..100 {
            assert_eq!(free.failed(address("192.0.2.1")).await, None);
        }
        assert!(free.turn(address("192.0.2.1")).await.is_none());
    }
}
