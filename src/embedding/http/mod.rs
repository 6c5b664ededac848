//! Embedding by a service that speaks OpenAI's `POST /v1/embeddings`, as OpenAI itself, Ollama, vLLM and TEI do.

mod answer;
mod breaker;
mod retry;

use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::sync::Semaphore;
use uuid::Uuid;

use self::answer::Expected;
use self::breaker::Breaker;
use super::{Embedded, EmbeddingError, Model, Purpose};

/// How to reach the service, and within which bounds. `Debug` leaves the key out.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The endpoint itself: `https://api.openai.com/v1/embeddings`.
    pub url: Url,
    /// Sent as a bearer token.
    pub api_key: Option<SecretString>,
    /// The model as the service names it.
    pub service_model: String,
    /// Asks the service for vectors of the model's dimensions: for models that can shorten theirs.
    pub asks_for_dimensions: bool,
    /// Texts in one request, at most.
    pub batch_size: usize,
    /// Requests under way at once, for passages; and as many for queries.
    pub concurrency: usize,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// Tries of a request for passages. One for a query, which somebody waits for, is tried twice at most.
    pub tries: u32,
    /// Longest wait between two of them; a service that asks for more is left alone for now.
    pub longest_wait: Duration,
}

impl HttpOptions {
    /// Usual bounds.
    #[must_use]
    pub fn new(url: Url, service_model: String) -> Self {
        Self {
            url,
            api_key: None,
            service_model,
            asks_for_dimensions: false,
            batch_size: 64,
            concurrency: 4,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            tries: 4,
            longest_wait: Duration::from_secs(20),
        }
    }
}

/// What a service gave when it was asked once.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Of its vector.
    pub dimensions: usize,
    /// For how long it was waited.
    pub took: Duration,
}

/// A client of an embedding service.
pub struct Http {
    model: Model,
    options: HttpOptions,
    client: reqwest::Client,
    places: Semaphore,
    /// Of queries, which somebody waits for: a backlog must not stand before them.
    query_places: Semaphore,
    breaker: Breaker,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("the embedding service cannot be set up: {0}")]
pub struct SetupError(String);

