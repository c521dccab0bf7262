//! A bus that never blocks the sender.
//!
//! Each listener has a queue that is bounded in bytes, and a set of event kinds that it wants. If a queue is full,
//! events of a lower rank ([`EventKind::rank`]) are dropped for events of a higher one; dropped events are counted. So
//! a slow log cannot slow a job, and a flood of output cannot displace a failure. Every event carries the time at which
//! it was sent, because a listener may read it much later.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use super::figures::Figures;
use super::kind::{Event, EventKind, RANKS};
use super::live::LiveRuns;
use crate::clock::{Clock, SystemClock};
use crate::text::redact::Redactor;

/// The sending end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bus {
    shared: Arc<BusState>,
}

#[derive(Debug)]
struct BusState {
    /// All kinds that any listener wants.
    interest: AtomicU32,
    subscriptions: Vec<Subscription>,
    clock: Arc<dyn Clock>,
    figures: Figures,
    live: LiveRuns,
    /// Hides in what jobs print.
    redactor: RwLock<Arc<Redactor>>,
}

#[derive(Debug)]
struct Subscription {
    interest: AtomicU32,
    queue: Arc<Queue>,
}

/// A receiving end.
#[derive(Debug)]
pub struct Listener {
    queue: Arc<Queue>,
}

/// The result of waiting for an event.
#[derive(Debug)]
#[non_exhaustive]
pub enum Received {
    /// An event, and when it was sent, in milliseconds since the Unix epoch.
    Event(i64, Event),
    /// No event came in time.
    TimedOut,
    /// No more events will come: the bus was closed, or all senders were dropped.
    Closed,
}

/// A queue between the senders and one listener. The lock is held for a push or a pop, never during I/O.
#[derive(Debug)]
struct Queue {
    state: Mutex<QueueState>,
    arrived: Condvar,
    /// The largest number of queued bytes.
    capacity: usize,
}

#[derive(Debug, Default)]
struct QueueState {
    /// The queued events by rank, each rank in the order of sending.
    waiting: [RankQueue; RANKS],
    bytes: usize,
    sent: u64,
    /// How many were dropped since they were asked for last, and in all.
    lost: u64,
    lost_in_all: u64,
    closed: bool,
    /// Does the listener wait for something to arrive?
    listening: bool,
}

#[derive(Debug, Default)]
struct RankQueue {
    events: VecDeque<QueuedEvent>,
    bytes: usize,
}

#[derive(Debug)]
struct QueuedEvent {
    number: u64,
    at_ms: i64,
    bytes: usize,
    event: Event,
}

impl Bus {
    /// A bus with one listener for each of these interests (a sum of [`EventKind::bit`]s), each with a queue of this
    /// capacity in bytes.
    #[must_use]
    pub fn new(interests: &[u32], capacity: usize) -> (Self, Vec<Listener>) {
        Self::timed(interests, capacity, Arc::new(SystemClock))
    }

    /// The same with another clock.
    #[must_use]
    pub fn timed(interests: &[u32], capacity: usize, clock: Arc<dyn Clock>) -> (Self, Vec<Listener>) {
        let (mut subscriptions, mut listeners) = (Vec::new(), Vec::new());
        for &interest in interests {
            let queue = Arc::new(Queue { state: Mutex::default(), arrived: Condvar::new(), capacity });
            subscriptions.push(Subscription { interest: AtomicU32::new(interest), queue: Arc::clone(&queue) });
            listeners.push(Listener { queue });
        }
        let state = BusState {
            interest: AtomicU32::new(interests.iter().fold(0, |all, one| all | one)),
            subscriptions,
            clock,
            figures: Figures::default(),
            live: LiveRuns::default(),
            redactor: RwLock::default(),
        };
        (Self { shared: Arc::new(state) }, listeners)
    }

    /// A bus without listeners.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(&[], 1).0
    }

    /// Does a listener want events of this kind? On a hot path, check this before building an event.
    #[must_use]
    pub fn wants(&self, kind: EventKind) -> bool {
        self.shared.interest.load(Ordering::Relaxed) & kind.bit() != 0
    }

    /// Changes the interest of a listener, given by its index in the list that [`new`](Self::new) returned.
    pub fn set_interest(&self, listener: usize, interest: u32) {
        if let Some(subscription) = self.shared.subscriptions.get(listener) {
            subscription.interest.store(interest, Ordering::Relaxed);
        }
        let all = self
            .shared
            .subscriptions
            .iter()
            .fold(0, |all, subscription| all | subscription.interest.load(Ordering::Relaxed));
        self.shared.interest.store(all, Ordering::Relaxed);
    }

    /// Sends an event to all listeners that want it, without waiting. Texts in it that are too long are cut.
    pub fn emit(&self, mut event: Event) {
        let bit = event.kind().bit();
        let mut wanting = self.shared.subscriptions.iter().filter(|subscription| subscription.wants(bit)).peekable();
        if wanting.peek().is_none() {
            return;
        }
        event.bound();
        let at_ms = self.shared.clock.now_ms();
        while let Some(subscription) = wanting.next() {
            if wanting.peek().is_none() {
                return subscription.queue.push(at_ms, event);
            }
            subscription.queue.push(at_ms, event.clone());
        }
    }

    /// What metrics know of this process.
    #[must_use]
    pub fn figures(&self) -> &Figures {
        &self.shared.figures
    }

    /// What the runs of this process print, and how far they are.
    #[must_use]
    pub fn live(&self) -> &LiveRuns {
        &self.shared.live
    }

    /// Hides the values of these keys from now on in what jobs print.
    pub fn hide(&self, keys: &[String]) {
        *self.shared.redactor.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Redactor::new(keys));
    }

    /// What hides in what jobs print.
    #[must_use]
    pub fn redactor(&self) -> Arc<Redactor> {
        Arc::clone(&self.shared.redactor.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The time by which events are dated, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.shared.clock.now_ms()
    }

    /// How many events each listener has missed so far, because its queue was full.
    #[must_use]
    pub fn dropped(&self) -> Vec<u64> {
        self.shared.subscriptions.iter().map(|subscription| subscription.queue.lock().lost_in_all).collect()
    }

    /// Closes the queue of one listener behind the events that were sent before, for one that ends before the others.
    pub fn close_listener(&self, listener: usize) {
        if let Some(subscription) = self.shared.subscriptions.get(listener) {
            subscription.queue.close();
        }
    }

    /// Closes every queue behind the events that were sent before. Does not wait for the listeners.
    pub fn close(&self) {
        self.shared.close();
    }
}

