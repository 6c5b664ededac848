use std::time::Duration;

/// Why texts could not be embedded. The display holds no text, no key and no address, so that it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddingError {
    /// The model is not there yet.
    #[error("the embedding model is still being loaded")]
    Loading,
    /// The model could not be loaded. The log says why.
    #[error("the embedding model could not be loaded")]
    NotLoaded,
    /// It took too long.
    #[error("the embedding did not come in time")]
    TimedOut,
    /// The service could not be reached, or closed the connection before it answered.
    #[error("the embedding service cannot be reached")]
    Unreachable,
    /// The service broke its answer off: it has read the texts, and they may have to be paid.
    #[error("the embedding service broke its answer off")]
    CutOff,
    /// The service failed.
    #[error("the embedding service failed (HTTP {status})")]
    Failed {
        /// Its status.
        status: u16,
    },
    /// The service asks for patience.
    #[error("the embedding service asks to wait (HTTP 429)")]
    Busy {
        /// How long, if it said so.
        retry_after: Option<Duration>,
    },
    /// The service refuses the request, and would refuse it again.
    #[error("the embedding service refuses the request (HTTP {status})")]
    Refused {
        /// Its status.
        status: u16,
    },
    /// The answer is not what was asked for, though it may have to be paid.
    #[error("the embedding service gave an unusable answer: {why}")]
    Unusable {
        /// What is wrong with it.
        why: &'static str,
        /// Whether another text may fare better: a vector of this one is no vector. Else no answer of the service will do.
        is_of_text: bool,
        /// Tokens that the service says it has read.
        tokens: i32,
    },
    /// It failed so often that it is left alone for a while.
    #[error("the embedding service failed repeatedly and is left alone for {} s", retry_after.as_secs().max(1))]
    Resting {
        /// For so long.
        retry_after: Duration,
    },
    /// A fault of ours, told in the log.
    #[error("the embedder failed")]
    Internal,
}

impl EmbeddingError {
    /// Whether the same request may succeed a moment later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::TimedOut | Self::Unreachable | Self::CutOff | Self::Busy { .. } => true,
            Self::Failed { status } => *status != 501,
            Self::Loading
            | Self::NotLoaded
            | Self::Refused { .. }
            | Self::Unusable { .. }
            | Self::Resting { .. }
            | Self::Internal => false,
        }
    }

    /// Whether it says nothing of the texts: they are to be tried again however often it happens.
    #[must_use]
    pub fn is_of_the_service(&self) -> bool {
        match self {
            Self::Loading | Self::NotLoaded | Self::Resting { .. } | Self::Busy { .. } => true,
            Self::Unreachable | Self::CutOff => true,
            // A wrong key, address or model; a text can only be malformed, too long, or not understood.
            Self::Refused { status } => !matches!(status, 400 | 413 | 414 | 422),
            // One text may spoil the answer for all that were sent with it: whether it did is seen by sending another.
            Self::Unusable { .. } | Self::TimedOut | Self::Failed { .. } | Self::Internal => false,
        }
    }

    /// Whether asking again with the same text is likely to end the same way, at the same price.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Unusable { .. })
    }

    /// Tokens that have to be paid though nothing came of them.
    #[must_use]
    pub fn wasted_tokens(&self) -> i32 {
        match self {
            Self::Unusable { tokens, .. } => *tokens,
            _ => 0,
        }
    }

    /// Name for figures.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::NotLoaded => "not_loaded",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::CutOff => "cut_off",
            Self::Failed { .. } => "failed",
            Self::Busy { .. } => "busy",
            Self::Refused { .. } => "refused",
            Self::Unusable { .. } => "unusable",
            Self::Resting { .. } => "resting",
            Self::Internal => "internal",
        }
    }
}
