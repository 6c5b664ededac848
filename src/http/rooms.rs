use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::identity::{Caller, TenantId, UserId};

/// What something may take of the memory: so many bytes in all, so many of one user of a tenant, and three quarters of all of one
/// tenant, so that others always find some.
#[derive(Clone)]
pub(super) struct Rooms(Arc<Shared>);

struct Shared {
    most: usize,
    most_of_tenant: usize,
    most_of_principal: usize,
    /// Whether one of a user who has no other may be more than a share.
    lets_one_alone: bool,
    /// Where it is told how much is taken.
    figure: &'static str,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_tenant: HashMap<TenantId, usize>,
    by_principal: HashMap<(TenantId, UserId), usize>,
}

/// What one body or answer takes, given back when it is dropped.
pub(super) struct Room {
    rooms: Rooms,
    principal: (TenantId, UserId),
    /// Taken.
    bytes: usize,
    /// Of them, what is there by now ([`Room::hold`]); the rest was taken beforehand.
    held_bytes: usize,
}

/// Whose share is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Principal,
    Tenant,
    All,
}

impl Rooms {
    pub(super) fn new(most: usize, most_of_principal: usize, figure: &'static str) -> Self {
        Self::with(most, most_of_principal, figure, false)
    }

    /// The same, but what a user has alone may be more than their share: there is no other way to have it.
    pub(super) fn letting_one_alone(most: usize, most_of_principal: usize, figure: &'static str) -> Self {
        Self::with(most, most_of_principal, figure, true)
    }

    fn with(most: usize, most_of_principal: usize, figure: &'static str, lets_one_alone: bool) -> Self {
        let most_of_tenant = (most / 4 * 3).max(most_of_principal);
        let taken = Mutex::default();
        Self(Arc::new(Shared { most, most_of_tenant, most_of_principal, lets_one_alone, figure, taken }))
    }

    /// Room for this user's, of no bytes yet.
    pub(super) fn room(&self, caller: &Caller) -> Room {
        Room { rooms: self.clone(), principal: (caller.tenant_id, caller.user_id.clone()), bytes: 0, held_bytes: 0 }
    }

    /// Whether this user's are as much as they may be, or all are, or all of the tenant's, and this user has a part in it.
    pub(super) fn is_full_for(&self, caller: &Caller) -> Option<Full> {
        let taken = self.taken();
        let theirs = *taken.by_principal.get(&(caller.tenant_id, caller.user_id.clone()))?;
        if theirs >= self.0.most_of_principal {
            return Some(Full::Principal);
        }
        if taken.of_tenant(caller.tenant_id) >= self.0.most_of_tenant {
            return Some(Full::Tenant);
        }
        (taken.all >= self.0.most).then_some(Full::All)
    }

    #[cfg(test)]
    pub(super) fn taken_bytes(&self) -> usize {
        let taken = self.taken();
        assert_eq!(taken.by_principal.values().sum::<usize>(), taken.all);
        assert_eq!(taken.by_tenant.values().sum::<usize>(), taken.all);
        taken.all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, taken: &Taken) {
        metrics::gauge!(self.0.figure).set(taken.all as f64);
    }
}

impl Taken {
    fn of_tenant(&self, tenant_id: TenantId) -> usize {
        self.by_tenant.get(&tenant_id).copied().unwrap_or_default()
    }
}

/// Takes so many bytes off; who has none left is not kept.
fn give_back<K: Eq + Hash>(shares: &mut HashMap<K, usize>, whose: &K, bytes: usize) {
    if let Some(theirs) = shares.get_mut(whose) {
        *theirs -= bytes;
        if *theirs == 0 {
            shares.remove(whose);
        }
    }
}

impl Room {
    /// Whether it could be of so many bytes by now.
    pub(super) fn fits(&self, bytes: usize) -> Result<(), Full> {
        self.missing(&self.rooms.taken(), bytes).map(drop)
    }

