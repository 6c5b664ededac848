use std::sync::{Arc, OnceLock};

use pgvector::HalfVector;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::claims::{LEASE, Passage};
use crate::call::{Action, Ahead, Answer, Call, Failure, Hints, Problems, Tool};
use crate::costs::usd;
use crate::db::DbError;
use crate::embedding::{EmbeddingError, Embeddings, Purpose, Read};
use crate::identity::Scope;

const STORE: &str = include_str!("../../../sql/queries/embedding/store.sql");
const SETTLE: &str = include_str!("../../../sql/queries/embedding/settle.sql");

/// Embeds one batch of passages: the server's own call, which no client can make.
pub(super) struct EmbedPassages {
    pub embeddings: Embeddings,
}

/// Some passages of claimed documents.
pub(super) struct Request {
    /// All documents of the claim: those without a passage left are embedded.
    pub documents: Vec<Uuid>,
    pub passages: Vec<Passage>,
    pub read: Option<Read>,
    /// Why they could not be embedded, for the worker; the trail has only its code.
    pub error: Arc<OnceLock<EmbeddingError>>,
}

impl Request {
    /// To embed these passages.
    pub fn of(documents: Vec<Uuid>, passages: Vec<Passage>) -> Self {
        Self { documents, passages, read: None, error: Arc::default() }
    }

    /// To see whether the embedder embeds a text that nobody could refuse. It is of no document, and is stored nowhere.
    pub fn trial() -> Self {
        Self::of(Vec::new(), vec![Passage { chunk_no: -1, text: "Is this text embedded?".to_owned() }])
    }
}

/// What came of a batch.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    /// Documents whose every passage has its vector now. None where the embedder's answer could not be used.
    pub embedded: Vec<Uuid>,
    /// Tokens that were read.
    pub tokens: i32,
}

impl Tool for EmbedPassages {
    type Input = ();
    type Request = Request;
    type Output = Output;

    const SURFACE: &str = "worker";
    const NAME: &'static str = "embed_passages";
    const TITLE: &'static str = "Embed passages";
    const DESCRIPTION: &'static str = "Embeds passages in the background.";
    const SCOPE: Scope = Scope::DocumentsWrite;
    const ACTION: Action = Action::Embed;
    const BINDS_USER: bool = false;
    const HINTS: Hints = Hints { read_only: false, idempotent: true, destructive: false };

    fn check(&self, (): ()) -> Result<Request, Problems> {
        Err(Problems::one("arguments", "cannot be given: only the server embeds passages"))
    }

    fn describe(&self, request: &Request) -> Map<String, Value> {
        let model = self.embeddings.embedder().map(|(embedder, _)| embedder.model().name.clone());
        Map::from_iter([
            ("passages".to_owned(), request.passages.len().into()),
            ("documents".to_owned(), request.documents.len().into()),
            ("model".to_owned(), model.into()),
        ])
    }

    async fn prepare(&self, ahead: &Ahead<'_>, request: &mut Request) -> Result<(), Failure> {
        if request.passages.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = request.passages.iter().map(|passage| passage.text.clone()).collect();
        request.read = Some(self.embeddings.embed_for(ahead, Purpose::Passage, &texts, &request.error).await?);
        Ok(())
    }

    async fn run(&self, call: &Call<'_>, request: &Request) -> Result<Answer<Output>, Failure> {
        self.store(call, request).await.map_err(|error| call.failed(&error))
    }
}

impl EmbedPassages {
    async fn store(&self, call: &Call<'_>, request: &Request) -> Result<Answer<Output>, DbError> {
        let tenant_id = call.caller.tenant_id;
        let Some((embedder, model_id)) = self.embeddings.embedder() else {
            return Err(DbError::Other("a batch without an embedder".to_owned()));
        };
        let (mut stored, mut tokens, mut cost) = (0, 0, None);
        if let Some(embedded) = request.read.as_ref().and_then(Read::embedded) {
            let chunk_nos: Vec<i32> = request.passages.iter().map(|passage| passage.chunk_no).collect();
            let vectors: Vec<HalfVector> =
                embedded.vectors.iter().map(|vector| HalfVector::from_f32_slice(vector)).collect();
            let row = call.transaction.query_one(STORE, &[&tenant_id, &chunk_nos, &vectors, &model_id]).await?;
            stored = row.try_get::<_, i64>("stored")?;
        }
        if let Some(read) = &request.read {
            tokens = read.tokens();
            // They were read and paid for, whatever became of the passages meanwhile.
            cost = Some(
                self.embeddings.record(call.transaction, call.caller, call.id, tokens, ("embed", Self::NAME)).await?,
            );
        }
        let (model, lease_s) = (&embedder.model().name, LEASE.as_secs_f64());
        let settled =
            call.transaction.query_one(SETTLE, &[&tenant_id, &request.documents, &model_id, &model, &lease_s]).await?;
        let embedded: Vec<Uuid> = settled.try_get("embedded")?;
        let details = Map::from_iter([
            ("stored".to_owned(), stored.into()),
            ("embedded_documents".to_owned(), embedded.len().into()),
            ("tokens".to_owned(), tokens.into()),
            ("cost_usd".to_owned(), cost.map(usd).into()),
            ("unusable".to_owned(), request.read.as_ref().and_then(Read::unusable).into()),
        ]);
        Ok(Answer::new(Output { embedded, tokens }).telling(details))
    }
}
