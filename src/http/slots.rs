//! The connections that are open, of which there are only so many.
//!
//! Who only holds a connection must not keep out who has a request. So one gives way to a new one:
//!
//! 1. of those that wait for a request, and of those whose caller has no rights here, the one that has done so longest;
//! 2. else, of those whose client takes nothing of its answer or hardly sends its body, the one that has done so longest.
//!
//! If all have rights and go on, a new one finds no slot. It gets a brief place, in which it learns that, and in which
//! everybody may still ask for the health of the daemon. Of those the oldest gives way, whatever it does, so that they are never
//! all taken: who asks for health has its answer long before as many others have come.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::patience::Patience;

/// For so long it is not told again that there are too many.
const QUIET: Duration = Duration::from_secs(600);

/// The open connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Slots(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    most: usize,
    /// Are they brief?
    brief: bool,
    connections: Vec<Weak<Slot>>,
    told: Option<Instant>,
}

/// The place of one connection, which is free again when the last holder drops it.
#[derive(Debug)]
pub(super) struct Slot {
    /// How long it may take.
    pub(super) patience: Patience,
    /// Wakes it when it is to end.
    pub(super) ending: Notify,
    /// Has its caller any rights? That of the last request counts.
    rights: AtomicBool,
    brief: bool,
}

impl Slot {
    fn new(brief: bool) -> Arc<Self> {
        let patience = if brief { Patience::brief() } else { Patience::begin() };
        Arc::new(Self { patience, ending: Notify::new(), rights: AtomicBool::new(false), brief })
    }

    /// The caller of its request has rights, or none. In a brief place nobody has any.
    pub(super) fn has_rights(&self, has: bool) {
        self.rights.store(has && !self.brief, Ordering::Relaxed);
    }

    /// Since when it has kept others out without need: it waits, or nobody knows its caller.
    fn idles_since(&self) -> Option<Instant> {
        if self.rights.load(Ordering::Relaxed) { self.patience.waits_since() } else { Some(self.patience.accepted()) }
    }
}

/// What became of a new connection.
#[derive(Debug)]
pub(super) enum Admitted {
    /// There was room.
    Yes(Arc<Slot>),
    /// Another one was closed for it. True if people should be told.
    For(Arc<Slot>, bool),
    /// All others have rights and requests. True if people should be told.
    No(bool),
}

impl Slots {
    /// So many at most.
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Taken { most, brief: false, connections: Vec::new(), told: None })))
    }

    /// Brief places, so many at most.
    pub(super) fn brief(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Taken { most, brief: true, connections: Vec::new(), told: None })))
    }

    /// Takes one for a new connection.
    pub(super) fn take(&self) -> Admitted {
        let mut taken = self.lock();
        taken.connections.retain(|slot| slot.strong_count() > 0);
        let is_full = taken.connections.len() >= taken.most;
        let gave_way = is_full && taken.close_one();
        let tells = is_full && taken.tells();
        if is_full && !gave_way {
            return Admitted::No(tells);
        }
        let slot = Slot::new(taken.brief);
        taken.connections.push(Arc::downgrade(&slot));
        if gave_way { Admitted::For(slot, tells) } else { Admitted::Yes(slot) }
    }

    /// Is any connection open?
    pub(super) fn is_empty(&self) -> bool {
        self.lock().connections.iter().all(|slot| slot.strong_count() == 0)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn close_one(&mut self) -> bool {
        let longest = |since: fn(&Slot) -> Option<Instant>| {
            let since = |(at, slot): (usize, &Weak<Slot>)| Some((since(&*slot.upgrade()?)?, at));
            self.connections.iter().enumerate().filter_map(since).min()
        };
        let drags = |slot: &Slot| slot.patience.drags_since();
        let Some((_, at)) = longest(Slot::idles_since).or_else(|| longest(drags)) else { return false };
        let slot = self.connections.swap_remove(at).upgrade();
        slot.is_some_and(|slot| {
            let closed = if slot.rights.load(Ordering::Relaxed) && slot.patience.drags_since().is_none() {
                // One that has just got its request stays, beyond the number.
                slot.patience.close()
            } else {
                slot.patience.end();
                true
            };
            slot.ending.notify_one();
            closed
        })
    }

    fn tells(&mut self) -> bool {
        let tells = self.told.is_none_or(|told| told.elapsed() >= QUIET);
        if tells {
            self.told = Some(Instant::now());
        }
        tells
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn slot(slots: &Slots) -> Option<Arc<Slot>> {
        match slots.take() {
            Admitted::Yes(slot) | Admitted::For(slot, _) => Some(slot),
            Admitted::No(_) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_longest_gives_way_and_who_has_a_request_does_not() {
        let slots = Slots::new(3);
        let mut all = Vec::new();
        for _ in 0..3 {
            all.push(slot(&slots).unwrap());
            all.last().unwrap().has_rights(true);
            advance(Duration::from_secs(1)).await;
        }
        all[0].patience.busy();
        let new = slots.take();
        assert!(matches!(new, Admitted::For(_, true)), "{new:?}");
        let closed: Vec<_> = all.iter().map(|slot| slot.patience.is_closed()).collect();
        assert_eq!(closed, [false, true, false]);
        let Admitted::For(new, _) = new else { unreachable!("just matched") };
        new.has_rights(true);
        [&new, &all[2]].into_iter().for_each(|slot| slot.patience.busy());
        assert!(matches!(slots.take(), Admitted::No(false)), "it was told a moment ago");
        advance(QUIET).await;
        assert!(matches!(slots.take(), Admitted::No(true)));
        all.clear();
        assert!(matches!(slots.take(), Admitted::Yes(_)));
        drop(new);
        assert!(slots.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_give_way_whatever_they_do_and_then_those_who_drag() {
        let slots = Slots::new(3);
        let mut all = Vec::new();
        for has_rights in [true, false, false] {
            let slot = slot(&slots).unwrap();
            slot.patience.busy();
            slot.has_rights(has_rights);
            all.push(slot);
            advance(Duration::from_secs(1)).await;
        }
        let closed = |all: &[Arc<Slot>]| all.iter().map(|slot| slot.patience.is_closed()).collect::<Vec<_>>();
        for expected in [[false, true, false], [false, true, true]] {
            let new = slot(&slots).unwrap();
            new.patience.busy();
            new.has_rights(true);
            all.push(new);
            assert_eq!(closed(&all[..3]), expected, "the oldest stranger");
        }
        assert!(slot(&slots).is_none(), "all have rights and requests");
        all[3].patience.has_no_room();
        advance(Duration::from_secs(3)).await;
        assert!(slot(&slots).is_some());
        assert_eq!(closed(&all), [false, true, true, true, false], "its client reads nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn of_brief_places_the_oldest_gives_way_and_a_new_one_always_finds_one() {
        let slots = Slots::brief(2);
        let mut all = Vec::new();
        for _ in 0..5 {
            let slot = slot(&slots).unwrap();
            slot.patience.busy();
            slot.has_rights(true);
            all.push(slot);
            advance(Duration::from_millis(1)).await;
        }
        let closed: Vec<_> = all.iter().map(|slot| slot.patience.is_closed()).collect();
        assert_eq!(closed, [true, true, true, false, false]);
    }
}
