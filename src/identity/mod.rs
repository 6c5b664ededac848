//! Who calls: tenant, user and scopes, established once a call and never taken from its arguments.

mod api_key;
mod believed;
mod issuer;
mod key_ring;
mod principal;
mod scope;
mod tenant_id;
mod user_id;

pub use api_key::{ApiKey, MalformedKey};
pub use issuer::{
    ClaimName, InvalidClaimName, InvalidIssuer, Issuer, IssuerOptions, IssuerUrl, Pace, TokenHolder, TokenRefused,
};
pub use key_ring::KeyRing;
pub use principal::Principal;
pub use scope::{Scope, Scopes, UnknownScope};
pub use tenant_id::{DocumentId, TenantId};
pub use user_id::{InvalidUserId, UserId};

/// The authenticated principal of a call.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The one tenant whose rows the call may touch.
    pub tenant_id: TenantId,
    /// Who it is within the tenant, for the audit trail.
    pub user_id: UserId,
    /// What it may do.
    pub scopes: Scopes,
}
