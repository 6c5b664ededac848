use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::ClaimName;

/// What a token says, each thing once (RFC 7519, section 4: names must be unique).
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// Whether this issuer says it, of somebody, to one of these audiences, and to whoever carries it.
    pub(super) fn are_for(&self, issuer: &str, audiences: &[String]) -> bool {
        let is_ours = |audience: &Value| audience.as_str().is_some_and(|one| audiences.iter().any(|ours| ours == one));
        let is_for_us = match self.0.get("aud") {
            Some(Value::Array(list)) => list.iter().all(Value::is_string) && list.iter().any(is_ours),
            Some(one) => is_ours(one),
            None => false,
        };
        let is_of = self.0.get("sub").and_then(Value::as_str).is_some_and(|subject| !subject.is_empty());
        // A token that is bound to a key of its holder (RFC 7800) proves nothing without that key, for which we do not ask.
        let is_bearer = !self.0.contains_key("cnf");
        is_for_us && is_of && is_bearer && self.0.get("iss").and_then(Value::as_str) == Some(issuer)
    }

    /// When it ends, with what clocks may differ.
    pub(super) fn expires_at(&self, leeway_s: u64) -> Option<Timestamp> {
        let end = self.0.get("exp")?;
        let seconds = end.as_u64().or_else(|| end.as_f64().map(|seconds| seconds.max(0.0) as u64))?;
        // What lies beyond all time is as far as time goes.
        let seconds = i64::try_from(seconds.saturating_add(leeway_s)).unwrap_or(i64::MAX);
        Some(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
    }

    /// The one text of a claim: alone, or the only one of a list. Of two nobody could tell which one counts.
    pub(super) fn one_text(&self, name: &ClaimName) -> Option<&str> {
        let text = match name.of(&self.0)? {
            Value::Array(list) => match list.as_slice() {
                [one] => one.as_str(),
                _ => None,
            },
            one => one.as_str(),
        };
        text.filter(|text| !text.is_empty() && text.chars().count() <= 200)
    }

    /// The words of a claim: parted by spaces (RFC 8693, section 4.2), or a list. `None` if there is no such claim.
    pub(super) fn words(&self, name: &ClaimName) -> Option<Vec<&str>> {
        match name.of(&self.0)? {
            Value::String(text) => Some(text.split(' ').filter(|word| !word.is_empty()).collect()),
            Value::Array(list) => Some(list.iter().filter_map(Value::as_str).collect()),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;

        impl<'de> Visitor<'de> for Once {
            type Value = Claims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("claims")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Claims, A::Error> {
                let mut claims = Map::new();
                while let Some((name, value)) = entries.next_entry::<String, Value>()? {
                    if claims.insert(name, value).is_some() {
                        return Err(A::Error::custom("a claim is there twice"));
                    }
                }
                Ok(Claims(claims))
            }
        }

        deserializer.deserialize_map(Once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(text: &str) -> Result<Claims, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_claim_that_is_there_twice_is_refused() {
        assert!(claims(r#"{"tenant":"demo","sub":"x"}"#).is_ok());
        assert!(claims(r#"{"tenant":"demo","tenant":"enterprise"}"#).is_err());
        assert!(claims("[]").is_err());
    }

    #[test]
    fn one_text_is_one() {
        let of = |value: &str| {
            let claims = claims(&format!(r#"{{"tenant":{value}}}"#)).unwrap();
            claims.one_text(&ClaimName::fixed("tenant")).map(str::to_owned)
        };
        assert_eq!(of(r#""demo""#).as_deref(), Some("demo"));
        assert_eq!(of(r#"["demo"]"#).as_deref(), Some("demo"));
        for none in [r#""""#, "[]", r#"["demo","enterprise"]"#, "7", "null", "{}", "[7]", r#"["demo",null]"#, "true"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn words_are_a_text_or_a_list() {
        let of = |value: &str| {
            let claims = claims(&format!(r#"{{"scope":{value}}}"#)).unwrap();
            let words = claims.words(&ClaimName::fixed("scope"));
            words.map(|words| words.join("|"))
        };
        assert_eq!(of(r#""openid  documents:read""#).as_deref(), Some("openid|documents:read"));
        assert_eq!(of(r#"["documents:read", 7]"#).as_deref(), Some("documents:read"));
        assert_eq!(of("7"), None);
    }

    #[test]
    fn any_moment_is_an_end() {
        let of = |end: &str| claims(&format!(r#"{{"exp":{end}}}"#)).unwrap().expires_at(30);
        assert_eq!(of("100").unwrap().as_second(), 130);
        assert_eq!(of("100.9").unwrap().as_second(), 130);
        assert_eq!(of("18446744073709551615").unwrap(), Timestamp::MAX);
        assert_eq!(of("\"100\""), None);
    }
}
