//! From configuration to an embedder that fits the database, or to none and its reason.

use std::time::Duration;

use super::{Deployment, ServiceError, spool};
use crate::call::{CallOptions, Calls};
use crate::configuration::{DatabaseSettings, EmbedderChoice, HttpEmbedder};
use crate::db::{Pool, PoolOptions, System};
use crate::embedded::Progress;
use crate::embedding::http::{Http, HttpOptions, SetupError};
use crate::embedding::local::{Local, Source};
use crate::embedding::{Embedder, Embeddings, Languages, Model};
use crate::tools::EmbeddingSpace;

/// Why there is no embedder, for whoever searches.
const NONE: &str = "no query_embedding was given and this server has no embedder";

/// What the tools need to know of embeddings. Where the embedder does not fit the database it is left out, and the log says what to
/// do: documents are found by words all the same.
pub(super) async fn space(system: &System, settings: &DatabaseSettings) -> Result<EmbeddingSpace, ServiceError> {
    let dimensions = system.embedding_dimensions().await?;
    let embeddings = match embedder(settings, dimensions).await? {
        Some(embedder) => fitted(system, settings, embedder, dimensions).await?,
        None => Embeddings::off(NONE),
    };
    let (model_id, model_name) = match embeddings.embedder() {
        Some((embedder, model_id)) if embeddings.absence().is_none() => (model_id, embedder.model().name.clone()),
        _ => {
            let name = &settings.embedding.caller_model;
            (system.register_embedding_model(name).await?, name.clone())
        }
    };
    Ok(EmbeddingSpace { dimensions, model_id, model_name, embeddings })
}

/// The embedder that the settings name. `dimensions` are the database's.
pub(crate) async fn embedder(settings: &DatabaseSettings, dimensions: usize) -> Result<Option<Embedder>, ServiceError> {
    let failed = |error: &dyn ToString| ServiceError::Embedder(error.to_string());
    let source = match &settings.embedding.choice {
        EmbedderChoice::None { .. } => return Ok(None),
        EmbedderChoice::MiniLm { is_named } => {
            if !is_named && dimensions != 384 {
                tracing::warn!(
                    "the database was made for vectors of {dimensions} dimensions, and the built-in model's have 384: documents are found by words. \
                     Run `bailiwick embed` to embed them with it, or set BAILIWICK_EMBEDDINGS_URL and _MODEL to a model of {dimensions}"
                );
                return Ok(None);
            }
            Source::MiniLm { data_dir: settings.data_dir()?, progress: Progress::stderr() }
        }
        EmbedderChoice::Folder { path, languages } => {
            Source::Folder { path: path.clone(), name: None, languages: languages.clone() }
        }
        EmbedderChoice::Http(http) => return self::http(http, dimensions).map(Some).map_err(|error| failed(&error)),
    };
    // A folder's fingerprint reads all of it.
    let handle = tokio::runtime::Handle::current();
    let started = tokio::task::spawn_blocking(move || {
        let _runtime = handle.enter();
        Local::start(source)
    });
    let local = started.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    Ok(Some(Embedder::local(local)))
}

fn http(http: &HttpEmbedder, dimensions: usize) -> Result<Embedder, SetupError> {
    service(http, dimensions).map(Embedder::http)
}

/// A client of the service that the settings name. `dimensions` are the database's.
pub(crate) fn service(http: &HttpEmbedder, dimensions: usize) -> Result<Http, SetupError> {
    let mut options = HttpOptions::new(http.url.clone(), http.model.clone());
    options.api_key.clone_from(&http.api_key);
    // Of those models alone it is known that they can shorten their vectors; others refuse to be asked.
    options.asks_for_dimensions = http.dimensions.is_some() && http.model.starts_with("text-embedding-3");
    options.batch_size = http.batch_size;
    options.concurrency = http.concurrency;
    options.request_timeout = Duration::from_secs(http.timeout_s);
    let model = Model {
        name: http.model.clone(),
        provider: http.provider.clone(),
        dimensions: http.dimensions.map_or(dimensions, usize::from),
        languages: http.languages.clone().map_or(Languages::Any, Languages::Only),
        prompts: http.prompts.clone(),
        longest_tokens: http.longest_tokens,
    };
    Http::new(model, options)
}

/// The embedder, if the database's documents are embedded with its model.
async fn fitted(
    system: &System,
    settings: &DatabaseSettings,
    embedder: Embedder,
    dimensions: usize,
) -> Result<Embeddings, ServiceError> {
    let model = embedder.model().clone();
    let allows_unpriced = settings.embedding.allows_unpriced;
    priced(system, &embedder, allows_unpriced).await?;
    let model_id = system.register_embedder(&model).await?;
    if model.dimensions != dimensions {
        tracing::warn!(
            "the database holds vectors of {dimensions} dimensions, and those of {} have {}: documents are found by words. Run `bailiwick embed` to move the database to this model",
            model.name,
            model.dimensions
        );
        return Ok(Embeddings::in_waiting(embedder, model_id, allows_unpriced));
    }
    match system.adopt_embedding_model(model_id).await? {
        Some((current, _)) if current == model_id => {
            tracing::info!(model = model.name, dimensions, "embedding");
            Ok(Embeddings::on(embedder, model_id, allows_unpriced))
        }
        current => {
            let current = current.map_or_else(|| "none yet".to_owned(), |(_, name)| name);
            tracing::warn!(
                current,
                own = model.name,
                "documents are embedded with another model than this server's: they are found by words. Set BAILIWICK_EMBEDDINGS_MODEL to it, or run `bailiwick embed` to move to this one"
            );
            Ok(Embeddings::in_waiting(embedder, model_id, allows_unpriced))
        }
    }
}

/// Whether a service's tokens can be charged.
async fn priced(system: &System, embedder: &Embedder, allows_unpriced: bool) -> Result<(), ServiceError> {
    let model = embedder.model();
    if embedder.is_free() || allows_unpriced || system.has_embedding_price(&model.provider, &model.name).await? {
        return Ok(());
    }
    Err(ServiceError::Embedder(format!(
        "the embedding model {:?} of {:?} has no price, so its tokens could not be charged.\nAdd a row to model_prices (BAILIWICK_EMBEDDINGS_PROVIDER \
         names another provider), or set BAILIWICK_EMBEDDINGS_UNPRICED=true to record its tokens at 0 USD, flagged as unpriced.",
        model.name, model.provider
    )))
}

/// [`priced`], for a command that has no service.
pub(crate) async fn check_price(
    deployment: &Deployment,
    settings: &DatabaseSettings,
    embedder: &Embedder,
) -> Result<(), ServiceError> {
    let pool = Pool::new(deployment.app()?.clone(), &PoolOptions { size: 1, ..PoolOptions::default() })?;
    let checked = priced(&System::new(pool.clone()), embedder, settings.embedding.allows_unpriced).await;
    pool.close();
    checked
}

/// Calls for what a command does by itself.
pub(crate) async fn calls(deployment: &Deployment, settings: &DatabaseSettings) -> Result<Calls, ServiceError> {
    let app = deployment.app()?;
    let pool = Pool::new(app.clone(), &PoolOptions { size: 1, ..PoolOptions::default() })?;
    let spool = spool::folder(settings, app, &System::new(pool.clone())).await?;
    pool.close();
    Ok(Calls::open(app, &CallOptions::new(spool))?)
}
