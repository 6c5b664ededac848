//! A circuit breaker (Nygard, Release It!, 2007): a service that fails again and again is left alone for a while, so that
//! nobody waits for what will not come and the service can recover.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::embedding::{EmbeddingError, Purpose, metering};

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// How long it stays open at first, and at most; doubled each time that a trial fails.
const REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(300);
/// The same where its answers are of no use, of whatever text, or break off: they may have to be paid all the same.
const USELESS_REST: Duration = Duration::from_secs(60);
const LONGEST_USELESS_REST: Duration = Duration::from_secs(3_600);

#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    failures: u32,
    /// Until when it is open, and for how long that was.
    open: Option<(Instant, Duration)>,
    /// Whether the trial is under way: what was asked before it opened says nothing new.
    is_tried: bool,
    /// Whether the trial's answer was of no use, and another was let through with it: one text may have been to blame.
    is_second: bool,
}

impl Breaker {
    /// Whether a request may go out. When the rest is over one may, as a trial; the others when it has succeeded.
    pub fn check(&self) -> Result<(), EmbeddingError> {
        let mut state = self.state();
        let Some((until, rest)) = state.open else { return Ok(()) };
        let now = Instant::now();
        if now < until {
            return Err(EmbeddingError::Resting { retry_after: until - now });
        }
        // Should the trial never end, another may follow after this.
        state.open = Some((now + rest, rest));
        state.is_tried = true;
        Ok(())
    }

    pub fn succeeded(&self) {
        let mut state = self.state();
        if state.open.is_some() {
            metering::breaker(false);
        }
        *state = State::default();
    }

    pub fn failed(&self, error: &EmbeddingError, purpose: Purpose) {
        // A refusal says that the service is there; it is the request that is wrong. But for its key, every request is.
        if matches!(error, EmbeddingError::Refused { status } if ![401, 403].contains(status)) {
            return;
        }
        let is_useless = matches!(error, EmbeddingError::Unusable { .. } | EmbeddingError::CutOff);
        let mut state = self.state();
        if let EmbeddingError::Unusable { is_of_text, .. } = error {
            let is_second = std::mem::take(&mut state.is_second);
            if let (Some((_, rest)), true, false) = (state.open, state.is_tried, is_second) {
                (state.open, state.is_second) = (Some((Instant::now(), rest)), true);
                return;
            }
            // Whoever embeds passages finds out by another text whether it is the service, and says so.
            if *is_of_text || matches!(purpose, Purpose::Passage) {
                return;
            }
        }
        state.failures = state.failures.saturating_add(1);
        let asked = match error {
            EmbeddingError::Busy { retry_after } => *retry_after,
            _ => None,
        };
        let rest = match state.open {
            Some(_) if !state.is_tried => return,
            Some((_, rest)) if is_useless => (rest * 2).clamp(USELESS_REST, LONGEST_USELESS_REST),
            Some((_, rest)) => (rest * 2).min(LONGEST_REST),
            None if state.failures < FAILURES => return,
            None if is_useless => USELESS_REST,
            None => REST,
        };
        let rest = asked.map_or(rest, |asked| asked.clamp(rest, LONGEST_REST.max(rest)));
        Self::open(&mut state, rest, &error.to_string());
    }

    /// Opens it, for the service gave an answer of no use to a text that nobody could refuse: another would be as useless, and may have
    /// to be paid.
    pub fn useless(&self) {
        let mut state = self.state();
        let rest = match state.open {
            // Another found it out at the same time.
            Some(_) if !state.is_tried => return,
            Some((_, rest)) => (rest * 2).clamp(USELESS_REST, LONGEST_USELESS_REST),
            None => USELESS_REST,
        };
        Self::open(&mut state, rest, "its answers are of no use");
    }

    fn open(state: &mut State, rest: Duration, error: &str) {
        if state.open.is_none() {
            tracing::warn!(
                error,
                rest_s = rest.as_secs(),
                "the embedding service fails again and again and is left alone for a while"
            );
            metering::breaker(true);
        }
        state.open = Some((Instant::now() + rest, rest));
        (state.is_tried, state.is_second) = (false, false);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_trial_through() {
        let breaker = Breaker::default();
        for _ in 1..FAILURES {
            breaker.failed(&EmbeddingError::Unreachable, Purpose::Passage);
            assert!(breaker.check().is_ok());
        }
        breaker.succeeded();
        for _ in 0..FAILURES {
            breaker.failed(&EmbeddingError::Unreachable, Purpose::Passage);
        }
        assert!(matches!(breaker.check(), Err(EmbeddingError::Resting { .. })));
        breaker.state().open = Some((Instant::now(), REST));
        assert!(breaker.check().is_ok(), "the trial");
        assert!(breaker.check().is_err(), "and no other");
        breaker.failed(&EmbeddingError::TimedOut, Purpose::Query);
        let rest = breaker.state().open.unwrap().1;
        assert_eq!(rest, REST * 2);
        breaker.succeeded();
        assert!(breaker.check().is_ok());
    }

    #[test]
    fn a_service_whose_answers_are_useless_is_asked_ever_more_seldom() {
        let breaker = Breaker::default();
        let useless = EmbeddingError::Unusable { why: "x", is_of_text: false, tokens: 9 };
        for rest in [60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
            // A batch, and a text that nobody could refuse.
            for _ in 0..2 {
                assert!(breaker.check().is_ok(), "{rest}");
                breaker.failed(&useless, Purpose::Passage);
            }
            breaker.useless();
            breaker.useless();
            assert!(breaker.check().is_err(), "{rest}");
            assert_eq!(breaker.state().open.unwrap().1, Duration::from_secs(rest));
            breaker.state().open = Some((Instant::now(), Duration::from_secs(rest)));
        }
    }

    #[test]
    fn a_service_whose_answers_break_off_rests_as_long_as_one_whose_answers_are_useless() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert!(breaker.check().is_ok());
            breaker.failed(&EmbeddingError::CutOff, Purpose::Passage);
        }
        assert_eq!(breaker.state().open.unwrap().1, USELESS_REST);
    }

    #[test]
    fn what_the_request_is_to_blame_for_does_not_open_it() {
        let breaker = Breaker::default();
        for _ in 0..3 * FAILURES {
            breaker.failed(&EmbeddingError::Refused { status: 400 }, Purpose::Query);
            breaker.failed(&EmbeddingError::Unusable { why: "x", is_of_text: true, tokens: 0 }, Purpose::Query);
            breaker.failed(&EmbeddingError::Unusable { why: "x", is_of_text: false, tokens: 0 }, Purpose::Passage);
        }
        assert!(breaker.check().is_ok());
        for _ in 0..FAILURES {
            breaker.failed(&EmbeddingError::Refused { status: 401 }, Purpose::Passage);
        }
        assert!(breaker.check().is_err());
        let breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert!(breaker.check().is_ok());
            let useless = EmbeddingError::Unusable { why: "x", is_of_text: false, tokens: 9 };
            breaker.failed(&useless, Purpose::Query);
        }
        assert!(breaker.check().is_err(), "nobody looks into what queries get");
    }
}
