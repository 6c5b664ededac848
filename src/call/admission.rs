//! Who may call now: a bounded number at a time, fair between tenants, and no more than a tenant's rate.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::metering;
use super::rate::Rate;
use crate::identity::TenantId;

/// Bounds of what is let in.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionOptions {
    /// Calls that run at the same time; as many as there are connections.
    pub running: usize,
    /// Of them, how many may be one tenant's while others call too. Alone it may have all but one.
    pub running_of_tenant: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Of them, how many may be one tenant's.
    pub waiting_of_tenant: usize,
}

impl AdmissionOptions {
    /// Bounds for that many connections.
    #[must_use]
    pub fn for_connections(connections: usize) -> Self {
        let running = connections.max(1);
        Self { running, running_of_tenant: (running / 4).max(2), waiting: 512, waiting_of_tenant: 128 }
    }
}

/// What a tenant's settings say of its calls (`limits` in `tenants.settings`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TenantLimits {
    /// Calls a minute, evenly; bursts up to as many.
    pub calls_per_minute: Option<u32>,
    /// Calls at the same time.
    pub concurrent_calls: Option<usize>,
}

impl TenantLimits {
    /// Reads `{"limits": {"calls_per_minute": 600, "concurrent_calls": 4}}`; what is no positive whole number is no limit.
    #[must_use]
    pub fn from_settings(settings: &serde_json::Value) -> Self {
        let limit = |name| settings.get("limits")?.get(name)?.as_u64().filter(|limit| *limit > 0);
        Self {
            calls_per_minute: limit("calls_per_minute").and_then(|limit| limit.try_into().ok()),
            concurrent_calls: limit("concurrent_calls").and_then(|limit| limit.try_into().ok()),
        }
    }
}

/// Why a call was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its tenant calls more often than it may; when it may again.
    TooOften { retry_after: Duration },
    /// More calls wait than can be served soon.
    Overloaded,
}

/// Lets calls in.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    options: AdmissionOptions,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    waiting: usize,
    tenants: HashMap<TenantId, Tenant>,
    /// Tenants with calls that wait, in the order of their turns.
    turns: VecDeque<TenantId>,
    /// The last two tenants that called, and when.
    latest: [Option<(TenantId, Instant)>; 2],
}

#[derive(Debug, Default)]
struct Tenant {
    running: usize,
    queue: VecDeque<oneshot::Sender<Permit>>,
    limits: TenantLimits,
    rate: Option<Rate>,
}

/// A tenant that has not called for so long takes part in no sharing.
const QUIET: Duration = Duration::from_secs(2);

impl Tenant {
    /// Nothing is to be remembered of it.
    fn is_idle(&self) -> bool {
        self.running == 0 && self.queue.is_empty() && self.limits == TenantLimits::default()
    }
}

impl State {
    fn note(&mut self, tenant_id: TenantId) {
        let now = Some((tenant_id, Instant::now()));
        match self.latest[0] {
            Some((latest, _)) if latest != tenant_id => self.latest = [now, self.latest[0]],
            _ => self.latest[0] = now,
        }
    }

    /// Whether another tenant has called of late.
    fn others_call(&self, tenant_id: TenantId) -> bool {
        self.latest.iter().flatten().any(|(other, at)| *other != tenant_id && at.elapsed() < QUIET)
    }
}

/// Leave to run, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Admission,
    tenant_id: TenantId,
}

impl Admission {
    pub(super) fn new(options: AdmissionOptions) -> Self {
        Self { options, state: Arc::default() }
    }

    /// Takes note of a tenant's settings, for its next calls.
    pub(super) fn learn(&self, tenant_id: TenantId, limits: TenantLimits) {
        let mut state = self.state();
        if state.tenants.get(&tenant_id).map_or(TenantLimits::default(), |tenant| tenant.limits) == limits {
            return;
        }
        let tenant = state.tenants.entry(tenant_id).or_default();
        tenant.limits = limits;
        tenant.rate = limits.calls_per_minute.and_then(Rate::per_minute);
    }

