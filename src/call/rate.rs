use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// A tenant's rate of calls: the generic cell rate algorithm, by `governor`.
#[derive(Debug)]
pub(super) struct Rate(DefaultDirectRateLimiter);

impl Rate {
    pub(super) fn per_minute(calls: u32) -> Option<Self> {
        NonZeroU32::new(calls).map(|calls| Self(RateLimiter::direct(Quota::per_minute(calls))))
    }

    /// Counts a call; how long until it would be let in, if it is not.
    pub(super) fn refuses(&self) -> Option<Duration> {
        self.0.check().err().map(|wait| wait.wait_time_from(DefaultClock::default().now()))
    }
}
