//! A bus that never blocks the sender.
//!
//! Each listener has a bounded queue and says which kinds of events it wants. Where a queue is
//! full the event is dropped for that listener and counted; a slow log cannot slow a job.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::kind::{Event, Kind};

/// The sending end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// All kinds that any listener wants.
    interest: AtomicU32,
    outlets: Vec<Outlet>,
}

#[derive(Debug)]
struct Outlet {
    interest: AtomicU32,
    sender: SyncSender<Option<Event>>,
    lost: Arc<AtomicU64>,
}

/// A receiving end.
#[derive(Debug)]
pub struct Listener {
    receiver: Receiver<Option<Event>>,
    lost: Arc<AtomicU64>,
}

impl Bus {
    /// A bus with one listener for each of these interests (a sum of [`Kind::bit`]s), each with a
    /// queue of `depth` events.
    #[must_use]
    pub fn new(interests: &[u32], depth: usize) -> (Self, Vec<Listener>) {
        let (mut outlets, mut listeners) = (Vec::new(), Vec::new());
        for &interest in interests {
            let (sender, receiver) = sync_channel(depth);
            let lost = Arc::new(AtomicU64::new(0));
            outlets.push(Outlet { interest: AtomicU32::new(interest), sender, lost: Arc::clone(&lost) });
            listeners.push(Listener { receiver, lost });
        }
        let interest = AtomicU32::new(interests.iter().fold(0, |all, one| all | one));
        (Self { shared: Arc::new(Shared { interest, outlets }) }, listeners)
    }

    /// A bus nobody listens to.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(&[], 1).0
    }

    /// Does anybody want events of this kind? Ask before building one on a hot path.
    #[must_use]
    pub fn wants(&self, kind: Kind) -> bool {
        self.shared.interest.load(Ordering::Relaxed) & kind.bit() != 0
    }

    /// Changes what the listener of this number wants, as [`new`](Self::new) counted them from 0.
    pub fn set_interest(&self, listener: usize, interest: u32) {
        if let Some(outlet) = self.shared.outlets.get(listener) {
            outlet.interest.store(interest, Ordering::Relaxed);
        }
        let all = self.shared.outlets.iter().fold(0, |all, outlet| all | outlet.interest.load(Ordering::Relaxed));
        self.shared.interest.store(all, Ordering::Relaxed);
    }

    /// Sends an event to all who want it, without waiting.
    pub fn emit(&self, event: Event) {
        let bit = event.kind().bit();
        let mut wanting = self.shared.outlets.iter().filter(|outlet| outlet.wants(bit)).peekable();
        while let Some(outlet) = wanting.next() {
            if wanting.peek().is_none() {
                return outlet.send(event);
            }
            outlet.send(event.clone());
        }
    }

    /// Tells every listener that nothing more will come, behind all that was sent before. Waits for
    /// room in their queues; for the end of a process.
    pub fn close(&self) {
        for outlet in &self.shared.outlets {
            // A listener that is gone needs no telling.
            let _ = outlet.sender.send(None);
        }
    }
}

impl Outlet {
    fn wants(&self, bit: u32) -> bool {
        self.interest.load(Ordering::Relaxed) & bit != 0
    }

    fn send(&self, event: Event) {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(Some(event)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Listener {
    /// Waits for the next event; `None` when the bus was closed or every sender is gone.
    #[must_use]
    pub fn next(&self) -> Option<Event> {
        self.receiver.recv().ok().flatten()
    }

    /// The next event if one is there.
    #[must_use]
    pub fn try_next(&self) -> Option<Event> {
        self.receiver.try_recv().ok().flatten()
    }

    /// How many events were dropped since this was last asked.
    #[must_use]
    pub fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_gets_what_it_wants_and_a_full_one_loses_what_it_is_told_of() {
        let (bus, listeners) = Bus::new(&[Kind::Notice.bit(), Kind::WorkerPause.bit() | Kind::Notice.bit()], 2);
        assert!(bus.wants(Kind::Notice) && !bus.wants(Kind::Job));
        bus.emit(Event::WorkerPause);
        for text in ["a", "b", "c"] {
            bus.emit(Event::Notice { text: text.into() });
        }
        let texts = |listener: &Listener| {
            std::iter::from_fn(|| listener.try_next())
                .map(|event| match event {
                    Event::Notice { text } => text,
                    other => format!("{:?}", other.kind()),
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(&listeners[0]), ["a", "b"]);
        assert_eq!(listeners[0].take_lost(), 1);
        assert_eq!(texts(&listeners[1]), ["WorkerPause", "a"]);
        assert_eq!(listeners[1].take_lost(), 2);
        bus.set_interest(1, Kind::Job.bit());
        assert!(bus.wants(Kind::Job) && bus.wants(Kind::Notice) && !bus.wants(Kind::WorkerPause));
        bus.emit(Event::Notice { text: "last".into() });
        bus.close();
        assert!(listeners[0].next().is_some() && listeners[0].next().is_none());
        assert!(listeners[1].next().is_none(), "it does not want notices any more");
    }
}
