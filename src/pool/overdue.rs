//! Ends runs that take too long, where no task of their own looks after that.

use std::rc::Rc;

use tokio::time::{Instant, sleep_until};

use super::core::Core;
use super::slots::{Limit, State};
use crate::handler::contract::Stop;
use crate::supervise::pulse::Pulse;

/// Enforces for as long as it is polled.
pub(super) async fn enforce(core: Rc<Core>, pulse: Pulse) {
    loop {
        let until = core.timeouts.next();
        let due = async {
            match until {
                Some(until) => sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let is_due = pulse.wait(async {
            tokio::select! {
                () = due => true,
                () = core.timeouts.earlier() => false,
            }
        });
        if !is_due.await {
            continue;
        }
        let now = Instant::now();
        for (number, claim) in core.timeouts.take(now) {
            let mut slots = core.slots.borrow_mut();
            let Some(slot) = slots.get_mut(number) else { continue };
            let (State::Running(job) | State::Lost(job)) = &mut slot.state else { continue };
            let Some(limit) = job.limit.filter(|_| job.claim == claim) else { continue };
            if limit.over {
                slot.stop(Stop::Kill);
                continue;
            }
            let limit = core.timeouts.watch(now + core.kill_grace.get(), number, &claim);
            job.limit = Some(Limit { over: true, ..limit });
            slot.stop(Stop::Terminate);
        }
    }
}
