use std::sync::{Arc, OnceLock};

use pgvector::HalfVector;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::call::{Action, Ahead, Answer, Call, Calls, Failure, Hints, Problems, Tool};
use crate::costs::usd;
use crate::db::DbError;
use crate::embedding::{Embedder, EmbeddingError, Embeddings, Purpose, Read};
use crate::identity::{Caller, Scope};

const NEXT_PASSAGES: &str = include_str!("../../../sql/queries/embedding/next_passages.sql");
const STORE_NEXT: &str = include_str!("../../../sql/queries/embedding/store_next.sql");

/// Embeds one batch of passages with the next model: the server's own call, which no client can make.
pub(super) struct EmbedNext {
    pub embeddings: Embeddings,
}

/// Passages without a vector of the next model.
pub(super) struct Request {
    pub passages: Vec<(i32, Uuid, String)>,
    read: Option<Read>,
    /// Why they could not be embedded, for the command; the trail has only its code.
    pub error: Arc<OnceLock<EmbeddingError>>,
}

/// What came of a batch.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Output {
    pub passages: u64,
    pub tokens: u64,
}

impl Request {
    /// The next passages of a tenant, so many at most and without those that are left out, or that the model would not read as a whole.
    pub async fn of(
        calls: &Calls,
        caller: &Caller,
        embedder: &Embedder,
        most: usize,
        left_out: &[i32],
    ) -> Result<Self, DbError> {
        let transaction = calls.door().open(caller).await?;
        let (most, cutting) = (i64::try_from(most).unwrap_or(i64::MAX), embedder.cutting());
        let longest = cutting.longest_passage();
        let rows = transaction.query(NEXT_PASSAGES, &[&caller.tenant_id, &most, &left_out, &longest]).await;
        transaction.abandon().await;
        let rows = rows?;
        let passages = rows.iter().map(|row| {
            let text = cutting.passage_text(row.try_get("title")?, row.try_get("passage")?);
            Ok((row.try_get("chunk_no")?, row.try_get("document_id")?, text))
        });
        Ok(Self { passages: passages.collect::<Result<_, DbError>>()?, read: None, error: Arc::default() })
    }
}

impl Tool for EmbedNext {
    type Input = ();
    type Request = Request;
    type Output = Output;

    const SURFACE: &str = "worker";
    const NAME: &'static str = "embed_next";
    const TITLE: &'static str = "Embed passages with the next model";
    const DESCRIPTION: &'static str = "Embeds passages anew while the database moves to another model.";
    const SCOPE: Scope = Scope::DocumentsWrite;
    const ACTION: Action = Action::Embed;
    const BINDS_USER: bool = false;
    const HINTS: Hints = Hints { read_only: false, idempotent: true, destructive: false };

    fn check(&self, (): ()) -> Result<Request, Problems> {
        Err(Problems::one("arguments", "cannot be given: only the server embeds passages"))
    }

    fn describe(&self, request: &Request) -> Map<String, Value> {
        let model = self.embeddings.embedder().map(|(embedder, _)| embedder.model().name.clone());
        Map::from_iter([("passages".to_owned(), request.passages.len().into()), ("model".to_owned(), model.into())])
    }

    async fn prepare(&self, ahead: &Ahead<'_>, request: &mut Request) -> Result<(), Failure> {
        let texts: Vec<String> = request.passages.iter().map(|(_, _, text)| text.clone()).collect();
        request.read = Some(self.embeddings.embed_for(ahead, Purpose::Passage, &texts, &request.error).await?);
        Ok(())
    }

    async fn run(&self, call: &Call<'_>, request: &Request) -> Result<Answer<Output>, Failure> {
        self.store(call, request).await.map_err(|error| call.failed(&error))
    }
}

impl EmbedNext {
    async fn store(&self, call: &Call<'_>, request: &Request) -> Result<Answer<Output>, DbError> {
        let (Some((embedder, model_id)), Some(read)) = (self.embeddings.embedder(), &request.read) else {
            return Err(DbError::Other("a batch that was not embedded".to_owned()));
        };
        let tokens = read.tokens();
        let mut stored = 0;
        if let Some(embedded) = read.embedded() {
            stored = Self::keep(call, request, (&embedder.model().name, model_id), &embedded.vectors).await?;
        }
        let cost =
            self.embeddings.record(call.transaction, call.caller, call.id, tokens, ("embed", Self::NAME)).await?;
        let details = Map::from_iter([
            ("stored".to_owned(), stored.into()),
            ("tokens".to_owned(), tokens.into()),
            ("cost_usd".to_owned(), usd(cost).into()),
            ("unusable".to_owned(), read.unusable().into()),
        ]);
        let output =
            Output { passages: request.passages.len() as u64, tokens: u64::try_from(tokens).unwrap_or_default() };
        Ok(Answer::new(output).telling(details))
    }

    /// Writes the vectors beside those that are searched; how many.
    async fn keep(
        call: &Call<'_>,
        request: &Request,
        (model, model_id): (&String, i16),
        vectors: &[Vec<f32>],
    ) -> Result<i64, DbError> {
        let tenant_id = call.caller.tenant_id;
        let chunk_nos: Vec<i32> = request.passages.iter().map(|(chunk_no, ..)| *chunk_no).collect();
        let mut documents: Vec<Uuid> = request.passages.iter().map(|(_, document, _)| *document).collect();
        documents.dedup();
        let vectors: Vec<HalfVector> = vectors.iter().map(|vector| HalfVector::from_f32_slice(vector)).collect();
        let parameters: [crate::db::Parameter<'_>; 6] =
            [&tenant_id, &chunk_nos, &vectors, &model_id, &documents, &model];
        Ok(call.transaction.query_one(STORE_NEXT, &parameters).await?.try_get("stored")?)
    }
}
