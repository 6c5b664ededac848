use std::time::{Duration, Instant};

use moka::Expiry;

/// How long an answer of the database on who somebody is is believed, counted from when it was asked for: what was taken back is
/// refused after that.
const BELIEVED: Duration = Duration::from_secs(1);
/// Longest look-up: who waited for it must not be let in by an answer of long ago.
pub(super) const LONGEST_LOOKUP: Duration = Duration::from_secs(3);
/// Answers remembered; a flood of guesses takes no more memory than that.
pub(super) const MOST: u64 = 10_000;

/// An answer, and when it was asked for.
#[derive(Clone)]
pub(super) struct Believed<V> {
    pub asked: Instant,
    pub answer: V,
}

/// Lets an answer go [`BELIEVED`] after it was asked for, however long it took to come.
pub(super) struct SinceAsked;

impl<K, V> Expiry<K, Believed<V>> for SinceAsked {
    fn expire_after_create(&self, _: &K, believed: &Believed<V>, _: Instant) -> Option<Duration> {
        Some(BELIEVED.saturating_sub(believed.asked.elapsed()))
    }
}
