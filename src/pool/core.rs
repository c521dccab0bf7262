//! What the tasks of a pool share on the core's thread.
//!
//! Each part has a file of its own, which alone changes the part's state; here they only stand together.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::control::Work;
use super::elsewhere::Elsewhere;
use super::emptied::Emptied;
use super::exchanges::{Exchanges, News};
use super::findings::Findings;
use super::held_locks::HeldLocks;
use super::history::History;
use super::holdups::Holdups;
use super::hooked_run::Performed;
use super::hunger::Hunger;
use super::lease::Lease;
use super::orders::Orders;
use super::queues::Queues;
use super::seen_wishes::SeenWishes;
use super::settings::Settings;
use super::shortage::Shortage;
use super::slots::{LANES, Slots};
use super::timeouts::Timeouts;
use super::watches::Watches;
use crate::clock::Clock;
use crate::event::tally::Counter;
use crate::event::{Bus, Event};
use crate::job::ClaimToken;
use crate::plugin::registry::Plugins;
use crate::store::announce::Announcements;
use crate::store::handle::{Store, Waker};
use crate::store::instance::{Halt, InstanceRecord, Stuck};
use crate::store::role;
use crate::supervise::pulse::Pulses;

/// After how many leases without an exchange that is taken others are told.
const PATIENCE: u32 = 2;

/// A run that ended on the handlers' runtime.
pub(super) struct Finished {
    pub(super) number: usize,
    pub(super) claim: ClaimToken,
    pub(super) performed: Performed,
}

/// The shared parts. Their cells are never borrowed across an await.
pub(super) struct Core {
    pub(super) instance: Arc<str>,
    pub(super) store: Store<role::Pool>,
    /// Set when it was opened.
    pub(super) waker: OnceCell<Waker>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) bus: Bus,
    /// The runtime on which handlers run.
    pub(super) handlers: Handle,
    /// Where runs on it report their end, by lane.
    pub(super) finished: [mpsc::UnboundedSender<Finished>; LANES],
    /// The plugins in code that tasks may list.
    pub(super) plugins: Arc<Plugins>,
    pub(super) pulses: Pulses,
    pub(super) announcements: Announcements,
    /// Counts the ends of jobs.
    pub(super) counter: Counter,
    pub(super) history: Rc<History>,

    pub(super) settings: Settings,
    pub(super) orders: Orders,
    pub(super) lease: Lease,
    pub(super) emptied: Emptied,
    pub(super) locks: HeldLocks,
    pub(super) queues: Queues,
    pub(super) hunger: Hunger,
    pub(super) slots: Slots,
    pub(super) exchanges: Exchanges,
    pub(super) shortage: Shortage,
    pub(super) timeouts: Timeouts,
    pub(super) wishes: SeenWishes,
    pub(super) watches: Watches,
    pub(super) holdups: Holdups,
    pub(super) elsewhere: Elsewhere,
    pub(super) findings: Findings,
}

impl Core {
    /// There may be jobs: wakes the lane with the most idle slots, which wakes the other one if it gets a job for each.
    pub(super) fn wake(&self) {
        let [first, second] = self.slots.idle();
        if first + second == 0 {
            // No slot can claim now. The lane of the first one that becomes idle must know that there may be jobs.
            self.hunger.wake(0);
            self.hunger.wake(1);
        } else {
            self.hunger.wake(usize::from(second > first));
        }
    }

    /// The store declared this instance dead: all claims are lost, and all runs must end.
    pub(super) fn declare_dead(&self) {
        if self.orders.die() {
            self.bus.figures().lease_lost();
            self.slots.lose_all();
            self.warn(format!(
                "instance {} was declared dead (its lease ran out while it could not extend it); its claims are \
                 lost and it starts anew",
                self.instance
            ));
            self.hunger.notify_all();
        }
    }

    /// Works by these settings from now on. What runs keeps the definition that it began with.
    pub(super) fn adopt(&self, work: &Work) {
        self.settings.replace(work);
        self.queues.change_patterns(&work.config.queues);
        self.holdups.clear();
        self.lease.change_record(|record| bring_up_to_date(record, work));
        self.slots.compare_names(&self.lease.record());
        self.slots.ask_manager();
        self.hunger.arm_anew();
        self.hunger.notify_all();
    }

    /// Pauses or resumes, and tells the store.
    pub(super) fn pause(&self, paused: bool) {
        let halt = paused.then_some(Halt::Paused);
        if self.lease.record().halt != halt {
            self.lease.change_record(|record| record.halt = halt);
        }
        if self.orders.pause(paused) {
            let text =
                if paused { "paused: no jobs are claimed until CONT" } else { "resumed: jobs are claimed again" };
            self.bus.emit(Event::Notice { text: text.to_owned() });
            self.wake();
        }
    }

    /// Lets others know whether jobs can be exchanged: in the record of the instance, and to those who ask this process.
    pub(super) fn tell_stuck(&self) {
        let patience = self.lease.length() * PATIENCE;
        let Some(News { was_stuck, now }) = self.exchanges.judge(patience, self.clock.now_ms()) else { return };
        match &now {
            Some(Stuck { why, .. }) if !was_stuck => {
                let time = humantime::format_duration(patience);
                self.bus.emit(Event::InternalError {
                    error: format!(
                        "no jobs could be exchanged with the store for {time}, although it takes other steps: failed to {why}; \
                         until that is mended processors here stand still"
                    ),
                });
            }
            Some(_) => {}
            None => self.bus.emit(Event::Notice { text: "jobs are exchanged with the store again".to_owned() }),
        }
        self.findings.stuck(now.is_some());
        self.lease.change_record(|record| record.stuck = now);
    }

    pub(super) fn warn(&self, text: String) {
        self.bus.emit(Event::Warning { text });
    }
}

/// Changes what an instance says of itself to what it works by.
pub(super) fn bring_up_to_date(record: &mut InstanceRecord, work: &Work) {
    record.change_queues(work.config.queues.as_configured());
    // The highest number that any of its workers ever had: others compute their names from it.
    record.processors = record.processors.max(work.config.max_task_processors);
    record.periodic = work.periodic.to_vec();
    record.tell_tasks(&work.tasks, work.broken.labels());
    record.queues_given = work.queues_given;
    record.reload_refused.clone_from(&work.refused);
}
