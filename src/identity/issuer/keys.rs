use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::Mutex;

use super::discovery::Discovery;
use super::key_set::KeySet;
use super::{IssuerUrl, Pace};

/// What came of looking for a token's key.
pub(super) enum Sought {
    Found(Vec<Arc<DecodingKey>>),
    /// The issuer has no such key.
    Unknown,
    /// The issuer cannot be asked, and what is known is not enough.
    Unavailable,
}

/// An issuer's keys, kept and renewed: asked for anew in the background while they are used, at once for a key that is not known
/// (they rotate), and with growing pauses while the issuer is away.
pub(super) struct Keys {
    discovery: Discovery,
    pace: Pace,
    known: RwLock<Option<Known>>,
    /// Whoever holds it asks the issuer.
    asking: Mutex<Attempts>,
}

#[derive(Clone)]
struct Known {
    set: Arc<KeySet>,
    asked: Instant,
}

#[derive(Default)]
struct Attempts {
    last: Option<Instant>,
    failures: u32,
}

impl Attempts {
    /// Whether the issuer is away, as far as is known, and must not be asked yet.
    fn must_wait(&self, pace: &Pace) -> bool {
        let Some(last) = self.last.filter(|_| self.failures > 0) else { return false };
        let doubled = 1_u32.checked_shl(self.failures - 1).unwrap_or(u32::MAX);
        last.elapsed() < pace.first_pause.saturating_mul(doubled).min(pace.longest_pause)
    }

    fn was_within(&self, pause: Duration) -> bool {
        self.last.is_some_and(|last| last.elapsed() < pause)
    }
}

impl Keys {
    pub(super) fn new(issuer: IssuerUrl, pace: Pace) -> Result<Self, String> {
        let discovery = Discovery::new(issuer, pace)?;
        Ok(Self { discovery, pace, known: RwLock::default(), asking: Mutex::default() })
    }

    /// The keys that may have signed a token with this `kid` and `alg`.
    pub(super) async fn find(self: &Arc<Self>, id: Option<&str>, algorithm: Algorithm) -> Sought {
        let known = self.usable();
        if let Some(known) = &known {
            if known.asked.elapsed() > self.pace.fresh {
                self.renew();
            }
            let found = known.set.find(id, algorithm);
            if !found.is_empty() {
                return Sought::Found(found);
            }
        }
        let seen = known.map(|known| known.asked);
        // A task of its own: a caller who goes away must not count as an issuer who does not answer.
        let keys = Arc::clone(self);
        let is_down = !matches!(tokio::spawn(async move { keys.ask_beyond(seen).await }).await, Ok(Ok(())));
        match self.usable() {
            Some(known) => match known.set.find(id, algorithm) {
                found if !found.is_empty() => Sought::Found(found),
                // Perhaps it is a new key of an issuer that cannot be asked just now.
                _ if is_down => Sought::Unavailable,
                _ => Sought::Unknown,
            },
            None => Sought::Unavailable,
        }
    }

    /// Asks the issuer now.
    pub(super) async fn fetch(&self) -> Result<(), String> {
        let mut attempts = self.asking.lock().await;
        self.ask(&mut attempts).await
    }

    /// What is known and not too old.
    fn usable(&self) -> Option<Known> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        known.filter(|known| known.asked.elapsed() < self.pace.stale)
    }

    /// Asks the issuer for what is newer than what was seen, if it may be asked already. An error: it is away.
    async fn ask_beyond(&self, seen: Option<Instant>) -> Result<(), ()> {
        let mut attempts = self.asking.lock().await;
        let newest = self.usable().map(|known| known.asked);
        if newest > seen {
            // Somebody else asked while this one waited.
            return Ok(());
        }
        if attempts.must_wait(&self.pace) {
            return Err(());
        }
        if seen.is_some() && attempts.was_within(self.pace.unknown_key) {
            // Made-up key ids must not become a flood at the issuer's.
            return Ok(());
        }
        self.ask(&mut attempts).await.map_err(drop)
    }

    /// Asks in the background, unless somebody does already.
    fn renew(self: &Arc<Self>) {
        let keys = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(mut attempts) = keys.asking.try_lock() else { return };
            let is_old = keys.usable().is_none_or(|known| known.asked.elapsed() > keys.pace.fresh);
            if is_old && !attempts.must_wait(&keys.pace) {
                let _ = keys.ask(&mut attempts).await;
            }
        });
    }

    async fn ask(&self, attempts: &mut Attempts) -> Result<(), String> {
        let asked = Instant::now();
        attempts.last = Some(asked);
        // Several places may be tried for the metadata; together they may take no longer than this.
        let answer = tokio::time::timeout(self.pace.answer * 2, self.discovery.keys()).await;
        match answer.unwrap_or_else(|_elapsed| Err("the issuer did not answer in time".to_owned())) {
            Ok(set) => {
                metrics::counter!("bailiwick_issuer_fetches_total", "outcome" => "ok").increment(1);
                tracing::debug!(keys = set.len(), "the issuer's keys were fetched");
                attempts.failures = 0;
                let known = Known { set: Arc::new(set), asked };
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
                Ok(())
            }
            Err(problem) => {
                metrics::counter!("bailiwick_issuer_fetches_total", "outcome" => "error").increment(1);
                attempts.failures = attempts.failures.saturating_add(1);
                tracing::warn!(problem, failures = attempts.failures, "the issuer's keys could not be fetched");
                attempts.last = Some(Instant::now());
                Err(problem)
            }
        }
    }
}
