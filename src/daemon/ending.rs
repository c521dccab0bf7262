//! What may still go on while a daemon ends, and until when.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::notify::Notifying;
use crate::event::{Bus, Event};
use crate::pool::{Control, Phase, Work};
use crate::supervise::scope::contained_future;

/// When all but the log must have ended. What is left then is killed with the handlers' runtime, which also takes a moment.
pub(super) fn last_moment(told_at: Instant, work: &Work) -> Instant {
    let shutdown = &work.config.shutdown;
    told_at + shutdown.timeout.saturating_sub((shutdown.kill_grace / 4).min(Duration::from_secs(1)))
}

/// Lets handlers end what they keep between runs, for at most the time that the drain may take.
pub(super) async fn retire_handlers(
    work: &watch::Receiver<Work>,
    mut control: watch::Receiver<Control>,
    told_at: Instant,
) {
    let (dispatch, end) = {
        let work = work.borrow();
        (Arc::clone(&work.dispatch), last_moment(told_at, &work))
    };
    tokio::select! {
        // A panic here is only logged.
        ended = timeout_at(end, contained_future(Box::pin(dispatch.retire(end)))) => drop(ended),
        // A kill does not wait.
        killed = control.wait_for(|now| now.phase == Phase::Kill) => drop(killed),
    }
}

/// Tells people of what failed last, and warns if that is not all told by then.
pub(super) async fn tell_last(notifying: Notifying, until: Instant, mut control: watch::Receiver<Control>, bus: &Bus) {
    let all_told = tokio::select! {
        all_told = notifying.end(until) => all_told,
        // A kill does not wait.
        Ok(_) = control.wait_for(|now| now.phase == Phase::Kill) => false,
    };
    if !all_told {
        let text = "not all notifications and pings were sent before shutdown.timeout; those that waited are lost";
        bus.emit(Event::Warning { text: text.to_owned() });
    }
}