impl BusState {
    fn close(&self) {
        for subscription in &self.subscriptions {
            subscription.queue.close();
        }
    }
}

impl Drop for BusState {
    /// The last sender was dropped.
    fn drop(&mut self) {
        self.close();
    }
}

impl Subscription {
    fn wants(&self, bit: u32) -> bool {
        self.interest.load(Ordering::Relaxed) & bit != 0
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // A panic with the lock held leaves a consistent queue, because only an allocation can panic there.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    fn push(&self, at_ms: i64, event: Event) {
        let (rank, bytes) = (event.kind().rank(), event.weight());
        let mut state = self.lock();
        if state.closed {
            return;
        }
        let dropped = state.make_room(rank, bytes, self.capacity);
        if state.bytes.saturating_add(bytes) > self.capacity {
            state.lose(1);
        } else {
            state.put(rank, at_ms, bytes, event);
        }
        let listening = state.listening;
        drop(state);
        // The dropped events are freed after the lock is released.
        drop(dropped);
        if listening {
            self.arrived.notify_one();
        }
    }
}

impl QueueState {
    /// Removes events of a lower rank, lowest rank and oldest first, until there is room for these bytes. Removes
    /// nothing if that would not be enough.
    fn make_room(&mut self, rank: usize, bytes: usize, capacity: usize) -> Vec<QueuedEvent> {
        let mut dropped = Vec::new();
        let lower: usize = self.waiting.iter().take(rank).map(|lower| lower.bytes).sum();
        if (self.bytes - lower).saturating_add(bytes) > capacity {
            return dropped;
        }
        for lower in self.waiting.iter_mut().take(rank) {
            while self.bytes + bytes > capacity {
                let Some(oldest) = lower.events.pop_front() else { break };
                lower.bytes -= oldest.bytes;
                self.bytes -= oldest.bytes;
                dropped.push(oldest);
            }
        }
        self.lose(dropped.len());
        dropped
    }

    fn lose(&mut self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.lost += count;
        self.lost_in_all += count;
    }

    fn put(&mut self, rank: usize, at_ms: i64, bytes: usize, event: Event) {
        let Some(rank) = self.waiting.get_mut(rank) else { return };
        self.sent += 1;
        self.bytes += bytes;
        rank.bytes += bytes;
        rank.events.push_back(QueuedEvent { number: self.sent, at_ms, bytes, event });
    }

    /// The event that was sent first.
    fn take(&mut self) -> Option<(i64, Event)> {
        let first = |rank: &&mut RankQueue| rank.events.front().map_or(u64::MAX, |waiting| waiting.number);
        let rank = self.waiting.iter_mut().min_by_key(first)?;
        let QueuedEvent { at_ms, bytes, event, .. } = rank.events.pop_front()?;
        rank.bytes -= bytes;
        self.bytes -= bytes;
        Some((at_ms, event))
    }
}

impl Listener {
    /// Waits for the next event, for at most `patience`, or without limit.
    #[must_use]
    pub fn wait(&self, patience: Option<Duration>) -> Received {
        let mut state = self.queue.lock();
        let mut late = false;
        loop {
            if let Some((at_ms, event)) = state.take() {
                return Received::Event(at_ms, event);
            }
            if state.closed {
                return Received::Closed;
            }
            if late {
                return Received::TimedOut;
            }
            state.listening = true;
            state = match patience {
                None => self.queue.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    let waited = self.queue.arrived.wait_timeout(state, patience);
                    let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    late = timeout.timed_out();
                    state
                }
            };
            state.listening = false;
        }
    }

    /// Waits for the next event; `None` if the bus was closed or every sender was dropped.
    #[must_use]
    pub fn next(&self) -> Option<Event> {
        match self.wait(None) {
            Received::Event(_, event) => Some(event),
            Received::TimedOut | Received::Closed => None,
        }
    }

    /// The next event if one is there.
    #[must_use]
    pub fn try_next(&self) -> Option<Event> {
        self.queue.lock().take().map(|(_, event)| event)
    }

    /// The number of events that were dropped since the last call.
    #[must_use]
    pub fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.queue.lock().lost)
    }
}

#[cfg(test)]
mod tests;