impl Http {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// [`SetupError`] if the key is no header's value, or TLS cannot be set up.
    pub fn new(model: Model, options: HttpOptions) -> Result<Self, SetupError> {
        let mut headers = reqwest::header::HeaderMap::new();
        if let Some(key) = &options.api_key {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
                .map_err(|_| SetupError("BAILIWICK_EMBEDDINGS_API_KEY has characters that no key has".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .connect_timeout(options.connect_timeout)
            // The key must not follow to another host.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("bailiwick/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| SetupError(error.to_string()))?;
        let places = || Semaphore::new(options.concurrency.max(1));
        let (places, query_places) = (places(), places());
        Ok(Self { model, options, client, places, query_places, breaker: Breaker::default() })
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    pub(super) fn batch_size(&self) -> usize {
        self.options.batch_size.max(1)
    }

    pub(super) fn concurrency(&self) -> usize {
        self.options.concurrency.max(1)
    }

    pub(super) fn leave_alone(&self) {
        self.breaker.useless();
    }

    /// Embeds texts, a batch after the other.
    pub(super) async fn embed(&self, purpose: Purpose, texts: Vec<String>) -> Result<Embedded, EmbeddingError> {
        let mut all = Embedded { vectors: Vec::with_capacity(texts.len()), tokens: 0 };
        for batch in texts.chunks(self.batch_size()) {
            let Embedded { vectors, tokens } = self.embed_batch(purpose, batch).await?;
            all.vectors.extend(vectors);
            all.tokens = all.tokens.saturating_add(tokens);
        }
        Ok(all)
    }

    async fn embed_batch(&self, purpose: Purpose, texts: &[String]) -> Result<Embedded, EmbeddingError> {
        let tries = match purpose {
            Purpose::Query => self.options.tries.min(2),
            Purpose::Passage => self.options.tries.max(1),
        };
        let (key, mut tried) = (Uuid::new_v4(), 0);
        loop {
            self.breaker.check()?;
            let asked = {
                let places = match purpose {
                    Purpose::Query => &self.query_places,
                    Purpose::Passage => &self.places,
                };
                let _place = places.acquire().await.map_err(|_| EmbeddingError::Internal)?;
                tokio::time::timeout(self.options.request_timeout, self.ask(purpose, texts, key)).await
            };
            let error = match asked.unwrap_or(Err(EmbeddingError::TimedOut)) {
                Ok(embedded) => {
                    self.breaker.succeeded();
                    return Ok(embedded);
                }
                Err(error) => error,
            };
            tried += 1;
            self.breaker.failed(&error, purpose);
            // Each answer that breaks off may have to be paid.
            let tries = if matches!(error, EmbeddingError::CutOff) { tries.min(2) } else { tries };
            match retry::pause(&error, tried, self.options.longest_wait) {
                Some(pause) if tried < tries => {
                    tracing::debug!(%error, tried, pause_ms = pause.as_millis(), "the embedding service is asked again");
                    tokio::time::sleep(pause).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Asks once for the vector of one word, whatever was asked before: is the service there, and does it give what is expected of it?
    ///
    /// # Errors
    /// [`EmbeddingError`]; [`EmbeddingError::TimedOut`] if there is no answer within `patience`.
    pub async fn look(&self, patience: Duration) -> Result<Look, EmbeddingError> {
        let (started, texts) = (Instant::now(), ["word".to_owned()]);
        let fetched = tokio::time::timeout(patience, self.fetch(Purpose::Query, &texts, Uuid::new_v4()));
        let fetched = fetched.await.unwrap_or(Err(EmbeddingError::TimedOut))?;
        let took = started.elapsed();
        // Of what dimensions it is says more than that they are others.
        let dimensions = answer::dimensions(&fetched.bytes).unwrap_or(self.model.dimensions);
        fetched.read(&Expected { texts: &texts, dimensions })?;
        Ok(Look { dimensions, took })
    }

    /// One request. Its key is that of every try of these texts, so that a service, or a gateway before it, that knows the header bills
    /// them once (draft-ietf-httpapi-idempotency-key-header); others pass over it.
    async fn ask(&self, purpose: Purpose, texts: &[String], key: Uuid) -> Result<Embedded, EmbeddingError> {
        let fetched = self.fetch(purpose, texts, key).await?;
        fetched.read(&Expected { texts, dimensions: self.model.dimensions })
    }

    /// Its answer as it came.
    async fn fetch(&self, purpose: Purpose, texts: &[String], key: Uuid) -> Result<Fetched, EmbeddingError> {
        let mut body = json!({ "model": self.options.service_model, "input": texts, "encoding_format": "float" });
        if self.options.asks_for_dimensions {
            body["dimensions"] = self.model.dimensions.into();
        }
        if self.model.prompts.by_service {
            body["input_type"] = purpose.name().into();
        }
        let sent = self
            .client
            .post(self.options.url.clone())
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .header(reqwest::header::ACCEPT, "application/json")
            .header("idempotency-key", key.to_string())
            .body(body.to_string())
            .send()
            .await;
        let mut response = sent.map_err(unreachable)?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(match status.as_u16() {
                429 => EmbeddingError::Busy { retry_after: retry::asked_for(response.headers()) },
                408 => EmbeddingError::TimedOut,
                503 => match retry::asked_for(response.headers()) {
                    Some(wait) => EmbeddingError::Busy { retry_after: Some(wait) },
                    None => EmbeddingError::Failed { status: 503 },
                },
                status @ 500.. => EmbeddingError::Failed { status },
                // Its text may repeat ours, or the key: only the status is told.
                status => EmbeddingError::Refused { status },
            });
        }
        let expected = Expected { texts, dimensions: self.model.dimensions };
        let longest = expected.longest_bytes();
        let (mut bytes, mut is_cut_off) = (Vec::new(), false);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() > longest => {
                    return Err(EmbeddingError::Unusable { why: "it is far too long", is_of_text: false, tokens: 0 });
                }
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => {
                    is_cut_off = true;
                    break;
                }
            }
        }
        Ok(Fetched { bytes, is_cut_off })
    }
}

/// An answer as it came.
struct Fetched {
    bytes: Vec<u8>,
    is_cut_off: bool,
}

impl Fetched {
    fn read(&self, expected: &Expected<'_>) -> Result<Embedded, EmbeddingError> {
        match answer::read(&self.bytes, expected) {
            // What was cut off behind the whole of it is as good as any, and asking again would be paid again.
            Ok(embedded) => Ok(embedded),
            Err(_) if self.is_cut_off => Err(EmbeddingError::CutOff),
            Err(error) => Err(error),
        }
    }
}

/// A reqwest error without its URL, which may hold a secret.
#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn unreachable(error: reqwest::Error) -> EmbeddingError {
    if error.is_timeout() { EmbeddingError::TimedOut } else { EmbeddingError::Unreachable }
}
