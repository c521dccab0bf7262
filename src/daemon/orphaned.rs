//! What the daemon does when its parent is gone: it kills what it started, and ends.
//!
//! Its runs then end because it kills them. That is no failure: nothing of it is settled, and nothing of it is told. The
//! jobs stay on record and are recovered.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::supervisor;
use crate::event::{Bus, Event};
use crate::process::{leftovers, sweep};
use crate::scheduler::recover::marks;
use crate::store::instance::HostIdentity;
use crate::telemetry::log::Log;

/// How long the log may take to write what was said before.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What is needed for it.
pub(super) struct Orphaned {
    pub(super) bus: Bus,
    pub(super) log: Log,
    /// Set before anything is killed.
    pub(super) abandoned: Arc<AtomicBool>,
    /// The id of the instance at present.
    pub(super) instance: watch::Receiver<Arc<str>>,
    pub(super) host: HostIdentity,
}

impl Orphaned {
    /// Watches the parent for as long as the process lives.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(super) fn watch(self) -> io::Result<()> {
        let Self { bus, log, abandoned, instance, host } = self;
        let on_end = move || {
            abandoned.store(true, Ordering::SeqCst);
            let error = "the parent of this daemon is gone; the daemon kills what it started and ends, and its jobs are \
                         recovered by its next start or by another instance";
            bus.emit(Event::InternalError { error: error.to_owned() });
            // Anyone who tells from now on how a run ended is not heard.
            bus.close();
        };
        let on_gone = move || {
            // The parent would have killed our children after our end. It is gone, so we kill them.
            sweep::kill_descendants();
            // Also those whose own parent died before: they are not our descendants any more.
            leftovers::kill(&marks(&instance.borrow(), &host));
            log.close(LAST_WORDS);
            std::process::exit(1);
        };
        supervisor::parent_watch(on_end, on_gone).map(drop)
    }
}
