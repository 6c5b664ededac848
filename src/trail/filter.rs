use clap::Args;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde::Serialize;
use uuid::Uuid;

use crate::call::{Action, Outcome, Problems};
use crate::search::filter::parse_instant;

/// Which rows are wanted, as a person or a model writes it.
#[derive(Debug, Clone, Default, Args)]
pub struct Wanted {
    /// Only calls that ended at this time or later: RFC 3339 (2026-03-01T09:00:00Z) or a UTC date
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Only calls that ended before this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Only calls of this user
    #[arg(long)]
    pub user: Option<String>,
    /// Only calls that did this
    #[arg(long)]
    pub action: Option<Action>,
    /// Only calls that ended so
    #[arg(long)]
    pub outcome: Option<Outcome>,
    /// Only calls that succeeded (true) or did not (false)
    #[arg(long)]
    pub success: Option<bool>,
    /// Only calls of this tool, for example hybrid_search
    #[arg(long, value_name = "TOOL")]
    pub resource: Option<String>,
    /// Only the call that a failure or a log named by this id
    #[arg(long, value_name = "UUID")]
    pub call_id: Option<Uuid>,
}

/// Checked conditions that a row must all satisfy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// Completed at or after this instant.
    pub from: Option<Timestamp>,
    /// Completed before this instant.
    pub to: Option<Timestamp>,
    /// Exactly this user.
    pub user: Option<String>,
    /// This action.
    pub action: Option<Action>,
    /// This outcome.
    pub outcome: Option<Outcome>,
    /// Whether it succeeded.
    pub success: Option<bool>,
    /// Exactly this resource, as the trail has it: `tools/hybrid_search`.
    pub resource: Option<String>,
    /// This call.
    pub call_id: Option<Uuid>,
}

impl Filter {
    /// Checks what is wanted, and notes what cannot be.
    #[must_use]
    pub fn checked(wanted: Wanted, problems: &mut Problems) -> Self {
        let mut instant = |field: &str, text: Option<String>| {
            let text = text?;
            let instant = parse_instant(&text);
            if instant.is_none() {
                let shown: String = text.chars().take(40).collect();
                problems.add(field, format_args!("is {shown:?}; allowed is RFC 3339 with an offset, like 2026-03-01T00:00:00Z, or a date, like 2026-03-01"));
            }
            instant
        };
        let (from, to) = (instant("from", wanted.from), instant("to", wanted.to));
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            problems.add("from", "is not before to, so no time lies between them");
        }
        if let Some(user) = &wanted.user {
            problems.text("user", user, 200);
        }
        if let Some(resource) = &wanted.resource {
            problems.text("resource", resource, 200);
        }
        let resource = wanted.resource.map(|name| if name.contains('/') { name } else { format!("tools/{name}") });
        Self {
            from: from.map(storable),
            to: to.map(storable),
            user: wanted.user,
            action: wanted.action,
            outcome: wanted.outcome,
            success: wanted.success,
            resource,
            call_id: wanted.call_id,
        }
    }

    /// Names of the conditions that are set.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let set = [
            ("from", self.from.is_some()),
            ("to", self.to.is_some()),
            ("user", self.user.is_some()),
            ("action", self.action.is_some()),
            ("outcome", self.outcome.is_some()),
            ("success", self.success.is_some()),
            ("resource", self.resource.is_some()),
            ("call_id", self.call_id.is_some()),
        ];
        set.into_iter().filter_map(|(name, is_set)| is_set.then_some(name)).collect()
    }
}

/// The first instant at or after this one that the database can hold a row of: it counts microseconds, and no call is
/// older than 1970.
fn storable(instant: Timestamp) -> Timestamp {
    let instant = instant.max(Timestamp::UNIX_EPOCH);
    let up = TimestampRound::new().smallest(Unit::Microsecond).mode(RoundMode::Ceil);
    instant.round(up).unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn names_are_those_of_json() {
        for action in Action::value_variants() {
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
        for outcome in Outcome::value_variants() {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.name());
        }
    }

    #[test]
    fn bounds_are_whole_microseconds_that_admit_the_same_rows() {
        let at = |text: &str| storable(text.parse().unwrap()).to_string();
        assert_eq!(at("2026-03-01T00:00:00.000001Z"), "2026-03-01T00:00:00.000001Z");
        assert_eq!(at("2026-03-01T00:00:00.000001001Z"), "2026-03-01T00:00:00.000002Z");
        assert_eq!(at("-004800-01-01T00:00:00Z"), "1970-01-01T00:00:00Z");
    }
}