    /// Waits for its turn; a refusal comes at once. Whoever stops waiting has given up its place.
    pub(super) async fn enter(&self, tenant_id: TenantId) -> Result<Permit, Refused> {
        let turn = {
            let mut state = self.state();
            state.note(tenant_id);
            let most = self.most_of(&state, tenant_id);
            let State { running, waiting, tenants, turns, .. } = &mut *state;
            let tenant = tenants.entry(tenant_id).or_default();
            if let Some(retry_after) = tenant.rate.as_ref().and_then(Rate::refuses) {
                return Err(Refused::TooOften { retry_after });
            }
            if tenant.queue.is_empty() && *running < self.options.running && tenant.running < most {
                tenant.running += 1;
                *running += 1;
                metering::turns(*running, *waiting);
                return Ok(self.permit(tenant_id));
            }
            let is_full = |tenant: &Tenant, waiting: usize| {
                tenant.queue.len() >= self.options.waiting_of_tenant || waiting >= self.options.waiting
            };
            if is_full(tenant, *waiting) {
                // Those who gave up make room.
                *waiting = 0;
                for tenant in tenants.values_mut() {
                    tenant.queue.retain(|waiter| !waiter.is_closed());
                    *waiting += tenant.queue.len();
                }
            }
            let tenant = tenants.entry(tenant_id).or_default();
            if is_full(tenant, *waiting) {
                return Err(Refused::Overloaded);
            }
            let (sender, turn) = oneshot::channel();
            tenant.queue.push_back(sender);
            if !turns.contains(&tenant_id) {
                turns.push_back(tenant_id);
            }
            *waiting += 1;
            metering::turns(*running, *waiting);
            turn
        };
        // The sender is dropped unsent only with the admission itself.
        turn.await.map_err(|_| Refused::Overloaded)
    }

    /// How many calls of that tenant may run now.
    fn most_of(&self, state: &State, tenant_id: TenantId) -> usize {
        let AdmissionOptions { running, running_of_tenant, .. } = self.options;
        let share = if state.others_call(tenant_id) { running_of_tenant } else { running.saturating_sub(1).max(1) };
        let limits = state.tenants.get(&tenant_id).map(|tenant| tenant.limits).unwrap_or_default();
        limits.concurrent_calls.unwrap_or(usize::MAX).min(share)
    }

    fn permit(&self, tenant_id: TenantId) -> Permit {
        Permit { admission: self.clone(), tenant_id }
    }

    fn leave(&self, tenant_id: TenantId) {
        let mut state = self.state();
        state.running = state.running.saturating_sub(1);
        if let Some(tenant) = state.tenants.get_mut(&tenant_id) {
            tenant.running = tenant.running.saturating_sub(1);
            if tenant.is_idle() {
                state.tenants.remove(&tenant_id);
            }
        }
        let granted = self.grant(&mut state);
        metering::turns(state.running, state.waiting);
        // A permit whose waiter has gone comes back by being dropped, which takes the lock again.
        drop(state);
        for (sender, permit) in granted {
            drop(sender.send(permit));
        }
    }

    /// Gives what is free to those who wait: of the tenants whose turn may come, to the one that runs the fewest calls.
    fn grant(&self, state: &mut State) -> Vec<(oneshot::Sender<Permit>, Permit)> {
        let mut granted = Vec::new();
        while state.running < self.options.running {
            let next = state.turns.iter().enumerate().filter_map(|(place, tenant_id)| {
                let tenant = state.tenants.get(tenant_id)?;
                (tenant.running < self.most_of(state, *tenant_id)).then_some((tenant.running, place))
            });
            let Some((_, place)) = next.min() else { break };
            let Some(tenant_id) = state.turns.remove(place) else { break };
            let Some(tenant) = state.tenants.get_mut(&tenant_id) else { continue };
            // Those who gave up have no turn.
            let sender = loop {
                let Some(sender) = tenant.queue.pop_front() else { break None };
                state.waiting = state.waiting.saturating_sub(1);
                if !sender.is_closed() {
                    break Some(sender);
                }
            };
            if let Some(sender) = sender {
                tenant.running += 1;
                state.running += 1;
                granted.push((sender, self.permit(tenant_id)));
            }
            if !tenant.queue.is_empty() {
                state.turns.push_back(tenant_id);
            } else if tenant.is_idle() {
                state.tenants.remove(&tenant_id);
            }
        }
        granted
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.leave(self.tenant_id);
    }
}

#[cfg(test)]
mod tests;
