use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not do what it is there for: isolation, the trail, search, or soon the whole database.
    Fault,
    /// It works, and will be slow, or not work, before long.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// As it is printed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fault => "fault",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable name of the check.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about: a table, a role, a tenant, a setting.
    pub subject: String,
    /// What is wrong with it.
    pub detail: String,
    /// What to do.
    pub remedy: String,
}
