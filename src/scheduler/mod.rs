//! The scheduler: promotes due jobs, recovers the jobs of dead instances, keeps periodic tasks running.
//!
//! It has four loops and two leaderships. [`promote`] uses node-resque's leader lock, so that node-resque
//! and Windlass together have one promoter. [`duties`] uses a private lock, because only Windlass knows leases
//! and periodic entries, and they must be handled even while node-resque promotes. [`cron`], which enqueues tasks
//! with arguments, and [`sampling`], which tells how long jobs wait, follow the leadership of the duties.

mod begun;
pub mod cron;
pub mod duties;
pub mod failures;
pub mod identities;
pub mod periodic;
pub mod promote;
pub mod recover;
mod ruby_leader;
pub mod sampling;
pub mod set_back;
mod shared_renewal;
mod skew;
pub mod stuck;
pub mod transfer;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use self::shared_renewal::SharedRenewal;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::event::{Bus, Event, Tally};
use crate::plugin::ending::CrashPolicy;
use crate::store::announce::Announcements;
use crate::store::instance::HostIdentity;
use crate::store::outage::{Asker, Outage};
use crate::store::role;
use crate::store::wake;
use crate::store::{Store, StoreError};
use crate::supervise::pulse::Pulses;
use crate::supervise::scope::until_told;
use crate::task::Registry;

/// The configuration of the loops. A reload replaces it as a whole.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SchedulerConfig {
    /// The tasks this instance knows.
    pub registry: Arc<Registry>,
    /// What happens to the jobs of dead owners whose tasks do not set it.
    pub policy: CrashPolicy,
    /// How long after its last ping a foreign worker is removed.
    pub stuck_worker_timeout: Option<Duration>,
    /// Is the job of such a worker enqueued again?
    pub retry_stuck_jobs: bool,
    /// How often the store is looked at if it does not tell of changes.
    pub poll: Duration,
}

impl SchedulerConfig {
    /// These tasks and this policy; workers of other programs are never removed.
    #[must_use]
    pub fn new(registry: Arc<Registry>, policy: CrashPolicy) -> Self {
        Self { registry, policy, stuck_worker_timeout: None, retry_stuck_jobs: false, poll: wake::POLL }
    }

    /// Takes its values from the configuration and the tasks.
    #[must_use]
    pub fn of(config: &Config, registry: Arc<Registry>) -> Self {
        Self {
            registry,
            policy: CrashPolicy { on_crash: config.on_crash, max_redeliveries: config.max_redeliveries },
            stuck_worker_timeout: config.stuck_worker_timeout,
            retry_stuck_jobs: config.retry_stuck_jobs,
            poll: config.timeout,
        }
    }

    /// For a scheduler that is never reloaded.
    #[must_use]
    pub fn without_reload(self) -> watch::Receiver<Self> {
        watch::channel(self).1
    }
}

/// What all loops use.
#[derive(Clone)]
#[non_exhaustive]
pub struct SchedulerContext {
    /// The store.
    pub store: Store<role::Scheduler>,
    /// The configuration, which a reload replaces. Read it through the methods when it is needed.
    pub config: watch::Receiver<SchedulerConfig>,
    /// Wall time, for records and to detect clock skew.
    pub clock: Arc<dyn Clock>,
    /// Where events go.
    pub bus: Bus,
    /// The name under which leaderships are held: `<host>-windlass:<pid>`.
    pub name: String,
    /// Where this instance runs.
    pub host: HostIdentity,
    /// This instance's lease.
    pub lease: Duration,
    /// Where the loops say that they turn.
    pub pulses: Pulses,
    /// What this instance's loops tell each other when the path to the store is long.
    pub announcements: Announcements,
    /// Promotion tells the duties that the jobs of a second are gone, so that they look whether a tick was among them.
    pub(crate) lost: Arc<Notify>,
    /// Promotion and the duties renew their leaderships in one call.
    pub(crate) shared_renewal: Arc<SharedRenewal>,
    /// What all loops of this instance know of an outage of the store.
    pub outage: Outage,
    /// Where the ends of jobs are counted.
    pub tally: Tally,
    /// What the loops have seen of the store's clock.
    pub set_back: set_back::SetBack,
}

