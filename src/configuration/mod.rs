//! Configuration, parsed once at start-up into types that cannot be wrong; all problems are reported together.
//!
//! Everything can be set by a flag or by its environment variable; the flag wins. Passwords live inside connection
//! strings only, which are never displayed.

mod arguments;
mod database;
mod database_tls;
mod database_url;
mod embedding;
mod http;
mod identity;
mod issuer;
mod retention;
mod surroundings;

pub use arguments::{
    AuditArguments, BudgetArguments, DatabaseArguments, EmbeddingArguments, HttpArguments, IdentityArguments,
    LogFormat, TelemetryArguments,
};
pub use database::{Database, DatabaseSettings, ExternalDatabase};
pub use embedding::{EmbedderChoice, EmbeddingSettings, HttpEmbedder};
pub use http::HttpSettings;
pub use identity::IdentitySettings;
pub use issuer::IssuerArguments;
pub use retention::RetentionArguments;
pub(crate) use surroundings::libpq_variables;

/// What is wrong with the configuration, one line a problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigurationError(pub Vec<String>);
