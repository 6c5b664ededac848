use std::collections::BTreeSet;
use std::str::FromStr;

/// One thing that a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Search and read documents.
    DocumentsRead,
    /// Add, change and remove documents.
    DocumentsWrite,
    /// See what was spent.
    CostsRead,
    /// Report usage of tokens.
    CostsWrite,
    /// Read the audit trail.
    AuditRead,
}

impl Scope {
    /// All scopes there are.
    pub const ALL: [Self; 5] =
        [Self::DocumentsRead, Self::DocumentsWrite, Self::CostsRead, Self::CostsWrite, Self::AuditRead];

    /// The name used in configuration, keys and tokens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DocumentsRead => "documents:read",
            Self::DocumentsWrite => "documents:write",
            Self::CostsRead => "costs:read",
            Self::CostsWrite => "costs:write",
            Self::AuditRead => "audit:read",
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The scopes of a caller.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(BTreeSet<Scope>);

/// A scope that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope {given:?}; allowed are {}", Scope::ALL.map(Scope::name).join(", "))]
pub struct UnknownScope {
    given: String,
}

impl Scopes {
    /// Those of these names that are scopes of ours; others allow nothing here, and no name stands for several.
    #[must_use]
    pub fn known(names: &[&str]) -> Self {
        Scope::ALL.into_iter().filter(|scope| names.contains(&scope.name())).collect()
    }

    /// Every scope.
    #[must_use]
    pub fn all() -> Self {
        Self(Scope::ALL.into())
    }

    /// Whether the caller may do this.
    #[must_use]
    pub fn allow(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// The scopes' names, in the order of [`Scope::ALL`].
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|scope| scope.name()).collect()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    /// Reads names parted by spaces or commas; `all` means every scope.
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let names = text.split([' ', ',']).filter(|name| !name.is_empty());
        let mut scopes = BTreeSet::new();
        for name in names {
            if name == "all" {
                return Ok(Self::all());
            }
            let scope = Scope::ALL.into_iter().find(|scope| scope.name() == name);
            scopes.insert(scope.ok_or_else(|| UnknownScope { given: name.to_owned() })?);
        }
        Ok(Self(scopes))
    }
}

impl std::fmt::Display for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.names().join(" "))
    }
}
