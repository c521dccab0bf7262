//! The connections that are open, of which there are only so many.
//!
//! Who only holds a connection must not keep out who has a request. So the connection that has waited longest for a request
//! gives way to a new one; only if all have requests is a new one turned away.

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
}

/// What became of a new connection.
#[derive(Debug)]
pub(super) enum Admitted {
    /// There was room.
    Yes(Arc<Slot>),
    /// Another one was closed for it. True if people should be told.
    For(Arc<Slot>, bool),
    /// All others have requests. True if people should be told.
    No(bool),
}

impl Slots {
    /// So many at most.
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Taken { most, connections: Vec::new(), told: None })))
    }

    /// Takes one for a new connection.
    pub(super) fn take(&self) -> Admitted {
        let mut taken = self.lock();
        taken.connections.retain(|slot| slot.strong_count() > 0);
        let is_full = taken.connections.len() >= taken.most;
        let gave_way = is_full && taken.close_longest_waiting();
        let tells = is_full && taken.tells();
        if is_full && !gave_way {
            return Admitted::No(tells);
        }
        let slot = Arc::new(Slot { patience: Patience::begin(), ending: Notify::new() });
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
    fn close_longest_waiting(&mut self) -> bool {
        let waits = |(at, slot): (usize, &Weak<Slot>)| Some((slot.upgrade()?.patience.waits_since()?, at));
        let Some((_, at)) = self.connections.iter().enumerate().filter_map(waits).min() else { return false };
        let slot = self.connections.swap_remove(at).upgrade();
        // One that has just got its request stays, beyond the number.
        slot.is_some_and(|slot| {
            let closed = slot.patience.close();
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
            advance(Duration::from_secs(1)).await;
        }
        all[0].patience.busy();
        let new = slots.take();
        assert!(matches!(new, Admitted::For(_, true)), "{new:?}");
        let closed: Vec<_> = all.iter().map(|slot| slot.patience.is_closed()).collect();
        assert_eq!(closed, [false, true, false]);
        let Admitted::For(new, _) = new else { unreachable!("just matched") };
        [&new, &all[2]].into_iter().for_each(|slot| slot.patience.busy());
        assert!(matches!(slots.take(), Admitted::No(false)), "it was told a moment ago");
        advance(QUIET).await;
        assert!(matches!(slots.take(), Admitted::No(true)));
        all.clear();
        assert!(matches!(slots.take(), Admitted::Yes(_)));
        drop(new);
        assert!(slots.is_empty());
    }
}
