//! Embedding in this process: a sentence-transformers model of the BERT family, computed by candle.
//!
//! Queries and passages are computed on threads of their own, apart from those that serve: passages, of which there may be
//! many, on threads of low priority, so that serving goes on and a query never waits for a batch.

mod activation;
mod bert;
mod encoder;
mod folder;
mod loading;
mod source;
mod threads;

use std::sync::Arc;

use tokio::sync::watch;

pub use folder::{Folder, FolderError};
pub use source::{MINILM, Source};

use self::encoder::Encoder;
use self::loading::State;
use self::threads::Threads;
use super::{Embedded, EmbeddingError, Model, Purpose};
use crate::documents::Tokens;

/// Passages of one request: a second or two of work.
pub(super) const BATCH_TEXTS: usize = 32;

/// A model in this process; it is loaded in the background.
pub struct Local {
    model: Model,
    state: watch::Receiver<State>,
    threads: Threads,
    _loading: loading::Loading,
}

impl Local {
    /// Begins to fetch and load a model, and returns at once. Belongs into a tokio runtime.
    ///
    /// # Errors
    /// [`FolderError`] if the source is a folder without a model that can be used, or the threads cannot be had.
    pub fn start(source: Source) -> Result<Self, FolderError> {
        let model = source.model()?;
        let threads = Threads::start();
        let (state, loading) = loading::begin(source);
        Ok(Self { model, state, threads, _loading: loading })
    }

    /// Loads a model from its folder and computes a word with it, as a server's start does: how many components its vectors have.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub async fn check(folder: std::path::PathBuf) -> Result<usize, String> {
        let dimensions = Folder::open(&folder).map_err(|error| error.to_string())?.dimensions();
        loading::load(&Source::Folder { path: folder, name: None, languages: None }).await?;
        Ok(dimensions)
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// The model's tokenizer, once it is there.
    pub(super) fn counter(&self) -> Option<Arc<dyn Tokens>> {
        match &*self.state.borrow() {
            State::Ready(encoder) => Some(Arc::clone(encoder) as Arc<dyn Tokens>),
            State::Loading | State::Failed => None,
        }
    }

    pub(super) async fn ready(&self) -> Result<(), EmbeddingError> {
        self.encoder().await.map(drop)
    }

    pub(super) async fn embed(&self, purpose: Purpose, texts: Vec<String>) -> Result<Embedded, EmbeddingError> {
        let encoder = self.encoder().await?;
        self.threads.embed(purpose, encoder, texts).await
    }

    /// Waits for the model while it is on its way.
    async fn encoder(&self) -> Result<Arc<Encoder>, EmbeddingError> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Loading)).await;
        match settled.as_deref() {
            Ok(State::Ready(encoder)) => Ok(Arc::clone(encoder)),
            Ok(State::Loading | State::Failed) | Err(_) => Err(EmbeddingError::NotLoaded),
        }
    }
}
