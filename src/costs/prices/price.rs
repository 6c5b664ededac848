use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::call::Problems;
use crate::costs::{Bound, usd};

/// The dearest price that is taken for one: ten times what the dearest model has ever cost. A price by the token, or by a thousand of
/// them in the wrong column, is beyond it or has too many decimals.
const MOST_USD: Decimal = Decimal::from_parts(10_000, 0, 0, false, 0);
/// Decimals of a price: any number of tokens then costs a number of USD that twelve decimals hold.
const MOST_DECIMALS: u32 = 6;
/// How many times dearer or cheaper a model may become at once before somebody has to say that it is meant.
const LARGEST_CHANGE: Decimal = Decimal::ONE_HUNDRED;

/// The columns of a price list.
const COLUMNS: [&str; 8] = [
    "provider",
    "model_name",
    "input_usd_per_million",
    "output_usd_per_million",
    "cached_input_usd_per_million",
    "effective_from",
    "source",
    "noted_on",
];

/// A price as text, by column; what is blank is absent.
pub type Fields = BTreeMap<String, String>;

/// A checked price, in USD per million tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The model's provider.
    pub provider: String,
    /// The model.
    pub model_name: String,
    /// For tokens sent.
    pub input: Decimal,
    /// For tokens written.
    pub output: Decimal,
    /// For tokens sent that the provider had in its cache; what others cost if `None`.
    pub cached_input: Option<Decimal>,
    /// From when on; the moment of its recording if `None`.
    pub effective_from: Option<Timestamp>,
    /// Where it stands, in words.
    pub source: String,
    /// The day on which it stood there; today in UTC if `None`.
    pub noted_on: Option<Date>,
}

impl Price {
    /// Checks a price. `place` (`line 3: `) goes before the names of what is wrong.
    ///
    /// # Errors
    /// All that is wrong, each with what was given and what is allowed.
    pub fn checked(fields: &Fields, place: &str) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        for name in fields.keys().filter(|name| !COLUMNS.contains(&name.as_str())) {
            problems.add(
                format!("{place}{name}"),
                format_args!("is no column of a price list; there are {}", COLUMNS.join(", ")),
            );
        }
        let field = |name: &str| fields.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
        let mut text = |name: &str, longest: usize| {
            let given = field(name).unwrap_or_default();
            problems.text(&format!("{place}{name}"), given, longest);
            given.to_owned()
        };
        let (provider, model_name, source) = (text("provider", 100), text("model_name", 200), text("source", 500));
        let mut amount = |name: &str, is_needed: bool| {
            let checked = match field(name) {
                None if is_needed => Err("is missing; give USD per million tokens, 0 if nothing is charged".to_owned()),
                None => Ok(None),
                Some(given) => amount(given).map(Some),
            };
            checked.unwrap_or_else(|told| {
                problems.add(format!("{place}{name}"), told);
                None
            })
        };
        let (input, output) = (amount("input_usd_per_million", true), amount("output_usd_per_million", true));
        let cached_input = amount("cached_input_usd_per_million", false);
        if let (Some(cached), Some(input)) = (cached_input, input)
            && cached > input
        {
            let told = format!("is {}, dearer than what is not cached ({})", usd(cached), usd(input));
            problems.add(format!("{place}cached_input_usd_per_million"), told);
        }
        let effective_from = field("effective_from").and_then(|given| {
            let at = match Bound::parse(given) {
                Some(Bound::Instant(at)) => Some(at),
                Some(Bound::Day(day)) => day.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp()),
                None => None,
            };
            if at.is_none() {
                problems.add(format!("{place}effective_from"), format_args!("is {given:?}; allowed is RFC 3339 with an offset, like 2026-03-01T00:00:00Z, or a date in UTC, like 2026-03-01"));
            }
            at
        });
        let noted_on = field("noted_on").and_then(|given| {
            let day = if given.len() > 10 { None } else { Date::from_str(given).ok() };
            if day.is_none() {
                problems
                    .add(format!("{place}noted_on"), format_args!("is {given:?}; allowed is a date, like 2026-03-01"));
            }
            day
        });
        problems.or(Self {
            provider,
            model_name,
            input: input.unwrap_or_default(),
            output: output.unwrap_or_default(),
            cached_input,
            effective_from,
            source,
            noted_on,
        })
    }

    /// Refuses a price so far from the one before it that a slip is more likely than a change.
    pub fn compare(&self, before: &Self, since: Timestamp, place: &str, problems: &mut Problems) {
        let pairs = [
            ("input_usd_per_million", self.input, before.input),
            ("output_usd_per_million", self.output, before.output),
        ];
        for (name, now, was) in pairs {
            let (less, more) = if now < was { (now, was) } else { (was, now) };
            if !less.is_zero() && more > less * LARGEST_CHANGE {
                problems.add(
                    format!("{place}{name}"),
                    format_args!(
                        "is {}, and has been {} since {since}: more than {LARGEST_CHANGE} times as much or as little. If that is right, \
                         repeat with --allow-large-changes",
                        usd(now),
                        usd(was)
                    ),
                );
            }
        }
    }

    /// For the statements that judge and add.
    #[must_use]
    pub fn as_json(&self, no: usize) -> Value {
        json!({
            "no": no,
            "provider": self.provider,
            "model_name": self.model_name,
            "input": self.input.to_string(),
            "output": self.output.to_string(),
            "cached_input": self.cached_input.map(|usd| usd.to_string()),
            "effective_from": self.effective_from.map(|at| at.to_string()),
            "source": self.source,
            "noted_on": self.noted_on.map(|day| day.to_string()),
        })
    }

    /// `2.5 / 10 (cached 1.25)`.
    #[must_use]
    pub fn shown(&self) -> String {
        let cached = self.cached_input.map_or_else(String::new, |cached| format!(" (cached {})", usd(cached)));
        format!("{} / {}{cached}", usd(self.input), usd(self.output))
    }
}

