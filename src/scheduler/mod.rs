//! The scheduler: promotes what is due, recovers what died, keeps periodic tasks going.
//!
//! Three loops. Two have a leadership each. [`promote`] shares node-resque's leader lock, so that
//! a mixed fleet has one promoter. [`duties`] is under a private lock, for only Windlass knows of
//! leases and periodic entries, and they must go on whoever promotes. [`cron`], which enqueues tasks with arguments,
//! goes by the second of them.

pub mod cron;
pub mod duties;
pub mod failures;
pub mod identities;
pub mod periodic;
pub mod promote;
pub mod recover;
pub mod stuck;
pub mod transfer;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Config;
use crate::event::Bus;
use crate::plugin::ending::CrashPolicy;
use crate::store::Store;
use crate::store::instance::HostIdentity;
use crate::store::role;
use crate::task::Registry;

/// What the loops go by. A reload replaces the whole.
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    /// The tasks this instance knows.
    pub registry: Arc<Registry>,
    /// What becomes of dead owners' jobs whose tasks say nothing.
    pub policy: CrashPolicy,
    /// When a foreign worker that stopped pinging is cleaned away.
    pub stuck_worker_timeout: Option<Duration>,
    /// Is its job enqueued again then?
    pub retry_stuck_jobs: bool,
}

impl SchedulerConfig {
    /// What a configuration and tasks say.
    #[must_use]
    pub fn of(config: &Config, registry: Arc<Registry>) -> Self {
        Self {
            registry,
            policy: CrashPolicy { on_crash: config.on_crash, max_redeliveries: config.max_redeliveries },
            stuck_worker_timeout: config.stuck_worker_timeout,
            retry_stuck_jobs: config.retry_stuck_jobs,
        }
    }

    /// For a scheduler that is never reloaded.
    #[must_use]
    pub fn without_reload(self) -> watch::Receiver<Self> {
        watch::channel(self).1
    }
}

/// What the loops work with.
#[derive(Clone)]
pub struct SchedulerContext {
    /// The store.
    pub store: Store<role::Scheduler>,
    /// What a reload replaces; read through the methods, at the moment it is needed.
    pub config: watch::Receiver<SchedulerConfig>,
    /// Wall time, for records and to notice skew.
    pub clock: Arc<dyn Clock>,
    /// Where events go.
    pub bus: Bus,
    /// The name under which leaderships are held: `<host>-windlass:<pid>`.
    pub name: String,
    /// Where this instance runs.
    pub host: HostIdentity,
    /// This instance's lease.
    pub lease: Duration,
}

impl SchedulerContext {
    /// The tasks this instance knows at this moment.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.config.borrow().registry)
    }

    /// What becomes of dead owners' jobs whose tasks say nothing.
    #[must_use]
    pub fn policy(&self) -> CrashPolicy {
        self.config.borrow().policy
    }

    /// Are the jobs of such workers enqueued again?
    #[must_use]
    pub fn retries_stuck_jobs(&self) -> bool {
        self.config.borrow().retry_stuck_jobs
    }

    /// When a foreign worker that stopped pinging is cleaned away.
    #[must_use]
    pub fn stuck_worker_timeout(&self) -> Option<Duration> {
        self.config.borrow().stuck_worker_timeout
    }
}

/// Runs all loops, each on a task of its own, until told to stop.
pub async fn run(context: SchedulerContext, stop: watch::Receiver<bool>) {
    let (leads, led) = watch::channel(false);
    let loops = [
        tokio::spawn(promote::run(context.clone(), stop.clone())),
        tokio::spawn(duties::run(context.clone(), leads, stop.clone())),
        tokio::spawn(cron::run(context, led, stop)),
    ];
    // One that panicked has said so, and the others go on.
    drop(futures_util::future::join_all(loops).await);
}

/// Sleeps, but not through a reload; true if there was one since `config` was last looked at.
async fn sleep_or_reload(config: &mut watch::Receiver<SchedulerConfig>, wait: Duration) -> bool {
    tokio::select! {
        // Where nobody can reload any more, nothing is left but to sleep.
        Ok(()) = config.changed() => true,
        () = tokio::time::sleep(wait) => false,
    }
}
