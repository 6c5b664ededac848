use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

use crate::call::Calls;
use crate::identity::{Caller, TenantId, UserId};

/// Requests after which principals that have been quiet are forgotten: a sweep looks at each that is known, so it must be rare.
const SWEEP_EVERY: u32 = 10_000;

/// How often each principal, the user of a tenant, may ask, whatever the credential and the connection: the generic cell rate
/// algorithm, by `governor`. A tenant's own limit of calls is `limits.calls_per_minute` in its settings, for all its users
/// together.
pub(super) struct Limits {
    calls: Calls,
    rates: Option<DefaultKeyedRateLimiter<(TenantId, UserId)>>,
    asked: AtomicU32,
    /// Requests at once, and how long until one more, where there is a bound.
    burst: Option<(NonZeroU32, Duration)>,
}

/// Why the messages of one body are not let on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooMany {
    /// They never would be: so many are the most.
    Ever(u32),
    /// They would be after so long.
    Now(Duration),
}

impl Limits {
    /// So many requests a minute, evenly, with bursts of as many as five seconds' worth; no bound for 0.
    pub(super) fn new(calls: Calls, requests_per_minute: u32) -> Arc<Self> {
        let quota = NonZeroU32::new(requests_per_minute).map(|requests| {
            let burst = NonZeroU32::new(requests.get() / 12).unwrap_or(NonZeroU32::MIN);
            Quota::per_minute(requests).allow_burst(burst)
        });
        let burst = quota.map(|quota| (quota.burst_size(), quota.replenish_interval()));
        Arc::new(Self { calls, rates: quota.map(RateLimiter::keyed), asked: AtomicU32::new(0), burst })
    }

    /// Counts a request; how long until it would be let in, if it is not.
    pub(super) fn refuses(&self, caller: &Caller) -> Option<Duration> {
        let rates = self.rates.as_ref()?;
        if self.asked.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            rates.retain_recent();
            rates.shrink_to_fit();
        }
        let refused = rates.check_key(&(caller.tenant_id, caller.user_id.clone())).err();
        refused.map(|wait| wait.wait_time_from(DefaultClock::default().now()))
    }

    /// Counts the messages of a batch, the first of which was counted as its request: all of them, or none.
    pub(super) fn refuses_batch(&self, caller: &Caller, messages: u32) -> Option<TooMany> {
        let (rates, (burst, interval)) = (self.rates.as_ref()?, self.burst?);
        if messages > burst.get() {
            return Some(TooMany::Ever(burst.get()));
        }
        let more = NonZeroU32::new(messages.saturating_sub(1))?;
        match rates.check_key_n(&(caller.tenant_id, caller.user_id.clone()), more) {
            Ok(Ok(())) => None,
            // Whoever comes again is counted as a request first.
            Ok(Err(wait)) => Some(TooMany::Now(wait.wait_time_from(DefaultClock::default().now()) + interval)),
            Err(_) => Some(TooMany::Ever(burst.get())),
        }
    }
}

/// Lets a known caller's request on, unless it comes too soon after its others (429) or the server is coming to its end (503).
///
/// Neither is a call yet, so neither leaves a row: they are counted, and the client is told when to come again. A call that
/// finds no place, or is more than its tenant may make, is a matter of `call::Calls`: it has a row, and its refusal is a tool
/// result that a model can read, for clients make nothing but a broken connection of a status.
pub(super) async fn let_on(State(limits): State<Arc<Limits>>, request: Request, next: Next) -> Response {
    if limits.calls.readiness().closing {
        return later(
            StatusCode::SERVICE_UNAVAILABLE,
            "closing",
            Duration::from_secs(5),
            "the server is being stopped",
        );
    }
    let wait = request.extensions().get::<Caller>().and_then(|caller| limits.refuses(caller));
    match wait {
        Some(wait) => later(StatusCode::TOO_MANY_REQUESTS, "principal", wait, "too many requests of this user"),
        None => next.run(request).await,
    }
}

/// An answer that says when to come again (RFC 9110, section 10.2.3).
pub(super) fn later(status: StatusCode, reason: &'static str, wait: Duration, text: &'static str) -> Response {
    metrics::counter!("bailiwick_http_refused_total", "reason" => reason).increment(1);
    let mut response = (status, text).into_response();
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}
