use super::{ConfigurationError, IdentityArguments};
use crate::identity::{Scopes, UserId};

/// Identity of a stdio server's one user.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// Slug or id of the tenant, if one was named.
    pub tenant: Option<String>,
    /// The user.
    pub user_id: UserId,
    /// What the user may do.
    pub scopes: Scopes,
}

impl IdentitySettings {
    /// Reads the arguments; user and scopes have defaults.
    ///
    /// # Errors
    /// Every problem together.
    pub fn resolve(arguments: &IdentityArguments) -> Result<Self, ConfigurationError> {
        let mut problems = Vec::new();
        let login = || ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        let user = arguments.user.clone().or_else(login).unwrap_or_else(|| "local".to_owned());
        let user_id = UserId::parse(&user).map_err(|error| problems.push(format!("BAILIWICK_USER: {error}."))).ok();
        let scopes = match arguments.scopes.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
            None => Some(Scopes::all()),
            Some(text) => text.parse().map_err(|error| problems.push(format!("BAILIWICK_SCOPES: {error}."))).ok(),
        };
        match (user_id, scopes) {
            (Some(user_id), Some(scopes)) => {
                let tenant = arguments.tenant.clone().filter(|tenant| !tenant.trim().is_empty());
                Ok(Self { tenant, user_id, scopes })
            }
            _ => Err(ConfigurationError(problems)),
        }
    }
}
