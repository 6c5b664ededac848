//! Embedding by the program's own embedders, through its own worker.

use std::time::Instant;

use bailiwick::embedded::{self, Progress};
use bailiwick::embedding::http::{Http, HttpOptions};
use bailiwick::embedding::local::{Local, Source};
use bailiwick::embedding::worker::Work;
use bailiwick::embedding::{Embedder, Embeddings, Languages, Model, Prompts, Purpose};

use crate::collections::Collection;
use crate::world::Result;
use crate::world::client::Service;

/// `local`, or a service by its URL.
pub fn named(name: &str) -> Result<Embedder> {
    if name == "local" {
        let source = Source::MiniLm { data_dir: embedded::default_data_dir()?, progress: Progress::stderr() };
        return Ok(Embedder::local(Local::start(source)?));
    }
    let model = Model {
        name: "multilingual-e5-small".to_owned(),
        provider: "bench".to_owned(),
        dimensions: 384,
        languages: Languages::Any,
        prompts: Prompts::of_service(),
        longest_tokens: None,
    };
    let options = HttpOptions::new(name.parse()?, model.name.clone());
    Ok(Embedder::http(Http::new(model, options)?))
}

/// Embeds what was stored and the queries; the model's id.
pub async fn embed(embedder: &Embedder, service: &Service, collection: &mut Collection) -> Result<i16> {
    embedder.ready().await?;
    let system = service.calls.system();
    let model_id = system.register_embedder(embedder.model()).await?;
    system.adopt_embedding_model(model_id).await?;
    let embeddings = Embeddings::on(embedder.clone(), model_id, true);
    let started = Instant::now();
    let work = Work::new(service.calls.clone(), embeddings).ok_or("no embedder")?;
    let done = work.everything(|_| ()).await?;
    let seconds = started.elapsed().as_secs_f64();
    eprintln!(
        "embedded {} documents, {} passages, {} tokens in {seconds:.1} s: {:.1} documents a second",
        done.documents,
        done.passages,
        done.tokens,
        done.documents as f64 / seconds
    );
    for queries in collection.queries.chunks_mut(embedder.batch_size()) {
        let texts: Vec<String> = queries.iter().map(|query| query.text.clone()).collect();
        let embedded = embedder.embed(Purpose::Query, &texts).await?;
        for (query, vector) in queries.iter_mut().zip(embedded.vectors) {
            query.vector = Some(vector);
        }
    }
    Ok(model_id)
}
