//! Nowhere -> delayed, for one job. No plugins are asked: as in node-resque, they decide
//! when the job is promoted or run.

use super::enqueue::{Client, ClientError, single, unmarked};
use super::marking::Marking;
use super::moment::Moment;
use super::request::{Request, ResolvedJob};
use crate::clock::{Clock as _, SystemClock};
use crate::store::queueing::{Schedule, ScheduleBatch, Scheduled, When};

/// How a second job of the same bytes in the same second is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnDuplicate {
    /// It is an error.
    #[default]
    Refuse,
    /// It is ignored, because the job is already delayed.
    Suppress,
}

impl Client {
    /// Delays a job until a time, rounded to the second as node-resque rounds. A time in the past
    /// is accepted: the job is due at once.
    ///
    /// # Errors
    /// Fails for an invalid request, for a duplicate unless it is suppressed, and when the store
    /// fails.
    pub async fn enqueue_at(
        &self,
        request: &Request,
        at: Moment,
        duplicate: OnDuplicate,
    ) -> Result<(ResolvedJob, Scheduled), ClientError> {
        unmarked(self.schedule(request, When::At(at.second()), duplicate, None).await?)
    }

    /// Delays a job by `delay_ms` milliseconds from the store's time.
    ///
    /// # Errors
    /// As [`enqueue_at`](Self::enqueue_at).
    pub async fn enqueue_in(
        &self,
        request: &Request,
        delay_ms: i64,
        duplicate: OnDuplicate,
    ) -> Result<(ResolvedJob, Scheduled), ClientError> {
        unmarked(self.schedule(request, When::In(delay_ms), duplicate, None).await?)
    }

    /// Delays a job, and leaves a mark. `None`: the mark stands, and nothing was done.
    pub(super) async fn schedule(
        &self,
        request: &Request,
        when: When,
        duplicate: OnDuplicate,
        marking: Option<Marking<'_>>,
    ) -> Result<Option<(ResolvedJob, Scheduled)>, ClientError> {
        let job = request.resolve(&self.registry)?;
        let jobs = vec![Schedule { payload: job.payload.clone(), when }];
        let mark = marking.map(|marking| marking.of(&job));
        let due_ms = || {
            let now = SystemClock.now_ms();
            match when {
                When::At(second) => now.max(second.saturating_mul(1000)),
                When::In(ms) => now.saturating_add(ms.max(0)),
            }
        };
        let known = self.known(None, due_ms).map(|identity| (job.queue.clone(), identity));
        let reply =
            self.store.run(ScheduleBatch { jobs, mark, known }).await.map_err(|error| self.unanswered(error))?;
        match (single(reply)?, duplicate) {
            (Scheduled::Marked, _) => Ok(None),
            (Scheduled::Duplicate(second), OnDuplicate::Refuse) => Err(ClientError::Duplicate { second }),
            (scheduled, _) => Ok(Some((job, scheduled))),
        }
    }
}
