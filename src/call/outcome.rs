use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FailureCode;

/// Declares an enum of names that the trail, JSON and the command line share.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, ValueEnum)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// The name in the trail.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}

names!(
    /// What a call did, as `audit_logs.action` names it.
    Action {
        /// Looked for documents.
        Search = "search",
        /// Stored something.
        Insert = "insert",
        /// Changed something.
        Update = "update",
        /// Removed something.
        Delete = "delete",
        /// Read the state of things, or this trail.
        Read = "read",
        /// Summed something up.
        Report = "report",
        /// Reported usage.
        Record = "record",
        /// Embedded passages: the server's own work.
        Embed = "embed",
        /// Told of a budget: the server's own work.
        Alert = "alert",
        /// Named no tool that there is.
        Unknown = "unknown",
    }
);

names!(
    /// How a call ended, as `audit_logs.outcome` names it.
    Outcome {
        /// It succeeded.
        Ok = "ok",
        /// It failed.
        Error = "error",
        /// It was refused: no permission, or no quota or budget left.
        Denied = "denied",
        /// Its client took it back.
        Cancelled = "cancelled",
        /// Its time was up.
        Timeout = "timeout",
        /// A fault of the server stopped it.
        Panic = "panic",
        /// Its server went away.
        Interrupted = "interrupted",
    }
);

impl Outcome {
    /// How a failure of that code counts.
    #[must_use]
    pub const fn of(code: FailureCode) -> Self {
        match code {
            FailureCode::Forbidden
            | FailureCode::QuotaExceeded
            | FailureCode::BudgetExceeded
            | FailureCode::RateLimited
            | FailureCode::Overloaded => Self::Denied,
            FailureCode::Timeout => Self::Timeout,
            FailureCode::Cancelled => Self::Cancelled,
            FailureCode::InvalidInput
            | FailureCode::NotFound
            | FailureCode::Conflict
            | FailureCode::Unavailable
            | FailureCode::OutcomeUnknown
            | FailureCode::Internal => Self::Error,
        }
    }
}
