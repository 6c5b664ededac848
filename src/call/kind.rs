use super::{Action, Tool};

/// What a call is, as its audit row and the figures name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// The tool's name.
    pub name: &'static str,
    /// `audit_logs.action`.
    pub action: Action,
    /// `audit_logs.resource`.
    pub resource: String,
}

impl Kind {
    /// Of a tool.
    #[must_use]
    pub fn of<T: Tool>() -> Self {
        Self { name: T::NAME, action: T::ACTION, resource: format!("{}/{}", T::SURFACE, T::NAME) }
    }

    /// Of what names no tool that there is.
    #[must_use]
    pub fn unknown() -> Self {
        Self { name: "unknown", action: Action::Unknown, resource: "tools/unknown".to_owned() }
    }
}
