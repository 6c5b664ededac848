use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::embedding::EmbeddingError;

/// Before the second try; doubled for each one more.
const FIRST_PAUSE: Duration = Duration::from_millis(400);

/// How long to wait before the request is tried again; `None` if it is not.
pub(super) fn pause(error: &EmbeddingError, tried: u32, longest: Duration) -> Option<Duration> {
    if !error.is_passing() {
        return None;
    }
    if let EmbeddingError::Busy { retry_after: Some(wait) } = error {
        return (*wait <= longest).then_some(*wait);
    }
    let pause = FIRST_PAUSE.saturating_mul(1 << tried.saturating_sub(1).min(10)).min(longest);
    // Between half and all of it, so that those who failed together do not come again together.
    let mut byte = [0_u8];
    let _ = getrandom::fill(&mut byte);
    Some(pause.mul_f64(0.5 + f64::from(byte[0]) / 510.0))
}

/// What `Retry-After` says: seconds, or a date (RFC 9110, section 10.2.3).
pub(super) fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Duration::try_from(date.timestamp().duration_since(Timestamp::now())).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())])
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(asked_for(&header("7")), Some(Duration::from_secs(7)));
        let soon = Timestamp::now() + jiff::SignedDuration::from_secs(30);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&soon).unwrap();
        let wait = asked_for(&header(&date)).unwrap();
        assert!((25..=30).contains(&wait.as_secs()), "{date}: {wait:?}");
        assert_eq!(asked_for(&header("Wed, 21 Oct 2015 07:28:00 GMT")), Some(Duration::ZERO));
        assert_eq!(asked_for(&header("soon")), None);
        assert_eq!(asked_for(&HeaderMap::new()), None);
    }

    #[test]
    fn pauses_grow_up_to_a_bound_and_are_those_that_were_asked_for() {
        let longest = Duration::from_secs(20);
        for tried in 1..40 {
            let pause = pause(&EmbeddingError::Unreachable, tried, longest).unwrap();
            assert!(pause >= FIRST_PAUSE / 2 && pause <= longest, "{tried}: {pause:?}");
        }
        let busy = |seconds| EmbeddingError::Busy { retry_after: Some(Duration::from_secs(seconds)) };
        assert_eq!(pause(&busy(3), 1, longest), Some(Duration::from_secs(3)));
        assert_eq!(pause(&busy(600), 1, longest), None, "nobody waits so long");
        for lasting in
            [EmbeddingError::Refused { status: 401 }, EmbeddingError::Unusable { why: "", is_of_text: true, tokens: 0 }]
        {
            assert_eq!(pause(&lasting, 1, longest), None);
        }
    }
}
