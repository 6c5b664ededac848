//! Embedders: what makes vectors of texts.
//!
//! Two kinds: in this process ([`local`]), or behind an OpenAI-compatible service ([`http`]). The third, none at all, is the
//! absence of an [`Embedder`]: searches then run by words and say so.

pub mod backlog;
mod bought;
mod coverage;
mod embedder;
mod error;
pub mod http;
pub mod local;
pub mod metering;
mod model;
pub mod moving;
mod queries;
mod service;
pub mod waiting;
pub mod worker;

pub use embedder::{Embedded, Embedder};
pub use error::EmbeddingError;
pub use model::{Languages, Model, Prompts, Purpose};
pub use queries::QueryVector;
use service::Read;
pub use service::{Embeddings, ForQuery};
