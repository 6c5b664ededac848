//! How old what a replica has can be, by this machine's clock alone.
//!
//! Every so often the primary is asked how far its log goes. What had been committed when that was asked stands before the
//! place that it answers. A replica that has replayed up to there therefore has everything that was committed until then:
//! so old at most is what it shows, and no clock but ours is asked.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::Aside;
use super::moment::Moment;
use crate::db::system::replica::{LogHead, Origin};
use crate::identity::TenantId;

/// Places of the log that are kept. A replica that is further behind than the oldest of them is not told how far.
const MOST_HEADS: usize = 4_096;
/// Tenants whose last change is remembered; beyond, a change counts as everybody's.
const MOST_WRITERS: usize = 10_000;

/// What is known of the primary's log, of the replica, and of who changed what.
#[derive(Debug)]
pub(super) struct History {
    max_lag: Duration,
    /// When the primary was asked and what it answered, oldest first; both rise.
    heads: VecDeque<Head>,
    /// Whose log those are of, which is the primary's that was asked last.
    origin: Option<Origin>,
    /// Everything that was committed until then is on the replica.
    covered: Option<Instant>,
    /// Whether the replica can be asked at all.
    is_there: bool,
    writes: HashMap<TenantId, Instant>,
    /// A change that could not be remembered as its tenant's.
    any_write: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    asked: Instant,
    place: u64,
}

impl History {
    pub fn new(max_lag: Duration) -> Self {
        Self {
            max_lag,
            heads: VecDeque::new(),
            origin: None,
            covered: None,
            is_there: false,
            writes: HashMap::new(),
            any_write: None,
        }
    }

    /// The primary's log goes that far; `asked` is from before it was asked.
    pub fn note_head(&mut self, asked: Instant, head: LogHead) {
        let place = head.place;
        if self.origin.replace(head.origin) != Some(head.origin)
            || self.heads.back().is_some_and(|last| place < last.place)
        {
            // Another primary, whose log says nothing of what the replica has of the old one.
            self.heads.clear();
            self.covered = None;
        }
        if let Some(last) = self.heads.back_mut().filter(|last| place == last.place) {
            last.asked = asked;
            return;
        }
        self.heads.push_back(Head { asked, place });
        // Too old to be read at, and the replica is known to be further.
        let (max_lag, covered) = (self.max_lag, self.covered);
        let is_useless = |first: Head, second: Head| {
            asked.duration_since(first.asked) > max_lag && covered.is_some_and(|covered| second.asked <= covered)
        };
        while let (Some(first), Some(second)) = (self.heads.front().copied(), self.heads.get(1).copied()) {
            if self.heads.len() <= MOST_HEADS && !is_useless(first, second) {
                break;
            }
            self.heads.pop_front();
        }
    }

    /// The replica can be asked and has replayed up to that place.
    pub fn note_replay(&mut self, place: u64) {
        self.is_there = true;
        self.covered = self.covered_by(place).max(self.covered);
    }

    /// The replica cannot be asked, or is none of this primary.
    pub fn note_away(&mut self) {
        self.is_there = false;
        self.covered = None;
    }

    /// A change of that tenant was committed before `now`.
    pub fn note_write(&mut self, tenant_id: TenantId, now: Instant) {
        if self.writes.len() >= MOST_WRITERS && !self.writes.contains_key(&tenant_id) {
            // A change that is older than anything may be is on every replica that is asked.
            self.writes.retain(|_, written| now.duration_since(*written) <= self.max_lag);
            if self.writes.len() >= MOST_WRITERS {
                self.any_write = Some(now);
                return;
            }
        }
        self.writes.insert(tenant_id, now);
    }

    /// The moment of the tenant's last change that a reader must see.
    pub fn last_write(&self, tenant_id: TenantId) -> Option<Instant> {
        self.writes.get(&tenant_id).copied().max(self.any_write)
    }

    /// Whether to try the replica, by what was last heard of it.
    pub fn expect(&self, last_write: Option<Instant>, now: Instant) -> Result<(), Aside> {
        if !self.is_there {
            return Err(Aside::Away);
        }
        self.judge(self.covered, last_write, now).map(drop)
    }

    /// How old what was read at that moment is at most, if that is not too old and it was of the primary's log.
    pub fn staleness(&self, moment: Moment, last_write: Option<Instant>, now: Instant) -> Result<Duration, Aside> {
        // A place says something only in the log that it is a place of: after a failover one that stayed behind may be far ahead in
        // the old one.
        if self.origin != Some(moment.origin) {
            return Err(Aside::Stranger);
        }
        self.judge(self.covered_by(moment.place), last_write, now)
    }

    /// How long ago what the replica lacks was committed at most; `None` while that is not known.
    pub fn lag(&self, now: Instant) -> Option<Duration> {
        self.covered.map(|covered| now.duration_since(covered))
    }

    fn judge(&self, covered: Option<Instant>, last_write: Option<Instant>, now: Instant) -> Result<Duration, Aside> {
        let covered = covered.ok_or(Aside::Lagging)?;
        let staleness = now.duration_since(covered);
        if staleness > self.max_lag {
            return Err(Aside::Lagging);
        }
        // Asked after the change was committed, the log's end stands behind it.
        if last_write.is_some_and(|written| covered < written) {
            return Err(Aside::OwnWrite);
        }
        Ok(staleness)
    }

