use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::Face;
use super::authentication::Entrance;
use crate::db::TenantStatus;
use crate::identity::{ApiKey, Caller, Principal, TokenHolder, TokenRefused};

/// Whom a request's credential stands for, and what is needed to see later whether it still does. The token itself is not in it.
#[derive(Clone)]
pub(super) struct Standing(Proof);

#[derive(Clone)]
enum Proof {
    Key(Box<ApiKey>, Caller, TenantStatus),
    Token(Box<TokenHolder>),
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It has no credential.
    Missing,
    /// Its credential is none of ours, or not any more. Which of these is not told.
    Invalid,
    /// The same, but the issuer did sign it once: its holder is no stranger, and shall get a new one.
    Stale,
    /// Neither the database nor the issuer could be asked.
    Unavailable,
}

impl Standing {
    /// Whom the request's one credential (`Authorization: Bearer`) stands for.
    pub(super) async fn of(entrance: &Entrance, address: Option<IpAddr>, headers: &HeaderMap) -> Result<Self, Refused> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let credential = given.next().ok_or(Refused::Missing)?;
        if given.next().is_some() {
            // Two credentials are a question of which one counts; here neither does.
            return Err(Refused::Invalid);
        }
        let text = credential.to_str().map_err(|_| Refused::Invalid)?;
        let (scheme, token) = text.split_once(' ').ok_or(Refused::Invalid)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Refused::Invalid);
        }
        let token = token.trim();
        match (ApiKey::parse(token), &entrance.face.issuer) {
            (Ok(key), _) => Self::of_key(entrance, address, key).await,
            (Err(_), Some(issuer)) => match issuer.holder(token).await {
                Ok(holder) => Ok(Self(Proof::Token(Box::new(holder)))),
                Err(TokenRefused::Unavailable) => Err(Refused::Unavailable),
                Err(reason) => {
                    tracing::debug!(%reason, "a token was refused");
                    Err(if reason.was_signed() { Refused::Stale } else { Refused::Invalid })
                }
            },
            (Err(_), None) => Err(Refused::Invalid),
        }
    }

    async fn of_key(entrance: &Entrance, address: Option<IpAddr>, key: ApiKey) -> Result<Self, Refused> {
        let keys = &entrance.face.keys;
        // Whoever was let in before does not wait among those who guess.
        let _turn = match address {
            Some(address) if !keys.was_good(&key) => entrance.strangers.turn(address).await,
            _ => None,
        };
        match keys.principal(&key).await {
            Ok(Some(principal)) => Ok(Self(Proof::Key(Box::new(key), principal.caller(), principal.tenant_status))),
            Ok(None) => Err(Refused::Invalid),
            Err(error) => {
                tracing::warn!(%error, "a key could not be looked up");
                Err(Refused::Unavailable)
            }
        }
    }

    /// Who calls.
    pub(super) fn caller(&self) -> &Caller {
        match &self.0 {
            Proof::Key(_, caller, _) => caller,
            Proof::Token(holder) => &holder.caller,
        }
    }

    /// Whether its tenant may call, as was found when it was looked up.
    pub(super) fn tenant_status(&self) -> TenantStatus {
        match &self.0 {
            Proof::Key(_, _, status) => *status,
            Proof::Token(holder) => holder.tenant_status,
        }
    }

    /// Whether its holder could get another one with more scopes, by asking the issuer.
    pub(super) fn can_grow(&self) -> bool {
        matches!(self.0, Proof::Token(_))
    }

    /// Whether it is still good: the key not revoked, the token not expired, its tenant not suspended.
    pub(super) async fn holds(&self, face: &Arc<Face>) -> bool {
        match &self.0 {
            // Where the database cannot be asked, no call is served either.
            Proof::Key(key, ..) => match face.keys.principal(key).await {
                Ok(found) => found.as_deref().is_some_and(may_call),
                Err(_) => true,
            },
            Proof::Token(holder) => match &face.issuer {
                Some(issuer) => issuer.still_holds(holder).await,
                None => false,
            },
        }
    }
}

fn may_call(principal: &Principal) -> bool {
    principal.tenant_status == TenantStatus::Active
}
