//! What the client knows: each call that it made and what it was told.

use std::time::Duration;

use uuid::Uuid;

use crate::plan::Kind;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// With the document's id, if it was an insertion.
    Ok(Option<Uuid>),
    /// The failure's code: the text up to the colon.
    Failed(String),
    /// A JSON-RPC error.
    Protocol(String),
    /// Taken back by us before a reply came.
    Cancelled,
    /// Taken back by us by closing its connection, over HTTP: it may not have arrived.
    Dropped,
    /// Over HTTP: the server ends, or cannot look at keys. It is no call.
    NotLetIn,
    /// The connection to the server ended first.
    Lost,
    /// Nothing for much longer than a call may take.
    Silence,
}

impl Reply {
    pub fn name(&self) -> &str {
        match self {
            Self::Ok(_) => "ok",
            Self::Failed(code) => code,
            Self::Protocol(_) => "protocol error",
            Self::Cancelled => "(taken back)",
            Self::Dropped => "(dropped)",
            Self::NotLetIn => "(not let in)",
            Self::Lost => "(lost)",
            Self::Silence => "(silence)",
        }
    }

    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Ok(_) | Self::Failed(_) | Self::Protocol(_))
    }
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub number: u64,
    pub kind: Kind,
    pub session: u64,
    pub reply: Reply,
    pub took: Duration,
}