fn amount(given: &str) -> Result<Decimal, String> {
    const ALLOWED: &str = "allowed are 0 to 10000 USD per million tokens, with at most 6 decimals";
    let parsed = Decimal::from_str_exact(given).or_else(|_| Decimal::from_scientific(given));
    let shown: String = given.chars().take(40).collect();
    match parsed.map(|usd| usd.normalize()) {
        Ok(usd) if usd >= Decimal::ZERO && usd <= MOST_USD && usd.scale() <= MOST_DECIMALS => Ok(usd),
        _ => Err(format!("is {shown}; {ALLOWED}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(input: &str) -> Fields {
        let pairs = [("provider", "p"), ("model_name", "m"), ("source", "a page"), ("output_usd_per_million", "0")];
        let mut fields: Fields = pairs.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
        fields.insert("input_usd_per_million".to_owned(), input.to_owned());
        fields
    }

    #[test]
    fn prices_that_cannot_be_are_told_with_what_is_allowed() {
        for good in ["0", "0.02", "10000", "0.000001", "2.5e0", " 1.50 "] {
            assert!(Price::checked(&fields(good), "").is_ok(), "{good}");
        }
        for bad in ["20000", "2500000", "-0.1", "0.0000001", "2.5e-6", "NaN", "2,5", "$2", "1e40"] {
            let told = Price::checked(&fields(bad), "line 3: ").unwrap_err().to_string();
            assert!(told.contains("line 3: input_usd_per_million") && told.contains(bad), "{told}");
            assert!(told.contains("allowed are 0 to 10000 USD per million tokens"), "{told}");
        }
        let mut odd = fields("1");
        odd.insert("cached_input_usd_per_million".to_owned(), "1.5".to_owned());
        odd.insert("currency".to_owned(), "EUR".to_owned());
        odd.insert("noted_on".to_owned(), "2026-02-29".to_owned());
        odd.insert("source".to_owned(), " ".to_owned());
        let told = Price::checked(&odd, "").unwrap_err().to_string();
        for words in ["currency", "dearer than what is not cached", "noted_on", "source"] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }

    #[test]
    fn a_leap_needs_a_word() {
        let price = |input: &str| Price::checked(&fields(input), "").unwrap();
        let told = |now: &str, was: &str| {
            let mut problems = Problems::default();
            price(now).compare(&price(was), Timestamp::UNIX_EPOCH, "", &mut problems);
            problems.or(()).is_err()
        };
        assert!(told("2000", "0.002") && told("0.002", "2000") && told("101", "1"));
        assert!(!told("100", "1") && !told("0", "5") && !told("5", "0") && !told("2", "2"));
    }
}
