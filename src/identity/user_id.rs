/// Whom the trail and the ledger name for what the program does by itself; no caller can have such a name. The embedder's stands in
/// `raise_budget_alerts()` too.
const OWN: [&str; 2] = [EMBEDDER, ALERTS];
const EMBEDDER: &str = "bailiwick-embedder";
const ALERTS: &str = "bailiwick-budget";

/// Who calls within a tenant: an e-mail address, a login, the name of an agent. 1 to 200 printable characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserId(String);

/// A user id that cannot be recorded or is the program's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user id has 1 to 200 characters, no control characters, and is none of the server's own ({own}), got {0:?}",
    own = OWN.join(", ")
)]
pub struct InvalidUserId(String);

impl UserId {
    /// Checks a user id.
    ///
    /// # Errors
    /// [`InvalidUserId`] if it is empty, too long, has control characters, or is the name of the program's own work.
    pub fn parse(text: &str) -> Result<Self, InvalidUserId> {
        let trimmed = text.trim();
        let length = trimmed.chars().count();
        if length == 0 || length > 200 || trimmed.chars().any(char::is_control) || OWN.contains(&trimmed) {
            return Err(InvalidUserId(text.chars().take(60).collect()));
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// Whoever embeds in the background.
    #[must_use]
    pub fn of_embedder() -> Self {
        Self(EMBEDDER.to_owned())
    }

    /// Whoever tells of budgets.
    #[must_use]
    pub fn of_alerts() -> Self {
        Self(ALERTS.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for UserId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_call_by_a_name_of_the_program_and_what_only_looks_like_one_is_free() {
        for own in OWN {
            assert!(UserId::parse(own).unwrap_err().to_string().contains("the server's own"), "{own}");
            assert!(UserId::parse(&format!(" {own} ")).is_err(), "{own}");
        }
        for free in ["bailiwick", "bailiwick-agent", "bailiwick-embedder-2", "ada@acme.example"] {
            assert_eq!(UserId::parse(free).unwrap().as_str(), free);
        }
        // As the schema has it.
        let schema = include_str!("../../sql/migrations/000006_costs.up.sql");
        assert!(schema.contains(&format!("l.user_id <> '{EMBEDDER}'")));
    }
}
