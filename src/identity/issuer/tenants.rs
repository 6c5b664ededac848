use std::sync::Arc;
use std::time::Instant;

use moka::future::Cache;

use crate::db::{DbError, ResolvedTenant, System};
use crate::identity::believed::{Believed, LONGEST_LOOKUP, MOST, SinceAsked};

/// Tenants of late tokens, so that not each request asks the database which tenant a name means and how it stands.
pub(super) struct Tenants {
    system: System,
    known: Cache<String, Believed<Option<Arc<ResolvedTenant>>>>,
}

impl Tenants {
    pub(super) fn new(system: System) -> Self {
        Self { system, known: Cache::builder().max_capacity(MOST).expire_after(SinceAsked).build() }
    }

    /// The tenant of that slug or id; what became of it is effective within one second and one look-up.
    pub(super) async fn find(&self, name: &str) -> Result<Option<Arc<ResolvedTenant>>, Arc<DbError>> {
        let believed = self.known.try_get_with_by_ref(name, self.look_up(name)).await;
        believed.map(|believed| believed.answer).inspect_err(|error| {
            tracing::warn!(%error, "a token's tenant could not be looked up");
        })
    }

    async fn look_up(&self, name: &str) -> Result<Believed<Option<Arc<ResolvedTenant>>>, DbError> {
        let asked = Instant::now();
        let found = tokio::time::timeout(LONGEST_LOOKUP, self.system.resolve_tenant(name)).await;
        let found = found.map_err(|_| DbError::TimedOut("a tenant was looked up for too long".to_owned()))?;
        Ok(Believed { asked, answer: found?.map(Arc::new) })
    }
}
