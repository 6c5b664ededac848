use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp, TimestampRound, Unit};

use crate::search::filter::parse_instant;

/// Reads when a key ends: a length of time from now (`90d`, `12h`, `2w`), an instant, a date (its first moment in UTC),
/// or `never`, which is `None`. A day has 24 hours.
///
/// # Errors
/// What is wrong, for the person who wrote it.
pub(super) fn parse(text: &str, now: Timestamp) -> Result<Option<Timestamp>, String> {
    let text = text.trim();
    if text == "never" {
        return Ok(None);
    }
    let end = parse_instant(text).or_else(|| now.checked_add(length(text)?).ok());
    let Some(end) = end else {
        let shown: String = text.chars().take(40).collect();
        return Err(format!(
            "is {shown:?}; allowed is a length of time like 90d or 12h, RFC 3339 with an offset like 2027-03-01T00:00:00Z, a date like 2027-03-01, or never"
        ));
    };
    if end <= now {
        return Err(format!("is {text:?}, which is in the past; a key must end later than now"));
    }
    // The database counts whole microseconds.
    let down = TimestampRound::new().smallest(Unit::Microsecond).mode(jiff::RoundMode::Trunc);
    Ok(Some(end.round(down).unwrap_or(end)))
}

/// Months and years have no settled length, so they are not taken.
fn length(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_dates_instants_and_never_are_read() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for (text, end) in [
            ("90d", Some("2026-05-30T12:00:00Z")),
            ("12h", Some("2026-03-02T00:00:00Z")),
            ("2w", Some("2026-03-15T12:00:00Z")),
            ("2027-01-01", Some("2027-01-01T00:00:00Z")),
            ("2026-03-01T13:00:00+00:30", Some("2026-03-01T12:30:00Z")),
            ("never", None),
        ] {
            assert_eq!(parse(text, now), Ok(end.map(|end| end.parse().unwrap())), "{text}");
        }
    }

    #[test]
    fn what_is_past_or_unclear_is_refused() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        for text in ["2026-03-01", "0d", "-1d", "1d ago", "2026-03-01T12:00:00Z"] {
            assert!(parse(text, now).unwrap_err().contains("past"), "{text}");
        }
        for text in ["", "90", "soon", "3mo", "1y", "2027-03-01T00:00:00", "999999999d", "2027-02-30", "NEVER"] {
            assert!(parse(text, now).unwrap_err().contains("allowed is"), "{text}");
        }
    }
}