    /// Takes what is missing to so many bytes.
    pub(super) fn widen(&mut self, bytes: usize) -> Result<(), Full> {
        let mut taken = self.rooms.taken();
        let more = self.missing(&taken, bytes)?;
        self.rooms.take(&mut taken, &self.principal, more);
        drop(taken);
        self.bytes += more;
        Ok(())
    }

    /// Notes that so many more are there. What was not taken beforehand is taken now, if what is beyond `free` of it fits; whether it
    /// did.
    pub(super) fn hold(&mut self, more: usize, free: usize) -> bool {
        let mut taken = self.rooms.taken();
        let held_bytes = self.held_bytes + more;
        let more = held_bytes.saturating_sub(self.bytes);
        let fits = more <= free || self.missing(&taken, self.bytes + more - free).is_ok();
        if fits {
            self.rooms.take(&mut taken, &self.principal, more);
            self.bytes += more;
            self.held_bytes = held_bytes;
        }
        fits
    }

    /// Gives all back.
    pub(super) fn empty(&mut self) {
        self.held_bytes = 0;
        let bytes = std::mem::take(&mut self.bytes);
        if bytes == 0 {
            return;
        }
        let mut taken = self.rooms.taken();
        taken.all -= bytes;
        give_back(&mut taken.by_tenant, &self.principal.0, bytes);
        give_back(&mut taken.by_principal, &self.principal, bytes);
        self.rooms.tell(&taken);
    }

    /// How much is missing to so many bytes, if it is there.
    fn missing(&self, taken: &Taken, bytes: usize) -> Result<usize, Full> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(0);
        }
        let Shared { most, most_of_tenant, most_of_principal, lets_one_alone, .. } = *self.rooms.0;
        let theirs = taken.by_principal.get(&self.principal).copied().unwrap_or_default();
        let is_alone = lets_one_alone && theirs == self.bytes;
        if theirs + more > most_of_principal && !is_alone {
            return Err(Full::Principal);
        }
        if taken.of_tenant(self.principal.0) + more > most_of_tenant {
            return Err(Full::Tenant);
        }
        if taken.all + more > most { Err(Full::All) } else { Ok(more) }
    }
}

impl Rooms {
    fn take(&self, taken: &mut Taken, principal: &(TenantId, UserId), more: usize) {
        if more > 0 {
            taken.all += more;
            *taken.by_tenant.entry(principal.0).or_default() += more;
            *taken.by_principal.entry(principal.clone()).or_default() += more;
            self.tell(taken);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Scopes;

    fn caller(user: &str) -> Caller {
        let tenant_id = TenantId::from(uuid::Uuid::nil());
        Caller { tenant_id, user_id: UserId::parse(user).unwrap(), scopes: Scopes::all() }
    }

    #[test]
    fn what_was_taken_beforehand_is_not_taken_twice() {
        let rooms = Rooms::letting_one_alone(1_000, 100, "test");
        let mut room = rooms.room(&caller("ada"));
        room.widen(80).unwrap();
        assert_eq!(rooms.room(&caller("ada")).widen(30), Err(Full::Principal), "two may not both have it");
        assert!(room.hold(50, 0) && room.hold(40, 10));
        assert_eq!(rooms.taken_bytes(), 90);
        room.empty();
        assert!(room.hold(50, 0));
        assert_eq!(rooms.taken_bytes(), 50);
        drop(room);
        assert_eq!(rooms.taken_bytes(), 0);
    }

    #[test]
    fn one_alone_may_be_more_than_a_share_and_keeps_the_next_out() {
        let rooms = Rooms::letting_one_alone(1_000, 100, "test");
        let (mut alone, mut next) = (rooms.room(&caller("ada")), rooms.room(&caller("ada")));
        assert!(alone.hold(300, 0) && !next.hold(1, 0));
        assert_eq!(rooms.is_full_for(&caller("ada")), Some(Full::Principal));
        assert_eq!(rooms.room(&caller("bob")).widen(751), Err(Full::Tenant), "a quarter is for other tenants");
        assert_eq!(Rooms::new(1_000, 100, "test").room(&caller("ada")).widen(101), Err(Full::Principal));
    }
}
