//! An outage of the store: one message when it begins, one when it has ended.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Bus, Event};
use crate::store::StoreError;

/// How long no step must have failed for the outage to have ended. A store may answer one step and fail the next: a full
/// disk still lets itself be read, and takes a short write after it refused a long one. Steps that failed are repeated
/// within a second.
const CALM: Duration = Duration::from_secs(2);

/// The outage, while there is one.
#[derive(Default)]
pub(super) struct Outage(Cell<Option<Failing>>);

#[derive(Clone, Copy)]
struct Failing {
    since: Instant,
    last: Instant,
    is_full: bool,
}

impl Outage {
    /// A step failed. Tells of the first one, and of the first one for another reason: no room, no answer.
    pub(super) fn failed(&self, bus: &Bus, doing: &str, error: &StoreError) {
        let (now, is_full) = (Instant::now(), matches!(error, StoreError::Full(_)));
        let before = self.0.replace(None);
        self.0.set(Some(Failing { since: before.map_or(now, |before| before.since), last: now, is_full }));
        if before.is_none_or(|before| before.is_full != is_full) {
            bus.emit(Event::InternalError { error: format!("{doing}: failed to {error}; trying again") });
        }
    }

    /// A step succeeded. Tells that the outage has ended, if no step has failed for a while.
    pub(super) fn answered(&self, bus: &Bus) {
        let Some(failing) = self.0.get().filter(|failing| failing.last.elapsed() >= CALM) else { return };
        self.0.set(None);
        let lasted = failing.last.duration_since(failing.since).as_millis();
        let lasted = humantime::format_duration(Duration::from_millis(u64::try_from(lasted).unwrap_or(u64::MAX)));
        let what = if failing.is_full { "has room again" } else { "answers again" };
        bus.emit(Event::Notice { text: format!("the store {what} after {lasted}") });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_told_once_however_steps_fail_and_succeed_in_it() {
        let (bus, listeners) = Bus::new(&[u32::MAX], 1 << 20);
        let told =
            || std::iter::from_fn(|| listeners[0].try_next()).map(|event| format!("{event:?}")).collect::<Vec<_>>();
        let outage = Outage::default();
        outage.answered(&bus);
        let full = StoreError::Full("no room".to_owned());
        for _ in 0..10 {
            outage.failed(&bus, "extend the lease", &full);
            outage.answered(&bus);
            advance(Duration::from_millis(500)).await;
            outage.failed(&bus, "exchange jobs with the store", &full);
            outage.answered(&bus);
        }
        assert_eq!(told().len(), 1);
        advance(CALM).await;
        outage.answered(&bus);
        outage.answered(&bus);
        let ended = told();
        assert!(ended.len() == 1 && ended[0].contains("the store has room again after 5s"), "{ended:?}");
        outage.failed(&bus, "extend the lease", &full);
        outage.failed(&bus, "extend the lease", &StoreError::Unavailable("it is gone".to_owned()));
        assert_eq!(told().len(), 2, "another outage, and another reason");
        advance(CALM).await;
        outage.answered(&bus);
        assert!(told()[0].contains("the store answers again after 0s"));
    }
}
