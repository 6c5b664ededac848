use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;

use super::HttpOptions;
use super::guarded::{Guard, Guarded};
use super::limits::later;
use crate::identity::{Caller, TenantId, UserId};

/// When a client that finds no place may come again.
const LATER: Duration = Duration::from_secs(5);

/// The places of streams, of all kinds: so many in all, so many of one user of a tenant, and three quarters of all of one tenant.
#[derive(Clone)]
pub(super) struct Streams(Arc<Shared>);

struct Shared {
    most: usize,
    most_of_tenant: usize,
    most_of_principal: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_tenant: HashMap<TenantId, usize>,
    by_principal: HashMap<(TenantId, UserId), usize>,
}

/// A stream's place, given back when it ends.
pub(super) struct Place {
    streams: Streams,
    principal: (TenantId, UserId),
}

impl Streams {
    pub(super) fn new(options: &HttpOptions) -> Self {
        let (most, most_of_principal) = (options.most_streams, options.most_streams_of_principal);
        let most_of_tenant = (most / 4 * 3).max(most_of_principal);
        Self(Arc::new(Shared { most, most_of_tenant, most_of_principal, taken: Mutex::default() }))
    }

    /// A place; else what its caller is told: 429 if they have too many, 503 if all have.
    pub(super) fn place(&self, caller: &Caller) -> Result<Place, Box<Response>> {
        let principal = (caller.tenant_id, caller.user_id.clone());
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_principal = taken.by_principal.get(&principal).copied().unwrap_or_default();
        if of_principal >= self.0.most_of_principal {
            let text = "this user has as many streams as one may have";
            return Err(Box::new(later(StatusCode::TOO_MANY_REQUESTS, "streams_of_principal", LATER, text)));
        }
        if taken.by_tenant.get(&principal.0).is_some_and(|theirs| *theirs >= self.0.most_of_tenant) {
            let text = "this tenant has as many streams as one may have";
            return Err(Box::new(later(StatusCode::TOO_MANY_REQUESTS, "streams_of_tenant", LATER, text)));
        }
        if taken.all >= self.0.most {
            let text = "the server has as many streams as it can take";
            return Err(Box::new(later(StatusCode::SERVICE_UNAVAILABLE, "streams", LATER, text)));
        }
        taken.all += 1;
        *taken.by_tenant.entry(principal.0).or_default() += 1;
        taken.by_principal.insert(principal.clone(), of_principal + 1);
        metrics::gauge!("bailiwick_http_streams").increment(1.0);
        Ok(Place { streams: self.clone(), principal })
    }
}

impl Guard for Place {}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.streams.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(count) = taken.by_tenant.get_mut(&self.principal.0) {
            *count -= 1;
            if *count == 0 {
                taken.by_tenant.remove(&self.principal.0);
            }
        }
        if let Some(count) = taken.by_principal.get_mut(&self.principal) {
            *count -= 1;
            if *count == 0 {
                taken.by_principal.remove(&self.principal);
            }
        }
        metrics::gauge!("bailiwick_http_streams").decrement(1.0);
    }
}

/// A body that holds a stream's place until it has ended or its reader has gone.
pub(super) fn placed(response: Response, place: Place) -> Response {
    response.map(|body| Body::new(Guarded::new(body, place)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Scopes;

    /// Of a tenant of their own, by their first letter.
    fn caller(user: &str) -> Caller {
        let tenant_id = TenantId::from(uuid::Uuid::from_u128(u128::from(user.as_bytes()[0])));
        Caller { tenant_id, user_id: UserId::parse(user).unwrap(), scopes: Scopes::all() }
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let options = HttpOptions { most_streams: 3, most_streams_of_principal: 2, ..HttpOptions::default() };
        let streams = Streams::new(&options);
        let refused = |user: &str| streams.place(&caller(user)).map(drop).map_err(|response| response.status());
        let (one, two) = (streams.place(&caller("ada")).ok(), streams.place(&caller("ada")).ok());
        assert!(one.is_some() && two.is_some());
        assert_eq!(refused("ada"), Err(StatusCode::TOO_MANY_REQUESTS));
        let eve = streams.place(&caller("eve")).ok();
        assert_eq!(refused("bob"), Err(StatusCode::SERVICE_UNAVAILABLE));
        drop(one);
        assert_eq!((refused("ada"), refused("bob")), (Ok(()), Ok(())));
        drop((two, eve));
        let taken = streams.0.taken.lock().unwrap();
        assert!(taken.by_principal.is_empty() && taken.by_tenant.is_empty());
    }

    #[test]
    fn one_tenant_leaves_others_a_quarter() {
        let options = HttpOptions { most_streams: 8, most_streams_of_principal: 2, ..HttpOptions::default() };
        let streams = Streams::new(&options);
        let place = |user: &str| streams.place(&caller(user)).map_err(|response| response.status());
        let held: Vec<_> = ["a1", "a1", "a2", "a2", "a3", "a3"].into_iter().map(place).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(place("a4").err(), Some(StatusCode::TOO_MANY_REQUESTS));
        let others = (place("b1"), place("c1"));
        assert!(others.0.is_ok() && others.1.is_ok());
        assert_eq!(place("d1").err(), Some(StatusCode::SERVICE_UNAVAILABLE));
    }
}
