//! Tokens of an OAuth 2.1 or OpenID Connect issuer: JSON Web Tokens (RFC 7519, RFC 9068), checked with the issuer's public keys.
//!
//! A token is looked at and dropped: it is neither kept, nor handed on, nor written anywhere.

mod claims;
mod discovery;
mod key_set;
mod keys;
mod names;
mod options;
mod tenants;

use std::sync::Arc;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header};

use super::{Caller, Scopes, UserId};
use crate::db::{System, TenantStatus};
use claims::Claims;
use keys::{Keys, Sought};
use tenants::Tenants;

pub use names::{ClaimName, InvalidClaimName};
pub use options::{InvalidIssuer, IssuerOptions, IssuerUrl, Pace};

/// Longest token that is looked at, in bytes.
const LONGEST: usize = 16 << 10;
/// How far the issuer's clock may be from ours, in seconds.
const LEEWAY_S: u64 = 30;
/// What is believed: signatures by keys that are not ours. A secret shared with the issuer (HS…) could sign as well as check.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Whom a good token stands for.
#[derive(Debug, Clone)]
pub struct TokenHolder {
    /// The caller that it makes calls as.
    pub caller: Caller,
    /// Whether its tenant may call: who a token of one that may not is, is known, and refused for another reason.
    pub tenant_status: TenantStatus,
    /// The tenant as the token names it.
    tenant: String,
    /// When the token ends.
    expires_at: Timestamp,
}

/// Why a token is not believed. It says nothing of the token's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TokenRefused {
    #[error("it is no token that could be read")]
    Malformed,
    #[error("its kind or algorithm is none that is accepted")]
    Kind,
    #[error("the issuer has no such key")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it has expired, is not valid yet, or is for somebody else")]
    Claims,
    #[error("its tenant or user is missing or not one")]
    Subject,
    #[error("there is no such tenant")]
    Tenant,
    #[error("the issuer or the database cannot be asked")]
    Unavailable,
}

impl TokenRefused {
    /// Whether the issuer did sign the token: what is wrong with it was looked at after that.
    #[must_use]
    pub fn was_signed(self) -> bool {
        matches!(self, Self::Claims | Self::Subject | Self::Tenant)
    }
}

/// Checks tokens of one issuer. Cheap to clone.
#[derive(Clone)]
pub struct Issuer(Arc<Shared>);

struct Shared {
    options: IssuerOptions,
    keys: Arc<Keys>,
    tenants: Tenants,
}

impl Issuer {
    /// An issuer whose keys are not known yet.
    ///
    /// # Errors
    /// If TLS cannot be had.
    pub fn new(options: IssuerOptions, system: System) -> Result<Self, String> {
        let keys = Arc::new(Keys::new(options.issuer.clone(), options.pace)?);
        Ok(Self(Arc::new(Shared { options, keys, tenants: Tenants::new(system) })))
    }

    /// Gets the issuer's keys, so that the first caller does not wait for them.
    ///
    /// # Errors
    /// What is in the way, for the operator. It is tried again once a token comes.
    pub async fn warm_up(&self) -> Result<(), String> {
        self.0.keys.fetch().await
    }

    /// Its identifier, as in the tokens' `iss`.
    #[must_use]
    pub fn identifier(&self) -> &str {
        self.0.options.issuer.as_str()
    }

    /// Whom the token stands for.
    ///
    /// # Errors
    /// [`TokenRefused`].
    pub async fn holder(&self, token: &str) -> Result<TokenHolder, TokenRefused> {
        let claims = self.claims(token).await?;
        let options = &self.0.options;
        let expires_at = claims.expires_at(LEEWAY_S).ok_or(TokenRefused::Claims)?;
        let tenant = claims.one_text(&options.tenant_claim).ok_or(TokenRefused::Subject)?;
        let user = claims.one_text(&options.user_claim).ok_or(TokenRefused::Subject)?;
        let user_id = UserId::parse(user).map_err(|_| TokenRefused::Subject)?;
        let scopes = options.scope_claims.iter().find_map(|claim| claims.words(claim)).unwrap_or_default();
        let found = self.0.tenants.find(tenant).await.map_err(|_| TokenRefused::Unavailable)?;
        let found = found.ok_or(TokenRefused::Tenant)?;
        let caller = Caller { tenant_id: found.id, user_id, scopes: Scopes::known(&scopes) };
        Ok(TokenHolder { caller, tenant_status: found.status, tenant: tenant.to_owned(), expires_at })
    }

    /// Whether whoever was let in by a token would still be: it has not expired, and its tenant may call.
    pub async fn still_holds(&self, holder: &TokenHolder) -> bool {
        if holder.expires_at <= Timestamp::now() {
            return false;
        }
        match self.0.tenants.find(&holder.tenant).await {
            Ok(Some(tenant)) => tenant.id == holder.caller.tenant_id && tenant.status == TenantStatus::Active,
            Ok(None) => false,
            // The calls themselves need the database, too.
            Err(_) => true,
        }
    }

    /// What the token says, if the issuer said it, to us, and it holds now.
    async fn claims(&self, token: &str) -> Result<Claims, TokenRefused> {
        if token.len() > LONGEST {
            return Err(TokenRefused::Malformed);
        }
        let header = decode_header(token).map_err(|_| TokenRefused::Malformed)?;
        if !is_of_our_kind(&header) {
            return Err(TokenRefused::Kind);
        }
        let keys = match self.0.keys.find(header.kid.as_deref(), header.alg).await {
            Sought::Found(keys) => keys,
            Sought::Unknown => return Err(TokenRefused::UnknownKey),
            Sought::Unavailable => return Err(TokenRefused::Unavailable),
        };
        let validation = self.validation(header.alg);
        let mut refused = TokenRefused::UnknownKey;
        for key in keys {
            match decode::<Claims>(token, &key, &validation) {
                // What the library was asked to check is checked again here: it must not hang on one call of its builder.
                Ok(data) if data.claims.are_for(self.identifier(), &self.0.options.audiences) => {
                    return Ok(data.claims);
                }
                Ok(_) => refused = TokenRefused::Claims,
                Err(error) => refused = reason(&error),
            }
        }
        Err(refused)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.set_issuer(&[self.identifier()]);
        validation.set_audience(&self.0.options.audiences);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        validation
    }
}

/// Whether it is a signed access token without anything that would have to be understood first: no other type (an ID token goes
/// as `JWT`, too, but is for its client, not for us), nothing critical, nothing compressed or encrypted. Keys and addresses of
/// keys in the header are passed over.
fn is_of_our_kind(header: &Header) -> bool {
    let types = ["jwt", "at+jwt", "application/at+jwt"];
    let is_type = header.typ.as_ref().is_none_or(|typ| types.iter().any(|known| typ.eq_ignore_ascii_case(known)));
    let is_plain = header.crit.is_none() && header.enc.is_none() && header.zip.is_none() && header.cty.is_none();
    is_type && is_plain && !header.extras.inner().contains_key("b64") && ALGORITHMS.contains(&header.alg)
}

/// The library's errors may quote the token, so only their kind is told.
fn reason(error: &jsonwebtoken::errors::Error) -> TokenRefused {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => TokenRefused::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat => TokenRefused::Kind,
        ErrorKind::MissingRequiredClaim(_)
        | ErrorKind::InvalidClaimFormat(_)
        | ErrorKind::ExpiredSignature
        | ErrorKind::ImmatureSignature
        | ErrorKind::InvalidIssuer
        | ErrorKind::InvalidAudience
        | ErrorKind::InvalidSubject => TokenRefused::Claims,
        _ => TokenRefused::Malformed,
    }
}
