//! What may still go on while a daemon ends, and until when.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::notify::Notifying;
use super::running_scheduler::RunningScheduler;
use super::systemd;
use super::web::WebTold;
use crate::event::{Bus, Event};
use crate::pool::{Control, Phase, Work};
use crate::supervise::scope::contained_future;

/// How long what is still to be told may take at least, when the drain took its whole time.
pub(super) const LAST_MESSAGES: Duration = Duration::from_secs(2);

/// What ends beside the pool.
pub(super) struct Around<'a> {
    pub(super) work: watch::Receiver<Work>,
    pub(super) control: watch::Receiver<Control>,
    pub(super) web: &'a WebTold,
    /// Set when the time of a drain begins.
    pub(super) told_at: &'a OnceLock<Instant>,
}

impl Around<'_> {
    /// Waits for the order to end, and obeys. `worked` is closed when the pool has ended.
    pub(super) async fn end(mut self, scheduler: RunningScheduler, worked: oneshot::Receiver<()>) {
        let told = self.control.wait_for(|now| now.phase > Phase::Run).await;
        let is_replaced = told.is_ok_and(|now| now.phase == Phase::Retire);
        // At once: who has taken over leads from now on.
        tokio::join!(scheduler.end(), self.end_handlers(is_replaced, worked));
    }

    async fn end_handlers(mut self, is_replaced: bool, worked: oneshot::Receiver<()>) {
        if is_replaced {
            self.web.replaced();
            systemd::replaced();
            // Handlers keep what runs need until the last one has ended, or a drain is ordered.
            tokio::select! {
                _ = worked => {}
                Ok(_) = self.control.wait_for(|now| now.phase > Phase::Retire) => {}
            }
        }
        let told_at = *self.told_at.get_or_init(Instant::now);
        self.web.drains(told_at + self.work.borrow().config.shutdown.timeout);
        // For whom watches over both, the service goes on when a daemon that was replaced has ended its jobs.
        if self.control.borrow().phase > Phase::Retire {
            systemd::stopping();
        }
        retire_handlers(&self.work, self.control, told_at).await;
    }
}

/// When all but the log must have ended. What is left then is killed with the handlers' runtime, which also takes a moment.
pub(super) fn last_moment(told_at: Instant, work: &Work) -> Instant {
    let shutdown = &work.config.shutdown;
    told_at + shutdown.timeout.saturating_sub((shutdown.kill_grace / 4).min(Duration::from_secs(1)))
}

/// Lets handlers end what they keep between runs, for at most the time that the drain may take.
async fn retire_handlers(work: &watch::Receiver<Work>, mut control: watch::Receiver<Control>, told_at: Instant) {
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

/// Tells people of what failed last, and says how much of that is not told by then.
pub(super) async fn tell_last(
    mut notifying: Notifying,
    until: Instant,
    mut control: watch::Receiver<Control>,
    bus: &Bus,
) {
    let until = until.max(Instant::now() + LAST_MESSAGES);
    tokio::select! {
        () = notifying.end(until) => {}
        // A kill does not wait.
        Ok(_) = control.wait_for(|now| now.phase == Phase::Kill) => {}
    }
    let [notes, pings] = notifying.untold();
    if notes + pings > 0 {
        let text = format!(
            "the end came before all was told: {notes} notifications and {pings} pings are lost, or it is not known whether \
             they arrived"
        );
        bus.emit(Event::Warning { text });
    }
}
