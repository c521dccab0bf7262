//! What the parts of a pool share on the core's thread.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::findings::Findings;
use super::hooked_run::Performed;
use super::hunger::Hunger;
use super::lease::Lease;
use super::orders::Orders;
use super::slots::{Job, LANES, Slots};
use super::timeouts::Timeouts;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::element::queues::QueuePatterns;
use crate::event::{Bus, Event};
use crate::handler::contract::Stop;
use crate::handler::dispatch::Dispatch;
use crate::job::{ClaimToken, QueueName};
use crate::plugin::ending::CrashPolicy;
use crate::plugin::registry::Plugins;
use crate::store::handle::Store;
use crate::store::role;
use crate::supervise::pulse::Pulses;

/// After so many jobs of unknown classes from one queue, advice is given.
const UNKNOWN_BEFORE_ADVICE: u64 = 10;

/// A run that ended on the handlers' runtime.
pub(super) struct Finished {
    pub(super) number: usize,
    pub(super) claim: ClaimToken,
    pub(super) performed: Performed,
}

/// The shared part. Single-threaded: cells, never borrowed across an await.
pub(super) struct Core {
    pub(super) instance: Arc<str>,
    pub(super) slots: RefCell<Slots>,
    pub(super) patterns: RefCell<QueuePatterns>,
    /// The queues that were known when the waker last looked.
    pub(super) known: RefCell<Vec<QueueName>>,
    /// The queues the patterns stand for at present, in order.
    pub(super) queues: RefCell<Arc<[QueueName]>>,
    pub(super) config: RefCell<Arc<Config>>,
    pub(super) dispatch: RefCell<Arc<Dispatch>>,
    /// The plugins in code that tasks may list.
    pub(super) plugins: Arc<Plugins>,
    pub(super) policy: Cell<CrashPolicy>,
    pub(super) kill_grace: Cell<Duration>,
    pub(super) store: Store<role::Pool>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) bus: Bus,
    pub(super) handlers: Handle,
    /// Who turns in this process.
    pub(super) pulses: Pulses,

    pub(super) orders: Orders,
    pub(super) lease: Lease,
    pub(super) hunger: Hunger,
    /// Where runs on the handlers' runtime report.
    pub(super) finished: [mpsc::UnboundedSender<Finished>; LANES],
    /// Runs that are watched for taking too long.
    pub(super) timeouts: Timeouts,
    /// A retiring slot may have become idle.
    pub(super) retired: Notify,
    /// The fastest that any held lock runs out.
    pub(super) shortest_lock_s: Cell<Option<u64>>,
    /// Notified when `shortest_lock_s` shrinks.
    pub(super) lock_taken: Notify,
    /// The queues or bounds were changed: for the waker and for the manager.
    pub(super) look_anew: Notify,
    pub(super) reconsider: Notify,
    /// How many jobs of unknown classes each queue brought.
    pub(super) unknown: RefCell<HashMap<QueueName, u64>>,
    /// Whether the store answered last time, so that an outage is told once.
    pub(super) outage: Cell<Option<Instant>>,
    /// What is wrong in the store.
    pub(super) findings: Findings,
}

impl Core {
    /// There may be jobs: wakes the lane with the most idle slots; it wakes the other if it is
    /// filled.
    pub(super) fn wake(&self) {
        let (first, second) = {
            let slots = self.slots.borrow();
            (slots.idle(0), slots.idle(1))
        };
        if first + second == 0 {
            // Nobody can claim now; whoever is free first must know that there may be jobs.
            self.hunger.wake(0);
            self.hunger.wake(1);
        } else {
            self.hunger.wake(usize::from(second > first));
        }
    }

    /// The store declared this instance dead: all claims are lost, all runs must end.
    pub(super) fn declare_dead(&self) {
        if self.orders.die() {
            self.lose_all();
            self.warn(format!(
                "instance {} was declared dead (its lease ran out while it could not extend it); its claims are \
                 lost and it starts anew",
                self.instance
            ));
            self.hunger.notify_all();
        }
    }

    fn lose_all(&self) {
        use super::slots::State;
        for slot in self.slots.borrow_mut().iter_mut() {
            slot.state = match std::mem::replace(&mut slot.state, State::Idle) {
                State::Running(job) => {
                    slot.stop(Stop::Kill);
                    State::Lost(job)
                }
                lost @ State::Lost(_) => lost,
                // A lane that waits for a reply finds out by itself.
                waiting @ (State::Claiming | State::Settling | State::Entering(_)) => waiting,
                State::Idle => State::Idle,
            };
        }
    }

    /// A job has taken locks: the heart must beat fast enough for them.
    pub(super) fn lock_held(&self, job: &Job) {
        let Some(shortest) = job.held.iter().map(|held| held.ttl_s).min() else { return };
        if self.shortest_lock_s.get().is_none_or(|known| shortest < known) {
            self.shortest_lock_s.set(Some(shortest));
            self.lock_taken.notify_one();
        }
    }

    /// Counts a class that nobody here knows; after a few the message names the remedy.
    pub(super) fn unknown_class(&self, job: &Job) {
        let mut unknown = self.unknown.borrow_mut();
        let count = unknown.entry(job.queue.clone()).or_insert(0u64);
        *count += 1;
        if *count == UNKNOWN_BEFORE_ADVICE {
            self.warn(advice(*count, &job.queue));
        }
    }

    pub(super) fn warn(&self, text: String) {
        self.bus.emit(Event::Warning { text });
    }

    /// Tells once that the store does not answer.
    pub(super) fn store_failed(&self, doing: &str, error: &crate::store::StoreError) {
        if self.outage.get().is_none() {
            self.outage.set(Some(Instant::now()));
            self.bus.emit(Event::InternalError { error: format!("{doing}: failed to {error}; trying again") });
        }
    }

    /// Tells once that it answers again.
    pub(super) fn store_answered(&self) {
        if let Some(since) = self.outage.take() {
            let lasted = humantime::format_duration(Duration::from_millis(
                u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
            ));
            self.bus.emit(Event::Notice { text: format!("the store answers again after {lasted}") });
        }
    }
}

fn advice(count: u64, queue: &QueueName) -> String {
    format!(
        "{count} jobs of classes unknown here came from queue {:?} and failed; if other workers know them, list this \
         instance's queues in `queues` instead of a pattern, or exclude that one with {:?}",
        queue,
        format!("!{queue}")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_is_one_sentence_without_gaps() {
        let advice = advice(10, &QueueName::as_stored("mail"));
        assert!(!advice.contains("  ") && advice.ends_with("or exclude that one with \"!mail\""), "{advice}");
    }
}
