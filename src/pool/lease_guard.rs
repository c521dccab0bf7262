//! Ends the runs of an instance whose lease cannot be extended, before others may declare it dead.
//!
//! The guard counts from the moment at which the last successful extension was sent, the time that the machine was
//! suspended included. It asks all runs to end in time for them to obey, and kills the rest before the lease lapses. Their
//! jobs stay on record. When the store answers again they are settled by their `on_crash`, unless another instance has
//! recovered them by then, which the store tells from the claim.
//!
//! After this process stood still beyond its lease, the store is asked first: if it still knows the instance, nobody has
//! taken its jobs, and they go on.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::core::Core;
use super::lease::Moment;
use crate::handler::contract::Stop;
use crate::store::instance::{ReadSuspicion, Suspicion};
use crate::supervise::pulse::Pulse;
use crate::supervise::stillness::within;

/// How long the guard sleeps at most between two signs that it turns.
const GLANCE: Duration = Duration::from_secs(2);
/// How often the store is asked whether others are about to declare us dead; at least ten times a lease.
const DOUBT: Duration = Duration::from_millis(200);
/// How often runs are killed whose end may have been missed.
const AGAIN: Duration = Duration::from_millis(200);
/// How long an answer is waited for after this process stood still; at most a fifth of the lease.
const ANSWER: Duration = Duration::from_secs(2);
/// What may have held this process.
const WHY_STILL: &str = "it was stopped, or its machine slept or was too busy";
/// How often it is looked whether the store has answered.
const STEP: Duration = Duration::from_millis(5);

/// Ends all runs before the lease lapses, if it cannot be extended and another instance may declare us dead. While a
/// database file is locked, or a server takes no writes from anybody, no instance can, and the runs go on.
pub(super) async fn guard(core: Rc<Core>, pulse: Pulse) {
    let lease = core.lease.length();
    // How old the lease is when the runs that were asked to end are killed.
    let mut kill_at = None;
    let mut told = false;
    // The store took no writes from anybody when it was asked last.
    let mut nobody_could = false;
    let mut still = Stillness { extended: core.lease.extended(), lasted: Duration::ZERO, is_news: false };
    loop {
        pulse.turn();
        let grace = core.settings.kill_grace().min(lease / 4);
        let (ask, kill) = (lease - grace, lease - lease / 10);
        let (extended, silent) = (core.lease.extended(), core.lease.age());
        if silent < ask {
            (kill_at, told, nobody_could, still.is_news) = (None, false, false, false);
            still.pause(&core, (ask - silent).min(GLANCE)).await;
            continue;
        }
        if core.orders.is_dead() {
            // That was told. A run may have been about to begin.
            core.slots.stop_all(Stop::Kill);
            still.pause(&core, AGAIN).await;
            continue;
        }
        let Some(at) = kill_at else {
            if std::mem::take(&mut still.is_news) {
                let patience = ANSWER.min(lease / 5);
                let (is_extended, _) = core.lease.wait(patience, asked_again(&core, ask, patience)).await;
                if is_extended {
                    core.warn(format!(
                        "this process stood still for {}: {WHY_STILL}. No other instance has taken its jobs, and they go \
                         on",
                        seconds(still.lasted)
                    ));
                }
                continue;
            }
            let (suspicion, _) = core.lease.wait(lease / 10, suspicion(&core)).await;
            // What could not be done while it stood still is nobody's fault.
            let awake = silent.saturating_sub(still.since(extended));
            let why = still.why(extended, awake);
            if suspicion == Suspicion::Trusted {
                nobody_could = true;
                if awake >= ask && !std::mem::replace(&mut told, true) {
                    core.warn(format!(
                        "{why}, because nothing can be written to the store; nobody else can take the lease meanwhile, so \
                         the running jobs go on"
                    ));
                }
                still.pause(&core, DOUBT.min(lease / 10)).await;
            } else if std::mem::take(&mut nobody_could) && suspicion == Suspicion::Unknown {
                // That has passed. Who watches us begins anew and then waits for a whole lease, so that there is time to
                // connect and to extend it.
                let patience = lease / 2;
                core.lease.wait(patience, asked_again(&core, ask, patience)).await;
            } else if core.lease.extended() == extended {
                let soon = grace.saturating_sub(lease / 10);
                kill_at = Some(match suspicion {
                    // Half a lease passes before anything is done about it.
                    Suspicion::Suspected => core.lease.age() + soon,
                    Suspicion::Unknown | Suspicion::Trusted => kill,
                });
                let when = if silent < lease { "before it runs out" } else { "because it has run out" };
                core.warn(match core.slots.census() {
                    (_, 0) => format!("{why}; no job runs here"),
                    _ => format!("{why}; running jobs are ended {when}"),
                });
                core.slots.stop_all(Stop::Terminate);
                // After a suspension of the machine the next extension may be far away.
                core.lease.want_extension();
            }
            continue;
        };
        if silent < at {
            still.pause(&core, (at - silent).min(GLANCE)).await;
        } else {
            // Again and again until the store answers, because a run may have been about to begin.
            core.slots.stop_all(Stop::Kill);
            still.pause(&core, AGAIN).await;
        }
    }
}

/// For how long this process stood still since its lease was extended.
struct Stillness {
    extended: Moment,
    lasted: Duration,
    /// The store was not asked since then.
    is_news: bool,
}

impl Stillness {
    /// Sleeps, and notes if that took too long.
    async fn pause(&mut self, core: &Core, time: Duration) {
        let extended = core.lease.extended();
        let ((), still) = core.lease.wait(time, sleep(time)).await;
        self.lasted = self.since(extended) + still;
        self.extended = extended;
        self.is_news |= !still.is_zero();
    }

    /// How much of the time since that extension it was.
    fn since(&self, extended: Moment) -> Duration {
        if self.extended == extended { self.lasted } else { Duration::ZERO }
    }

    /// Why the lease was not extended.
    fn why(&self, extended: Moment, awake: Duration) -> String {
        let (still, awake) = (self.since(extended), seconds(awake));
        if still.is_zero() {
            return format!("the lease could not be extended for {awake}");
        }
        let still = seconds(still);
        format!(
            "this process stood still for {still}: {WHY_STILL}; beside that the lease could not be extended for {awake}"
        )
    }
}

/// Asks the store anew after this process stood still: the answer shows whether another instance has taken its jobs. True
/// if the lease was extended within the time.
async fn asked_again(core: &Core, ask: Duration, patience: Duration) -> bool {
    core.lease.want_extension();
    let answered = async {
        while core.lease.age() >= ask && !core.orders.is_dead() {
            sleep(STEP).await;
        }
        !core.orders.is_dead()
    };
    within(patience, answered).await.unwrap_or(false)
}

fn seconds(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs()))
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
