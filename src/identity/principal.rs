use jiff::Timestamp;
use uuid::Uuid;

use super::{Caller, Scopes, TenantId, UserId};
use crate::db::TenantStatus;

/// Whom a live API key stands for.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The key's tenant.
    pub tenant_id: TenantId,
    /// The tenant's short name.
    pub tenant_slug: String,
    /// Whether the tenant may call: a key of a suspended tenant is known, and its call is refused for another reason.
    pub tenant_status: TenantStatus,
    /// The key's id within the tenant.
    pub key_id: Uuid,
    /// Who calls.
    pub user_id: UserId,
    /// What the key allows.
    pub scopes: Scopes,
    /// When the key ends; `None` is never.
    pub expires_at: Option<Timestamp>,
}

impl Principal {
    /// The caller that it makes calls as.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller { tenant_id: self.tenant_id, user_id: self.user_id.clone(), scopes: self.scopes.clone() }
    }

    /// Whether the key has ended by this moment.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}
