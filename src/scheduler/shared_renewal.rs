//! One call renews both leaderships: promotion asks the duties, which renew theirs as often, to take its call along.
//!
//! Promotion still renews its leadership by itself asking for it, so that a loop that stands still loses it in time. Where the
//! duties do not answer soon, it makes a call of its own.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use crate::store::scheduling::Lead;

/// How much earlier than planned the duties renew theirs.
const EARLIER: Duration = Duration::from_secs(2);
/// How much before the duties promotion comes, so that it finds them still waiting.
const BEFORE: Duration = Duration::from_millis(100);
/// How long promotion waits for their answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What promotion and the duties of one instance agree on.
#[derive(Debug, Default)]
pub(crate) struct SharedRenewal {
    agreed: Mutex<Agreed>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct Agreed {
    /// When the duties renew next; `None` while they do.
    next: Option<Instant>,
    call: Option<SharedCall>,
}

/// A call that is to be taken along, and who waits for its answer.
#[derive(Debug)]
pub(crate) struct SharedCall {
    pub(crate) lead: Lead,
    answer: oneshot::Sender<bool>,
}

impl SharedCall {
    /// Says whether the leadership is held. Dropped without that, the call is made by who asked for it.
    pub(crate) fn answer(self, leads: bool) {
        // Nobody waits any more who made a call of its own.
        let _ = self.answer.send(leads);
    }
}

impl SharedRenewal {
    fn agreed(&self) -> MutexGuard<'_, Agreed> {
        self.agreed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The duties wait until then.
    pub(crate) fn plan(&self, next: Instant) {
        self.agreed().next = Some(next);
    }

    /// Waits until they are to renew now.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// The duties renew now: what is to be taken along.
    pub(crate) fn begin(&self) -> Option<SharedCall> {
        let mut agreed = self.agreed();
        agreed.next = None;
        agreed.call.take()
    }

    /// Lets the duties make this call with their own. `None`: they do not now, or said nothing.
    pub(crate) async fn share(&self, lead: &Lead) -> Option<bool> {
        let answered = {
            let mut agreed = self.agreed();
            agreed.next.filter(|next| next.saturating_duration_since(Instant::now()) <= EARLIER)?;
            let (answer, answered) = oneshot::channel();
            agreed.call = Some(SharedCall { lead: lead.clone(), answer });
            answered
        };
        self.asked.notify_one();
        timeout(PATIENCE, answered).await.ok()?.ok()
    }

    /// When promotion renews next, if it did at `last` and would again at `latest`: with the duties, unless that is too soon.
    pub(crate) fn time(&self, last: Instant, latest: Instant) -> Instant {
        let middle = last + latest.saturating_duration_since(last) / 2;
        let next = self.agreed().next.and_then(|next| next.checked_sub(BEFORE));
        next.filter(|next| (middle..latest).contains(next)).unwrap_or(latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scheduling::Leadership;

    fn lead() -> Lead {
        Lead { which: Leadership::Scheduler, owner: "me".to_owned(), ttl_ms: 1 }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_taken_along_by_duties_that_are_soon_to_renew() {
        let (shared, lead) = (SharedRenewal::default(), lead());
        let duties = async {
            shared.plan(Instant::now() + EARLIER);
            shared.asked().await;
            let call = shared.begin().expect("a call");
            assert_eq!(call.lead.owner, "me");
            call.answer(true);
        };
        let (answer, ()) = tokio::join!(after_others(shared.share(&lead)), duties);
        assert_eq!(answer, Some(true));
        assert!(shared.begin().is_none(), "once");
    }

    /// Lets the other one begin.
    async fn after_others<T>(work: impl Future<Output = T>) -> T {
        tokio::task::yield_now().await;
        work.await
    }

    #[tokio::test(start_paused = true)]
    async fn duties_that_are_busy_wait_longer_or_do_not_answer_take_no_call_along() {
        let (shared, lead) = (SharedRenewal::default(), lead());
        assert_eq!(shared.share(&lead).await, None, "they have planned nothing");
        shared.plan(Instant::now() + EARLIER * 2);
        assert_eq!(shared.share(&lead).await, None, "it is too early");
        shared.plan(Instant::now() + EARLIER);
        let begun = Instant::now();
        assert_eq!(shared.share(&lead).await, None, "they are stuck");
        assert_eq!(begun.elapsed(), PATIENCE);
        shared.plan(Instant::now() + EARLIER);
        let failing = async { drop(shared.begin()) };
        let (answer, ()) = tokio::join!(shared.share(&lead), failing);
        assert_eq!((answer, begun.elapsed()), (None, PATIENCE), "they fail: that is known at once");
    }

    #[tokio::test(start_paused = true)]
    async fn promotion_renews_shortly_before_the_duties() {
        let (shared, last) = (SharedRenewal::default(), Instant::now());
        let seconds = |seconds: u64| last + Duration::from_secs(seconds);
        assert_eq!(shared.time(last, seconds(10)), seconds(10));
        for (planned, expected) in
            [(4, seconds(10)), (7, seconds(7) - BEFORE), (10, seconds(10) - BEFORE), (11, seconds(10))]
        {
            shared.plan(seconds(planned));
            assert_eq!(shared.time(last, seconds(10)), expected, "{planned}");
        }
    }
}
