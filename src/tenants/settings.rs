use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::documents::language::Language;

/// Below the bound of the table's own check.
const MOST_USD: f64 = 999_999_999.0;

/// Changes to `tenants.settings`: what is given is set, what is null is taken away, what is absent stays.
#[derive(Debug, Clone)]
pub struct SettingsPatch(Value);

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("settings cannot be used: {0}")]
pub struct InvalidSettings(String);

/// Given or null.
type Field<T> = Option<Option<T>>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    #[serde(deserialize_with = "given")]
    tier: Field<String>,
    #[serde(deserialize_with = "given")]
    default_language: Field<String>,
    #[serde(deserialize_with = "given")]
    budget: Field<Budget>,
    #[serde(deserialize_with = "given")]
    costs: Field<Costs>,
    #[serde(deserialize_with = "given")]
    limits: Field<Limits>,
    #[serde(deserialize_with = "given")]
    audit: Field<Audit>,
    #[serde(deserialize_with = "given")]
    bm25: Field<Bm25>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Budget {
    #[serde(deserialize_with = "given")]
    mode: Field<Mode>,
    #[serde(deserialize_with = "given")]
    warning_percent: Field<f64>,
    #[serde(deserialize_with = "given")]
    daily_usd: Field<f64>,
    #[serde(deserialize_with = "given")]
    user_monthly_usd: Field<f64>,
    #[serde(deserialize_with = "given")]
    user_daily_usd: Field<f64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Hard,
    Soft,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Costs {
    #[serde(deserialize_with = "given")]
    unknown_models: Field<UnknownModels>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum UnknownModels {
    Refuse,
    Flag,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    #[serde(deserialize_with = "given")]
    calls_per_minute: Field<u32>,
    #[serde(deserialize_with = "given")]
    concurrent_calls: Field<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Audit {
    #[serde(deserialize_with = "given")]
    query_text: Field<QueryText>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum QueryText {
    Hmac,
    Plain,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Bm25 {
    #[serde(deserialize_with = "given")]
    k1: Field<f64>,
    #[serde(deserialize_with = "given")]
    b: Field<f64>,
}

fn is_of_objects(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| fields.values().all(|field| !field.is_array()))
}

fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Field<T>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl SettingsPatch {
    /// Reads a JSON object such as `{"budget": {"mode": "soft", "daily_usd": 5}, "limits": null}`.
    ///
    /// # Errors
    /// [`InvalidSettings`], with every bound that is passed.
    pub fn parse(json: &str) -> Result<Self, InvalidSettings> {
        let value: Value = serde_json::from_str(json).map_err(|error| InvalidSettings(error.to_string()))?;
        // Read as a struct a list would pass for its fields in their order.
        if !is_of_objects(&value) {
            return Err(InvalidSettings(
                "give an object, as {\"budget\": {\"daily_usd\": 5}}; there are no lists among them".to_owned(),
            ));
        }
        let settings: Settings = serde_json::from_str(json).map_err(|error| InvalidSettings(error.to_string()))?;
        let mut problems = Vec::new();
        let mut bound = |name: &str, value: Option<f64>, least: f64, most: f64| {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                problems.push(format!("{name} is {value}; allowed is {least} to {most}"));
            }
        };
        let budget = settings.budget.flatten().unwrap_or_default();
        bound("budget.warning_percent", budget.warning_percent.flatten(), 1.0, 100.0);
        for (name, usd) in [
            ("budget.daily_usd", budget.daily_usd),
            ("budget.user_monthly_usd", budget.user_monthly_usd),
            ("budget.user_daily_usd", budget.user_daily_usd),
        ] {
            bound(name, usd.flatten(), 0.0, MOST_USD);
        }
        let limits = settings.limits.flatten().unwrap_or_default();
        bound("limits.calls_per_minute", limits.calls_per_minute.flatten().map(f64::from), 1.0, 1e6);
        bound("limits.concurrent_calls", limits.concurrent_calls.flatten().map(f64::from), 1.0, 1e4);
        let bm25 = settings.bm25.flatten().unwrap_or_default();
        bound("bm25.k1", bm25.k1.flatten(), 0.0, 10.0);
        bound("bm25.b", bm25.b.flatten(), 0.0, 1.0);
        if let Some(code) = settings.default_language.flatten()
            && let Err(unknown) = Language::from_code(&code)
        {
            problems.push(format!("default_language {unknown}"));
        }
        match problems.is_empty() {
            true => Ok(Self(value)),
            false => Err(InvalidSettings(problems.join("; "))),
        }
    }

    /// The name of a setting that is to be taken away; whole settings have none.
    #[must_use]
    pub fn null(&self) -> Option<String> {
        self.0.as_object()?.iter().find_map(|(name, value)| match value {
            Value::Null => Some(name.clone()),
            _ => {
                value.as_object()?.iter().find(|(_, value)| value.is_null()).map(|(inner, _)| format!("{name}.{inner}"))
            }
        })
    }

    /// The object itself.
    #[must_use]
    pub fn as_json(&self) -> &Value {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_sense_is_taken_and_what_does_not_is_named() {
        for good in [
            "{}",
            r#"{"budget": {"mode": "soft", "daily_usd": 5.25, "warning_percent": 80}}"#,
            r#"{"budget": null, "limits": {"calls_per_minute": null}, "bm25": {"k1": 1.5}, "audit": {"query_text": "plain"}}"#,
            r#"{"default_language": "ko", "tier": "free"}"#,
            r#"{"costs": {"unknown_models": "flag"}}"#,
        ] {
            SettingsPatch::parse(good).unwrap();
        }
        for (bad, words) in [
            ("[]", "give an object"),
            (r#"{"budget": ["soft"]}"#, "no lists among them"),
            ("{", "EOF"),
            (r#"{"budgets": {}}"#, "unknown field `budgets`"),
            (r#"{"budget": {"dayly_usd": 1}}"#, "unknown field `dayly_usd`"),
            (r#"{"budget": {"mode": "harsh"}}"#, "expected `hard` or `soft`"),
            (r#"{"costs": {"unknown_models": "ignore"}}"#, "expected `refuse` or `flag`"),
            (r#"{"budget": {"daily_usd": "5"}}"#, "invalid type: string"),
            (
                r#"{"budget": {"daily_usd": -1, "warning_percent": 0}}"#,
                "budget.warning_percent is 0; allowed is 1 to 100; budget.daily_usd is -1",
            ),
            (r#"{"limits": {"concurrent_calls": 0}}"#, "limits.concurrent_calls is 0"),
            (r#"{"default_language": "xx"}"#, "default_language"),
        ] {
            let error = SettingsPatch::parse(bad).unwrap_err().to_string();
            assert!(error.contains(words), "{bad}: {error}");
        }
    }
}
