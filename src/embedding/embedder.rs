use std::sync::Arc;
use std::time::Instant;

use super::http::Http;
use super::local::Local;
use super::{EmbeddingError, Languages, Model, Purpose, metering};
use crate::documents::{Cutting, Tokens};

/// What makes vectors of texts. Cheap to clone.
#[derive(Clone)]
pub struct Embedder(Arc<Kind>);

enum Kind {
    Local(Local),
    Http(Box<Http>),
}

/// Texts as vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// One unit vector for each text, in their order.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that the model read.
    pub tokens: i32,
}

impl Embedder {
    /// One that runs in this process.
    #[must_use]
    pub fn local(local: Local) -> Self {
        Self(Arc::new(Kind::Local(local)))
    }

    /// One that asks a service.
    #[must_use]
    pub fn http(http: Http) -> Self {
        Self(Arc::new(Kind::Http(Box::new(http))))
    }

    /// Its model.
    #[must_use]
    pub fn model(&self) -> &Model {
        match &*self.0 {
            Kind::Local(local) => local.model(),
            Kind::Http(http) => http.model(),
        }
    }

    /// Whether tokens cost nothing, for they are read on this machine by this program.
    #[must_use]
    pub fn is_free(&self) -> bool {
        matches!(*self.0, Kind::Local(_))
    }

    /// How many texts it takes at once.
    #[must_use]
    pub fn batch_size(&self) -> usize {
        match &*self.0 {
            Kind::Local(_) => super::local::BATCH_TEXTS,
            Kind::Http(http) => http.batch_size(),
        }
    }

    /// Batches that are worth having under way at once: this machine embeds one after the other, each with all it has.
    #[must_use]
    pub fn lanes(&self) -> usize {
        match &*self.0 {
            Kind::Local(_) => 1,
            Kind::Http(http) => http.concurrency(),
        }
    }

    /// Counts a text's tokens as the model does, once the model is there; `None` where only its server can.
    #[must_use]
    pub fn count_tokens(&self, text: &str) -> Option<usize> {
        Some(self.counter()?.starts(text)?.len())
    }

    /// How texts are cut into passages for the model: by its own tokenizer, once that is there.
    #[must_use]
    pub fn cutting(&self) -> Cutting {
        let model = self.model();
        let Some(tokens) = model.longest_tokens else { return Cutting::default() };
        let languages = match &model.languages {
            Languages::Any => None,
            Languages::Only(languages) => Some(languages.clone()),
        };
        Cutting::within(tokens, &model.prompts.passage, self.counter(), languages)
    }

    fn counter(&self) -> Option<Arc<dyn Tokens>> {
        match &*self.0 {
            Kind::Local(local) => local.counter(),
            Kind::Http(_) => None,
        }
    }

    /// Waits until it can embed.
    ///
    /// # Errors
    /// [`EmbeddingError::NotLoaded`].
    pub async fn ready(&self) -> Result<(), EmbeddingError> {
        match &*self.0 {
            Kind::Local(local) => local.ready().await,
            Kind::Http(_) => Ok(()),
        }
    }

    /// Asks the service nothing for a while, for its answers are of no use, whatever the text.
    pub(super) fn leave_alone(&self) {
        if let Kind::Http(http) = &*self.0 {
            http.leave_alone();
        }
    }

    /// Embeds texts. The model's prompts are put before them here.
    ///
    /// # Errors
    /// [`EmbeddingError`]; then no text was embedded.
    pub async fn embed(&self, purpose: Purpose, texts: &[String]) -> Result<Embedded, EmbeddingError> {
        if texts.is_empty() {
            return Ok(Embedded { vectors: Vec::new(), tokens: 0 });
        }
        let started = Instant::now();
        let prompts = &self.model().prompts;
        let texts: Vec<String> = texts.iter().map(|text| prompts.apply(purpose, text)).collect();
        let count = texts.len();
        let embedded = match &*self.0 {
            Kind::Local(local) => local.embed(purpose, texts).await,
            Kind::Http(http) => http.embed(purpose, texts).await,
        };
        metering::embedded(purpose, count, started.elapsed(), embedded.as_ref().err());
        embedded
    }
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Embedder").field(self.model()).finish()
    }
}
