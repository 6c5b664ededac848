/// Who calls within a tenant: an e-mail address, a login, the name of an agent. 1 to 200 printable characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserId(String);

/// A user id that cannot be recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a user id has 1 to 200 characters and no control characters, got {0:?}")]
pub struct InvalidUserId(String);

impl UserId {
    /// Checks a user id.
    ///
    /// # Errors
    /// [`InvalidUserId`] if it is empty, too long, or has control characters.
    pub fn parse(text: &str) -> Result<Self, InvalidUserId> {
        let trimmed = text.trim();
        let length = trimmed.chars().count();
        if length == 0 || length > 200 || trimmed.chars().any(char::is_control) {
            return Err(InvalidUserId(text.chars().take(60).collect()));
        }
        Ok(Self(trimmed.to_owned()))
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
