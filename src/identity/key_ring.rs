use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use moka::future::Cache;
use uuid::Uuid;

use super::believed::{Believed, LONGEST_LOOKUP, MOST, SinceAsked};
use super::{ApiKey, Principal, TenantId};
use crate::db::{DbError, System};

/// How often a key's use is noted. A second more than the database's minute, so that it does not take it for too early.
const NOTED_EVERY: Duration = Duration::from_secs(61);

/// For so long a key is remembered as one that was good.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Keys of late callers, so that not each call asks the database who calls. Cheap to clone.
#[derive(Clone)]
pub struct KeyRing {
    system: System,
    /// By the key's SHA-256; `None` for what is no key, or one that has ended.
    known: Cache<[u8; 32], Believed<Option<Arc<Principal>>>>,
    noted: Cache<(TenantId, Uuid), ()>,
    /// Keys that were good of late.
    good: Cache<[u8; 32], ()>,
}

impl KeyRing {
    /// An empty ring.
    #[must_use]
    pub fn new(system: System) -> Self {
        Self {
            system,
            known: Cache::builder().max_capacity(MOST).expire_after(SinceAsked).build(),
            noted: Cache::builder().max_capacity(MOST).time_to_live(NOTED_EVERY).build(),
            good: Cache::builder().max_capacity(MOST).time_to_live(REMEMBERED).build(),
        }
    }

    /// Whom the key stands for; `None` if there is no such key, or it was revoked or has expired. A revocation is
    /// effective within one second and one look-up. Equal keys at once are looked up once. That the key was used is noted
    /// in the background.
    ///
    /// # Errors
    /// Any [`DbError`], shared by all who waited for the same look-up, and not remembered.
    pub async fn principal(&self, key: &ApiKey) -> Result<Option<Arc<Principal>>, Arc<DbError>> {
        metrics::counter!("bailiwick_key_checks_total").increment(1);
        let believed = self.known.try_get_with(key.sha256(), self.look_up(key)).await?;
        let principal = believed.answer.filter(|principal| !principal.has_expired(Timestamp::now()));
        if let Some(principal) = &principal {
            self.note_use(principal).await;
        }
        Ok(principal)
    }

    async fn look_up(&self, key: &ApiKey) -> Result<Believed<Option<Arc<Principal>>>, DbError> {
        metrics::counter!("bailiwick_key_lookups_total").increment(1);
        let asked = Instant::now();
        let found = tokio::time::timeout(LONGEST_LOOKUP, self.system.authenticate(key)).await;
        let found = found.map_err(|_| DbError::TimedOut("a key was looked up for too long".to_owned()))?;
        let answer = found?.map(Arc::new);
        if answer.is_some() {
            self.good.insert(key.sha256(), ()).await;
        }
        Ok(Believed { asked, answer })
    }

    /// Whether the key was good of late. It says nothing of now.
    pub(crate) fn was_good(&self, key: &ApiKey) -> bool {
        self.good.contains_key(&key.sha256())
    }

    async fn note_use(&self, principal: &Principal) {
        let key = (principal.tenant_id, principal.key_id);
        if !self.noted.entry(key).or_insert(()).await.is_fresh() {
            return;
        }
        let (system, noted) = (self.system.clone(), self.noted.clone());
        tokio::spawn(async move {
            if let Err(error) = system.note_key_use(key.0, key.1).await {
                tracing::warn!(%error, tenant = %key.0, key = %key.1, "the use of a key could not be noted");
                noted.invalidate(&key).await;
            }
        });
    }
}
