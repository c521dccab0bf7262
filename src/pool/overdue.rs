//! Ends runs that take too long and that their handlers own. Other runs are watched by tasks of their own.

use std::rc::Rc;

use tokio::time::{Instant, sleep_until};

use super::core::Core;
use crate::supervise::pulse::Pulse;

/// Watches for as long as it is polled.
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
            let killed = || core.timeouts.watch(now + core.settings.kill_grace(), number, &claim);
            core.slots.limit_passed(number, &claim, killed);
        }
    }
}