    /// Until when everything that was committed stands before that place of the log.
    fn covered_by(&self, place: u64) -> Option<Instant> {
        let reached = self.heads.partition_point(|head| head.place <= place);
        reached.checked_sub(1).map(|last| self.heads[last].asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn tenant() -> TenantId {
        TenantId::from(uuid::Uuid::new_v4())
    }

    fn head(place: u64) -> LogHead {
        LogHead { place, origin: Origin::default() }
    }

    fn moment(place: u64) -> Moment {
        Moment { place, origin: Origin::default() }
    }

    /// A history whose primary was asked at each second and answered 100, 200 …
    fn asked(times: u64) -> (History, Instant) {
        let (mut history, start) = (History::new(3 * SECOND), Instant::now());
        for second in 0..times {
            history.note_head(start + SECOND * u32::try_from(second).unwrap(), head((second + 1) * 100));
        }
        (history, start)
    }

    #[test]
    fn what_was_read_is_as_old_as_the_last_place_that_it_had_reached() {
        let (history, start) = asked(5);
        let now = start + 4 * SECOND + SECOND / 2;
        for (place, staleness) in [
            (500, Some(SECOND / 2)),
            (499, Some(SECOND * 3 / 2)),
            (9_999, Some(SECOND / 2)),
            (299, Some(SECOND * 7 / 2)),
            (99, None),
        ] {
            match history.staleness(moment(place), None, now) {
                Ok(found) => assert_eq!(Some(found), staleness, "{place}"),
                Err(aside) => {
                    assert!(matches!(aside, Aside::Lagging), "{place}: {aside}");
                    assert!(staleness.is_none_or(|staleness| staleness > 3 * SECOND), "{place}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_expected_of_a_replica_until_it_was_heard_of_nor_when_it_is_silent() {
        let (mut history, start) = asked(2);
        assert!(matches!(history.expect(None, start + SECOND), Err(Aside::Away)));
        history.note_replay(200);
        assert!(history.expect(None, start + SECOND).is_ok());
        assert!(matches!(history.expect(None, start + 5 * SECOND), Err(Aside::Lagging)), "silent for too long");
        history.note_away();
        assert!(matches!(history.expect(None, start + SECOND), Err(Aside::Away)));
        assert_eq!(history.lag(start), None);
    }

    #[test]
    fn a_log_that_stands_still_makes_nothing_old() {
        let (mut history, start) = asked(1);
        history.note_replay(100);
        for second in 1..60 {
            history.note_head(start + second * SECOND, head(100));
            history.note_replay(100);
        }
        assert_eq!(history.staleness(moment(100), None, start + 59 * SECOND).ok(), Some(Duration::ZERO));
        assert_eq!(history.heads.len(), 1);
    }

    #[test]
    fn a_tenant_reads_its_own_change_once_a_later_place_is_reached_and_others_need_not_wait() {
        let (mut history, start) = asked(2);
        let (writer, other) = (tenant(), tenant());
        history.note_replay(200);
        history.note_write(writer, start + SECOND + SECOND / 2);
        let now = start + 2 * SECOND;
        let expect = |history: &History, tenant| history.expect(history.last_write(tenant), now);
        assert!(matches!(expect(&history, writer), Err(Aside::OwnWrite)));
        assert!(expect(&history, other).is_ok());
        // Asked after the change, and not replayed yet.
        history.note_head(now, head(300));
        assert!(matches!(history.staleness(moment(299), history.last_write(writer), now), Err(Aside::OwnWrite)));
        assert!(history.staleness(moment(300), history.last_write(writer), now).is_ok());
    }

    #[test]
    fn another_primary_s_log_says_nothing_of_the_old_one_s_replica() {
        let (mut history, start) = asked(3);
        history.note_replay(300);
        let now = start + 3 * SECOND;
        history.note_head(now, head(50));
        assert!(matches!(history.expect(None, now), Err(Aside::Lagging)));
        assert!(matches!(history.staleness(moment(49), None, now), Err(Aside::Lagging)));
        // One that goes on where the old one ended is another all the same.
        history.note_replay(50);
        assert!(history.expect(None, now).is_ok());
        let next = Origin { timeline: 2, ..Origin::default() };
        history.note_head(now, LogHead { place: 60, origin: next });
        assert!(matches!(history.expect(None, now), Err(Aside::Lagging)));
        assert!(matches!(history.staleness(moment(9_999), None, now), Err(Aside::Stranger)), "the old one's replica");
        assert!(history.staleness(Moment { place: 60, origin: next }, None, now).is_ok());
    }

    #[test]
    fn a_place_in_another_log_says_nothing() {
        let (mut history, start) = asked(1);
        history.note_replay(100);
        let ours = Origin::default();
        for origin in
            [Origin { timeline: 2, ..ours }, Origin { system_identifier: 1, ..ours }, Origin { database_id: 1, ..ours }]
        {
            let found = history.staleness(Moment { place: 9_999, origin }, None, start);
            assert!(matches!(found, Err(Aside::Stranger)), "{origin:?}: {found:?}");
        }
        assert!(history.staleness(moment(100), None, start).is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_forgets_in_favour_of_the_primary() {
        let (mut history, start) = (History::new(SECOND), Instant::now());
        for writer in 0..MOST_WRITERS + 5 {
            history.note_write(tenant(), start);
            assert!(history.writes.len() <= MOST_WRITERS, "{writer}");
        }
        assert_eq!(history.last_write(tenant()), Some(start), "a change that nobody remembers is everybody's");
        // Those before are old by now.
        history.note_write(tenant(), start + 2 * SECOND);
        assert_eq!(history.writes.len(), 1);
        for at in 0..2 * MOST_HEADS {
            history.note_head(start + SECOND * u32::try_from(at).unwrap(), head(at as u64));
        }
        assert_eq!(history.heads.len(), MOST_HEADS);
    }
}
