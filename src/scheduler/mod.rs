//! The scheduler: promotes what is due, recovers what died, keeps periodic tasks going.
//!
//! Three loops. Two have a leadership each. [`promote`] shares node-resque's leader lock, so that
//! a mixed fleet has one promoter. [`duties`] is under a private lock, for only Windlass knows of
//! leases and periodic entries, and they must go on whoever promotes. [`cron`], which enqueues tasks with arguments,
//! goes by the second of them.

pub mod cron;
pub mod duties;
pub mod periodic;
pub mod promote;
pub mod recover;
pub mod stuck;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::event::Bus;
use crate::plugin::ending::CrashPolicy;
use crate::store::Store;
use crate::store::instance::HostIdentity;
use crate::task::Registry;

/// What both loops work with.
#[derive(Clone)]
pub struct Context {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The tasks this instance knows; read through [`registry`](Self::registry).
    pub registry: Arc<Registry>,
    /// Wall time, for records and to notice skew.
    pub clock: Arc<dyn Clock>,
    /// Where events go.
    pub bus: Bus,
    /// The name under which leaderships are held: `<host>-windlass:<pid>`.
    pub name: String,
    /// Where this instance runs.
    pub host: HostIdentity,
    /// What becomes of dead owners' jobs whose tasks say nothing.
    pub policy: CrashPolicy,
    /// The longest sleep between looks.
    pub timeout: Duration,
    /// This instance's lease.
    pub lease: Duration,
    /// When a foreign worker that stopped pinging is cleaned away.
    pub stuck_worker_timeout: Option<Duration>,
}

impl Context {
    /// The tasks this instance knows at this moment.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }
}
