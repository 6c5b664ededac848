use std::str::FromStr;

use serde_json::{Map, Value};

/// Where in a token something stands: a claim's name (`tenant`, `https://example.com/tenant`), or a JSON pointer into a nested
/// one (`/realm_access/roles`, RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimName(String);

/// A claim's name that can name nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no claim; expected a name like tenant, or a path into nested claims like /organisation/id")]
pub struct InvalidClaimName(String);

impl FromStr for ClaimName {
    type Err = InvalidClaimName;

    fn from_str(text: &str) -> Result<Self, InvalidClaimName> {
        let is_bare_pointer = text.trim_matches('/').is_empty();
        if is_bare_pointer || text.len() > 200 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(InvalidClaimName(text.chars().take(60).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl ClaimName {
    /// A name that is known to be one.
    pub(super) fn fixed(name: &'static str) -> Self {
        Self(name.to_owned())
    }

    /// What stands there.
    pub(super) fn of<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let Some(path) = self.0.strip_prefix('/') else { return claims.get(&self.0) };
        let mut steps = path.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
        let first = claims.get(&steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str) -> Option<Value> {
        let claims = serde_json::json!({
            "tenant": "demo", "https://example.com/tenant": "acme", "a": { "b/c": { "d~e": 7 }, "": 1 }, "list": ["x"],
        });
        name.parse::<ClaimName>().unwrap().of(claims.as_object().unwrap()).cloned()
    }

    #[test]
    fn names_and_paths_are_told_apart() {
        assert_eq!(find("tenant").unwrap(), "demo");
        assert_eq!(find("https://example.com/tenant").unwrap(), "acme");
        assert_eq!(find("/a/b~1c/d~0e").unwrap(), 7);
        assert_eq!(find("/tenant").unwrap(), "demo");
        for absent in ["nobody", "/a/x", "/a/b/c", "/list/0", "/tenant/x"] {
            assert_eq!(find(absent), None, "{absent}");
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for wrong in ["", "/", "//", "a b", "a\nb"] {
            assert!(wrong.parse::<ClaimName>().is_err(), "{wrong:?}");
        }
    }
}
