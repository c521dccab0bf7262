//! Ends the runs of an instance whose lease cannot be extended, before others may declare it dead.
//!
//! The guard counts from the moment at which the last successful extension was sent, the time that the machine was
//! suspended included. It asks all runs to end in time for them to obey, and kills the rest before the lease lapses. Their
//! jobs stay on record. When the store answers again they are settled by their `on_crash`, unless another instance has
//! recovered them by then, which the store tells from the claim.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::core::Core;
use crate::handler::contract::Stop;
use crate::store::instance::{ReadSuspicion, Suspicion};
use crate::supervise::pulse::Pulse;

/// How long the guard sleeps at most between two signs that it turns.
const GLANCE: Duration = Duration::from_secs(2);
/// How often the store is asked whether others are about to declare us dead; at least ten times a lease.
const DOUBT: Duration = Duration::from_millis(200);

/// Ends all runs before the lease lapses, if it cannot be extended and another instance may declare us dead. While a
/// database file is locked no instance can, and the runs go on.
pub(super) async fn guard(core: Rc<Core>, pulse: Pulse) {
    let lease = core.lease.length();
    // How old the lease is when the runs that were asked to end are killed.
    let mut kill_at = None;
    let mut told = false;
    loop {
        pulse.turn();
        let grace = core.settings.kill_grace().min(lease / 4);
        let (ask, kill) = (lease - grace, lease - lease / 10);
        let (extended, silent) = (core.lease.extended(), core.lease.age());
        if silent < ask {
            (kill_at, told) = (None, false);
            sleep((ask - silent).min(GLANCE)).await;
            continue;
        }
        let Some(at) = kill_at else {
            let suspicion = suspicion(&core).await;
            let silent = humantime::format_duration(Duration::from_secs(silent.as_secs()));
            if suspicion == Suspicion::Trusted {
                if !std::mem::replace(&mut told, true) {
                    core.warn(format!(
                        "the lease could not be extended for {silent}, because nothing can be written to the database \
                         file; nobody else can take the lease meanwhile, so the running jobs go on"
                    ));
                }
                sleep(DOUBT.min(lease / 10)).await;
            } else if core.lease.extended() == extended {
                let soon = grace.saturating_sub(lease / 10);
                kill_at = Some(match suspicion {
                    // Half a lease passes before anything is done about it.
                    Suspicion::Suspected => core.lease.age() + soon,
                    Suspicion::Unknown | Suspicion::Trusted => kill,
                });
                core.warn(format!(
                    "the lease could not be extended for {silent}; running jobs are ended before it runs out"
                ));
                core.slots.stop_all(Stop::Terminate);
                // After a suspension of the machine the next extension may be far away.
                core.lease.want_extension();
            }
            continue;
        };
        if silent < at {
            sleep((at - silent).min(GLANCE)).await;
        } else {
            // Again and again until the store answers, because a run may have been about to begin.
            core.slots.stop_all(Stop::Kill);
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What the store says of this instance. Unknown if it cannot be read, or if the answer took so long that it may have
/// changed.
async fn suspicion(core: &Core) -> Suspicion {
    let asked = core.store.run(ReadSuspicion { instance: core.instance.to_string() });
    match tokio::time::timeout(core.lease.length() / 10, asked).await {
        Ok(Ok(suspicion)) => suspicion,
        Ok(Err(_)) | Err(_) => Suspicion::Unknown,
    }
}
