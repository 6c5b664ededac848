//! Vectors of queries, kept for a while: agents ask the same again, and several at once.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use sha2::{Digest, Sha256};

use super::bought::{Buyer, NoVector};
use super::{Embedder, EmbeddingError, Purpose, metering};
use crate::identity::TenantId;

/// Bytes of vectors that are kept, at most.
const MOST_BYTES: u64 = 32 << 20;
/// Kept this long, at most.
const LIFE: Duration = Duration::from_secs(3_600);
/// Queries that are being embedded at once. Beyond, a search goes on by words.
const MOST_FLIGHTS: usize = 256;

/// Whose query, by the SHA-256 of its text: the text itself is not kept.
type Key = (TenantId, [u8; 32]);

/// A query's vector, of unit length.
pub type QueryVector = Vec<f32>;

/// Embeds queries, each once.
pub(super) struct Queries {
    embedder: Embedder,
    cache: Cache<Key, Arc<QueryVector>>,
    flights: Arc<tokio::sync::Semaphore>,
}

impl Queries {
    pub fn new(embedder: Embedder) -> Self {
        let bytes = u32::try_from(embedder.model().dimensions * 4 + 200).unwrap_or(u32::MAX);
        let cache = Cache::builder().max_capacity(MOST_BYTES).weigher(move |_, _| bytes).time_to_live(LIFE).build();
        Self { embedder, cache, flights: Arc::new(tokio::sync::Semaphore::new(MOST_FLIGHTS)) }
    }

    /// The vector, if it is known.
    pub async fn cached(&self, tenant_id: TenantId, text: &str) -> Option<Arc<QueryVector>> {
        let found = self.cache.get(&key(tenant_id, text)).await;
        if found.is_some() {
            metering::query("cache");
        }
        found
    }

    /// The vector, waiting so long at most. Equal queries of a tenant that come meanwhile wait for the same; it is kept even if
    /// nobody waits any more. What costs money is bought by a call of its own.
    pub async fn embed(
        &self,
        tenant_id: TenantId,
        text: &str,
        patience: Duration,
        buyer: Option<Buyer>,
    ) -> Result<Arc<QueryVector>, NoVector> {
        let Ok(place) = Arc::clone(&self.flights).try_acquire_owned() else {
            metering::query("none");
            return Err(EmbeddingError::Busy { retry_after: None }.into());
        };
        let (cache, embedder, text) = (self.cache.clone(), self.embedder.clone(), text.to_owned());
        let flight = tokio::spawn(async move {
            let _place = place;
            let key = key(tenant_id, &text);
            let embed = async {
                if let Some(buyer) = buyer {
                    let vector = buyer.buy(text).await?;
                    return Ok(Arc::new(vector));
                }
                let embedded = embedder.embed(Purpose::Query, &[text]).await?;
                metering::tokens(Purpose::Query, embedded.tokens);
                let vector = embedded.vectors.into_iter().next().ok_or(EmbeddingError::Internal)?;
                Ok(Arc::new(vector))
            };
            cache.try_get_with(key, embed).await.map_err(|error: Arc<NoVector>| (*error).clone())
        });
        let found = match tokio::time::timeout(patience, flight).await {
            Ok(Ok(found)) => found,
            Ok(Err(_panic)) => Err(EmbeddingError::Internal.into()),
            Err(_elapsed) => Err(EmbeddingError::TimedOut.into()),
        };
        metering::query(if found.is_ok() { "model" } else { "none" });
        found
    }
}

fn key(tenant_id: TenantId, text: &str) -> Key {
    (tenant_id, Sha256::digest(text.as_bytes()).into())
}
