use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Moment;

/// A month of UTC, as the trail is partitioned: written 2026-08.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(Date);

impl Month {
    /// The month that begins on that day.
    pub(super) fn starting(first_day: Date) -> Self {
        Self(first_day)
    }

    /// Its first moment.
    #[must_use]
    pub fn begin(self) -> Moment {
        moment(self.0)
    }

    /// The first moment of the month after it.
    #[must_use]
    pub fn end(self) -> Moment {
        moment(self.0.saturating_add(1.month()))
    }

    /// The month after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1.month()))
    }

    /// Its first day, as SQL writes it.
    #[must_use]
    pub fn first_day(self) -> String {
        self.0.to_string()
    }
}

fn moment(date: Date) -> Moment {
    // UTC has every midnight that jiff can name; its very last day has none after it, which is as far as a month goes.
    TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_or(Moment::from_micros(i64::MAX), Moment::from)
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || format!("{text:?} is no month; expected YYYY-MM");
        let (year, month) =
            text.split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2).ok_or_else(refuse)?;
        let (year, month) = year.parse().ok().zip(month.parse().ok()).ok_or_else(refuse)?;
        Date::new(year, month, 1).map(Self).map_err(|_| refuse())
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_goes_to_the_next() {
        let month: Month = "2026-12".parse().unwrap();
        assert_eq!(
            (month.begin().to_string(), month.end().to_string()),
            ("2026-12-01T00:00:00Z".to_owned(), "2027-01-01T00:00:00Z".to_owned())
        );
        for wrong in ["2026-13", "2026-1", "26-01", "2026", "2026-00"] {
            assert!(wrong.parse::<Month>().is_err(), "{wrong}");
        }
    }
}
