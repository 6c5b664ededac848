//! A replica that fails again and again is left alone for a while (a circuit breaker: Nygard, Release It!, 2007). Each search that
//! waits for it in vain holds a connection to the primary meanwhile, and writes wait for those.

use std::time::{Duration, Instant};

/// Failures in a row that open it.
const FAILURES: u32 = 3;
/// How long it stays open at first, and at most; doubled each time that a trial fails.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    /// How long the next rest is.
    rest: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    /// Nothing is let through until then.
    Open {
        until: Instant,
    },
    /// One trial is under way.
    Tried,
}

/// What was let through. It is to be given back with what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// Like any other.
    Usual,
    /// By which it is decided whether the others follow.
    Trial,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    Good,
    Bad,
    /// Nothing that says how the replica does.
    Nothing,
}

/// What the log should tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Opened { rest: Duration },
    Closed,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 0, rest: REST, state: State::Closed }
    }
}

impl Breaker {
    /// Lets a search through, or not.
    pub fn pass(&mut self, now: Instant) -> Option<Pass> {
        match self.state {
            State::Closed => Some(Pass::Usual),
            State::Open { until } if now >= until => {
                self.state = State::Tried;
                Some(Pass::Trial)
            }
            State::Open { .. } | State::Tried => None,
        }
    }

    /// What came of one. Those that were let through before it opened say nothing new.
    pub fn note(&mut self, pass: Pass, came: Came, now: Instant) -> Option<Turn> {
        match (self.state, pass, came) {
            (State::Closed, _, Came::Good) => {
                self.failures = 0;
                None
            }
            (State::Closed, _, Came::Bad) => {
                self.failures += 1;
                (self.failures >= FAILURES).then(|| self.open(now))
            }
            (State::Tried, Pass::Trial, Came::Good) => {
                *self = Self::default();
                Some(Turn::Closed)
            }
            (State::Tried, Pass::Trial, Came::Bad) => Some(self.open(now)),
            (State::Tried, Pass::Trial, Came::Nothing) => {
                // The next one is the trial.
                self.state = State::Open { until: now };
                None
            }
            _ => None,
        }
    }

    fn open(&mut self, now: Instant) -> Turn {
        let rest = self.rest;
        self.state = State::Open { until: now + rest };
        self.rest = (rest * 2).min(LONGEST_REST);
        Turn::Opened { rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(at: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for failure in 1..=FAILURES {
            let turn = breaker.note(Pass::Usual, Came::Bad, at);
            assert_eq!(turn, (failure == FAILURES).then_some(Turn::Opened { rest: REST }));
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_no_others() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..10 * FAILURES {
            breaker.note(Pass::Usual, Came::Bad, now);
            breaker.note(Pass::Usual, Came::Nothing, now);
            breaker.note(Pass::Usual, Came::Bad, now);
            breaker.note(Pass::Usual, Came::Good, now);
            assert_eq!(breaker.pass(now), Some(Pass::Usual));
        }
        assert_eq!(opened(now).pass(now), None);
    }

    #[test]
    fn one_trial_follows_a_rest_and_decides() {
        let now = Instant::now();
        let mut breaker = opened(now);
        // Those that were under way when it opened neither close it nor lengthen its rest.
        assert_eq!(breaker.note(Pass::Usual, Came::Good, now), None);
        assert_eq!(breaker.note(Pass::Usual, Came::Bad, now), None);
        let mut at = now;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let rest = Duration::from_secs(seconds);
            assert_eq!(breaker.pass(at + rest - Duration::from_millis(1)), None, "{rest:?}");
            at += rest;
            assert_eq!(breaker.pass(at), Some(Pass::Trial), "{rest:?}");
            assert_eq!(breaker.pass(at), None, "and no other");
            assert_eq!(breaker.note(Pass::Usual, Came::Good, at), None, "an old one");
            let next = (rest * 2).min(LONGEST_REST);
            assert_eq!(breaker.note(Pass::Trial, Came::Bad, at), Some(Turn::Opened { rest: next }));
        }
        at += LONGEST_REST;
        assert_eq!(breaker.pass(at), Some(Pass::Trial));
        assert_eq!(breaker.note(Pass::Trial, Came::Nothing, at), None);
        assert_eq!(breaker.pass(at), Some(Pass::Trial), "a trial that was cut short is made up for at once");
        assert_eq!(breaker.note(Pass::Trial, Came::Good, at), Some(Turn::Closed));
        assert_eq!((breaker.pass(at), breaker.pass(at)), (Some(Pass::Usual), Some(Pass::Usual)));
        assert_eq!(breaker.rest, REST, "its next rest is a short one again");
    }
}
