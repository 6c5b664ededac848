use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::identity::{Caller, TenantId, UserId};

/// What something may take of the memory: so many bytes in all, and so many of one user of a tenant.
#[derive(Clone)]
pub(super) struct Rooms(Arc<Shared>);

struct Shared {
    most: usize,
    most_of_principal: usize,
    /// Where it is told how much is taken.
    figure: &'static str,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_principal: HashMap<(TenantId, UserId), usize>,
}

/// What one body or answer takes, given back when it is dropped.
pub(super) struct Room {
    rooms: Rooms,
    principal: (TenantId, UserId),
    bytes: usize,
}

/// Whose share is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    OfPrincipal,
    OfAll,
}

impl Rooms {
    pub(super) fn new(most: usize, most_of_principal: usize, figure: &'static str) -> Self {
        Self(Arc::new(Shared { most, most_of_principal, figure, taken: Mutex::default() }))
    }

    /// Room for this user's, of no bytes yet.
    pub(super) fn room(&self, caller: &Caller) -> Room {
        Room { rooms: self.clone(), principal: (caller.tenant_id, caller.user_id.clone()), bytes: 0 }
    }

    /// Whether this user's are as much as they may be, or all are and this user has a part in it.
    pub(super) fn is_full_for(&self, caller: &Caller) -> Option<Full> {
        let taken = self.taken();
        let theirs = *taken.by_principal.get(&(caller.tenant_id, caller.user_id.clone()))?;
        if theirs >= self.0.most_of_principal {
            return Some(Full::OfPrincipal);
        }
        (taken.all >= self.0.most).then_some(Full::OfAll)
    }

    #[cfg(test)]
    pub(super) fn taken_bytes(&self) -> usize {
        let taken = self.taken();
        assert_eq!(taken.by_principal.values().sum::<usize>(), taken.all);
        taken.all
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, taken: &Taken) {
        metrics::gauge!(self.0.figure).set(taken.all as f64);
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

    /// Takes so many more, if what is beyond `free` of them fits; whether it did.
    pub(super) fn hold(&mut self, more: usize, free: usize) -> bool {
        let mut taken = self.rooms.taken();
        let fits = more <= free || self.missing(&taken, self.bytes + more - free).is_ok();
        if fits {
            self.rooms.take(&mut taken, &self.principal, more);
            self.bytes += more;
        }
        fits
    }

    /// Gives all back.
    pub(super) fn empty(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes == 0 {
            return;
        }
        let mut taken = self.rooms.taken();
        taken.all -= bytes;
        if let Some(theirs) = taken.by_principal.get_mut(&self.principal) {
            *theirs -= bytes;
            if *theirs == 0 {
                taken.by_principal.remove(&self.principal);
            }
        }
        self.rooms.tell(&taken);
    }

    /// How much is missing to so many bytes, if it is there.
    fn missing(&self, taken: &Taken, bytes: usize) -> Result<usize, Full> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(0);
        }
        let Shared { most, most_of_principal, .. } = *self.rooms.0;
        if taken.by_principal.get(&self.principal).copied().unwrap_or_default() + more > most_of_principal {
            return Err(Full::OfPrincipal);
        }
        if taken.all + more > most { Err(Full::OfAll) } else { Ok(more) }
    }
}

impl Rooms {
    fn take(&self, taken: &mut Taken, principal: &(TenantId, UserId), more: usize) {
        if more > 0 {
            taken.all += more;
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
