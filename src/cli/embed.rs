use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{CommandError, progress};
use crate::configuration::{DatabaseArguments, DatabaseSettings};
use crate::db::admin::{self, EmbeddingState};
use crate::db::{Pool, PoolOptions, System};
use crate::embedding::moving::{self, Step};
use crate::embedding::worker::{Done, Work};
use crate::embedding::{Embedder, Embeddings};
use crate::startup::{self, Deployment, Service};
use crate::telemetry;

/// What to embed.
#[derive(Debug, Args)]
pub(super) struct EmbedArguments {
    /// Try documents again that were given up
    #[arg(long)]
    retry_failed: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Embeds what waits with the model that the program is set up with; if documents are embedded with another, moves all of them.
pub(super) async fn run(database: &DatabaseArguments, arguments: &EmbedArguments) -> Result<ExitCode, CommandError> {
    let mut settings = DatabaseSettings::resolve(database)?;
    let deployment = Deployment::open(&settings).await?;
    let client = admin::connect(deployment.admin()?).await?;
    let state = admin::embedding_state(&client).await?;
    settings.embedding = settings.embedding.asked_for();
    let pool = Pool::new(deployment.app()?.clone(), &PoolOptions { size: 1, ..PoolOptions::default() })?;
    let embedder = startup::embedder(&settings, state.dimensions).await?.ok_or(
        "there is nothing to embed with: set BAILIWICK_EMBEDDINGS_URL and BAILIWICK_EMBEDDINGS_MODEL to a service, or BAILIWICK_EMBEDDINGS_MODEL \
         to all-MiniLM-L6-v2 or the folder of a sentence-transformers model",
    )?;
    let model_id = System::new(pool.clone()).register_embedder(embedder.model()).await?;
    pool.close();
    embedder.ready().await.map_err(|error| error.to_string())?;
    let name = embedder.model().name.clone();
    let fits = embedder.model().dimensions == state.dimensions && state.next_model.is_none();
    // A database that has no embedder's vectors yet and is of the right dimensions only has to be filled.
    let is_move = !fits || state.current_model.as_ref().is_some_and(|current| *current != name);
    let told = match is_move {
        true => move_to(&deployment, &settings, embedder, model_id, &state).await?,
        false => {
            drop(embedder);
            fill(&deployment, &settings, arguments.retry_failed).await?
        }
    };
    tell(told, &name, arguments.json)
}

/// What was done.
struct Told {
    documents: Option<u64>,
    passages: u64,
    tokens: u64,
    pending: u64,
    unattended: u64,
    failed: u64,
    moved: bool,
}

async fn fill(deployment: &Deployment, settings: &DatabaseSettings, retry_failed: bool) -> Result<Told, CommandError> {
    let client = admin::connect(deployment.admin()?).await?;
    let service = Service::prepare(deployment, settings).await?;
    let work = Work::new(service.calls().clone(), service.embeddings().clone());
    let work = work.ok_or_else(|| service.embeddings().reason().unwrap_or("no embedder").to_owned())?;
    if let Some((embedder, _)) = service.embeddings().embedder() {
        // Its tokenizer is the measure.
        embedder.ready().await.map_err(|error| error.to_string())?;
    }
    tell_recut(moving::recut_all(&client, service.calls(), &service.embeddings().cutting()).await?);
    admin::embed_again(&client, retry_failed).await?;
    let state = admin::embedding_state(&client).await?;
    let bar = progress::counter("documents", Some(u64::try_from(state.pending).unwrap_or_default()));
    let done = work.everything(|batch| bar.inc(batch.documents)).await;
    bar.finish();
    service.drain(Duration::from_secs(10)).await;
    let done = done?;
    let state = admin::embedding_state(&client).await?;
    Ok(Told {
        documents: Some(done.documents),
        passages: done.passages,
        tokens: done.tokens,
        pending: u64::try_from(state.pending).unwrap_or_default(),
        unattended: u64::try_from(state.unattended).unwrap_or_default(),
        failed: u64::try_from(state.failed).unwrap_or_default(),
        moved: false,
    })
}

async fn move_to(
    deployment: &Deployment,
    settings: &DatabaseSettings,
    embedder: Embedder,
    model_id: i16,
    state: &EmbeddingState,
) -> Result<Told, CommandError> {
    if let Some(next) = state.next_model.as_ref().filter(|next| **next != embedder.model().name) {
        telemetry::announce(&format!("The move to {next} that was begun is given up."));
    }
    let from = state.current_model.as_deref().unwrap_or("callers' own vectors");
    telemetry::announce(&format!(
        "Moving all documents from {from} to {}; searches go on with the old vectors.",
        embedder.model().name
    ));
    let (client, observer) = (admin::connect(deployment.admin()?).await?, admin::connect(deployment.admin()?).await?);
    startup::check_price(deployment, settings, &embedder).await?;
    let calls = startup::calls(deployment, settings).await?;
    let embeddings = Embeddings::on(embedder, model_id, settings.embedding.allows_unpriced);
    let bar = progress::counter("passages", Some(0));
    let moved = moving::run(&client, &observer, &calls, &embeddings, |step| match step {
        Step::Begun { passages } => bar.set_length(passages),
        Step::Embedded { passages, .. } => {
            bar.set_message("");
            bar.inc(passages);
        }
        Step::Waiting => bar.set_message("waiting for the service, which asks for patience"),
        Step::Indexing => bar.set_message("building vector indexes"),
        Step::Switching => bar.set_message("putting the new vectors in place"),
    })
    .await;
    bar.finish();
    let moved = match moved {
        Ok(moved) => moved,
        Err(error) => {
            calls.drain(Duration::from_secs(10)).await;
            return Err(format!("{error}.\nRun the command again: it goes on where it stopped").into());
        }
    };
    tell_recut(moved.recut_documents);
    // What came at the last moment, and what was cut anew.
    let waiting = u64::try_from(admin::embedding_state(&client).await?.pending).unwrap_or_default();
    let mut done = Done::default();
    if let Some(work) = Work::new(calls.clone(), embeddings.clone()).filter(|_| waiting > 0) {
        let bar = progress::counter("documents", Some(waiting));
        let ended = work.everything(|batch| bar.inc(batch.documents)).await;
        bar.finish();
        match ended {
            Ok(ended) => done = ended,
            Err(stopped) => telemetry::announce(&format!("Documents wait for their vectors: {stopped}.")),
        }
    }
    calls.drain(Duration::from_secs(10)).await;
    let state = admin::embedding_state(&client).await?;
    telemetry::announce(
        "Servers that are set up with this model search by it from now on. Start the others again with it: until then they find documents by words. A run of VACUUM gives back the old vectors' space.",
    );
    Ok(Told {
        documents: None,
        passages: moved.passages + done.passages,
        tokens: moved.tokens + done.tokens,
        pending: u64::try_from(state.pending).unwrap_or_default(),
        unattended: u64::try_from(state.unattended).unwrap_or_default(),
        failed: u64::try_from(state.failed).unwrap_or_default(),
        moved: true,
    })
}

fn tell_recut(documents: u64) {
    if documents > 0 {
        telemetry::announce(&format!(
            "{documents} documents had passages that are longer than what this model reads: they were cut anew."
        ));
    }
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn tell(told: Told, model: &str, json: bool) -> Result<ExitCode, CommandError> {
    let Told { documents, passages, tokens, pending, unattended, failed, moved } = told;
    if json {
        let told = json!({
            "model": model, "moved": moved, "embedded_documents": documents, "embedded_passages": passages, "tokens": tokens,
            "pending_documents": pending, "failed_documents": failed,
        });
        println!("{}", serde_json::to_string_pretty(&told)?);
    } else {
        println!("embedded {passages} passages with {model} ({tokens} tokens)");
        if moved {
            println!("all documents are searched by their vectors of {model} now");
        }
        if pending > 0 {
            println!(
                "{pending} documents still wait, {unattended} of them for a server or for this command to be run again"
            );
        }
        if failed > 0 {
            println!("{failed} documents were given up; --retry-failed tries them again");
        }
    }
    Ok(if failed + unattended > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