impl SchedulerContext {
    /// A context with a lease of 15 seconds, the system's clock, and no listeners of its events.
    #[must_use]
    pub fn new(
        store: Store<role::Scheduler>,
        config: watch::Receiver<SchedulerConfig>,
        name: String,
        host: HostIdentity,
    ) -> Self {
        Self {
            store,
            config,
            clock: Arc::new(SystemClock),
            bus: Bus::silent(),
            name,
            host,
            lease: Duration::from_secs(15),
            pulses: Pulses::default(),
            announcements: Announcements::default(),
            lost: Arc::default(),
            shared_renewal: Arc::default(),
            outage: Outage::default(),
            tally: Tally::default(),
            set_back: set_back::SetBack::default(),
        }
    }

    /// The tasks this instance knows at this moment.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.config.borrow().registry)
    }

    /// What happens to the jobs of dead owners whose tasks do not set it.
    #[must_use]
    pub fn policy(&self) -> CrashPolicy {
        self.config.borrow().policy
    }

    /// Are the jobs of foreign workers that stopped pinging enqueued again?
    #[must_use]
    pub fn retries_stuck_jobs(&self) -> bool {
        self.config.borrow().retry_stuck_jobs
    }

    /// How long after its last ping a foreign worker is removed.
    #[must_use]
    pub fn stuck_worker_timeout(&self) -> Option<Duration> {
        self.config.borrow().stuck_worker_timeout
    }
}

/// How long a loop must have worked until a failure that was told is told again.
const CALM: Duration = Duration::from_secs(60);
/// How many different failures of a loop are remembered.
const MAX_TOLD: usize = 16;

/// The failures of a loop: an outage of the store is told once for all loops, any other failure once. A loop may work and fail
/// in turn, by itself or for two reasons: so a failure is told again only after a while in which it did not occur.
struct Failing {
    asker: Asker,
    doing: &'static str,
    /// What was told, and when it failed last.
    told: HashMap<String, Instant>,
}

impl Failing {
    fn new(asker: Asker, doing: &'static str) -> Self {
        Self { asker, doing, told: HashMap::new() }
    }

    /// A round failed.
    fn failed(&mut self, context: &SchedulerContext, error: &StoreError) {
        if error.is_transient() {
            self.told.clear();
            return context.outage.failed(&context.bus, self.asker, self.doing, error);
        }
        if matches!(error, StoreError::MissingRights(_)) {
            // The engine tells that itself, once for everybody.
            return;
        }
        let error = format!("{}: failed to {error}; trying again", self.doing);
        let now = Instant::now();
        if let Some(last) = self.told.get_mut(&error) {
            let is_news = now.duration_since(*last) >= CALM;
            *last = now;
            if !is_news {
                return;
            }
        } else {
            if self.told.len() >= MAX_TOLD {
                self.told.clear();
            }
            self.told.insert(error.clone(), now);
        }
        context.bus.emit(Event::InternalError { error });
    }

    /// A round succeeded.
    fn worked(&mut self, context: &SchedulerContext) {
        context.outage.answered(&context.bus, self.asker);
    }
}

/// Runs all loops, each on a task of its own, until told to stop.
///
/// # Panics
/// When a loop panics or ends before it is told to. In the daemon that ends the process.
pub async fn run(context: SchedulerContext, stop: watch::Receiver<bool>) {
    let told = || {
        let stop = stop.clone();
        move || *stop.borrow()
    };
    let (leads, led) = watch::channel(false);
    let mut loops = tokio::task::JoinSet::new();
    loops.spawn(until_told("scheduler promotion", promote::run(context.clone(), stop.clone()), told()));
    loops.spawn(until_told("scheduler duties", duties::run(context.clone(), leads, stop.clone()), told()));
    loops.spawn(until_told("scheduler cron", cron::run(context.clone(), led.clone(), stop.clone()), told()));
    loops.spawn(until_told("scheduler sampler", sampling::run(context, led, stop.clone()), told()));
    while let Some(ended) = loops.join_next().await {
        if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Sleeps, but wakes at a reload; true if `config` changed since it was last read.
async fn sleep_or_reload(config: &mut watch::Receiver<SchedulerConfig>, wait: Duration) -> bool {
    tokio::select! {
        // When the sender is gone, no reload can come, and only the sleep is left.
        Ok(()) = config.changed() => true,
        () = tokio::time::sleep(wait) => false,
    }
}
