//! Nowhere -> queue.

use bytes::Bytes;
use futures_util::future::join_all;

use super::connection::Connection;
use super::engine::RedisStore;
use super::keys::Keys;
use super::lending::Lending;
use super::script::{Call, Script, calls_of, script};
use super::{reply, verdict};
use crate::store::arrow::Perform;
use crate::store::effect::{Admission, RetryKeys};
use crate::store::error::StoreError;
use crate::store::marks::KEPT_S;
use crate::store::queueing::{Enqueue, EnqueueBatch, EnqueueTracked, Enqueued};
use crate::store::runs::TRACKED_FOR;

static ENQUEUE: Script = script!("locks", "admit", "departed", "enqueue");
static ENQUEUE_LENT: Script = script!("lend", "lent", "locks", "admit", "departed", "enqueue");
static ENQUEUE_TRACKED: Script =
    script!("locks", "admit", "places", "departed", "identity", "remember", "enqueue_tracked");

/// How many jobs one call carries at most, so that no call holds the server up for long.
const BATCH: usize = 500;

impl Perform<EnqueueBatch> for RedisStore {
    async fn perform(&self, arrow: EnqueueBatch) -> Result<Vec<Enqueued>, StoreError> {
        enqueue(&self.connection, &arrow.jobs).await
    }
}

impl Perform<EnqueueTracked> for RedisStore {
    async fn perform(&self, arrow: EnqueueTracked) -> Result<Enqueued, StoreError> {
        enqueue_tracked(&self.connection, &arrow).await
    }
}

async fn enqueue_tracked(connection: &Connection, arrow: &EnqueueTracked) -> Result<Enqueued, StoreError> {
    let EnqueueTracked { job, identity, tracked } = arrow;
    let keys = connection.keys();
    let told = tracked.as_ref().map(|tracked| Bytes::from(tracked.encode())).unwrap_or_default();
    let mut call = connection.call();
    verdict::places(&mut call, keys);
    call.key(keys.departed()).key(keys.queue(&job.queue)).key(keys.tracked(&identity.id));
    call.literal(if job.front { "LPUSH" } else { "RPUSH" }).text(job.queue.as_str()).arg(job.payload.clone());
    call.arg(verdict::encoded(identity)).arg(told).number(TRACKED_FOR.as_millis());
    admissions(&mut call, keys, &job.payload, &job.admissions);
    Ok(match reply::number(connection.run(&ENQUEUE_TRACKED, call).await?)? {
        0 => Enqueued::Yes,
        number => Enqueued::Refused { plugin: refusing(&job.admissions, number) },
    })
}

/// Jobs of one call that are pushed by one command: neighbours of one queue without admissions, or
/// a single job with them.
struct Entry<'a> {
    jobs: &'a [Enqueue],
}

pub(super) async fn enqueue(connection: &Connection, jobs: &[Enqueue]) -> Result<Vec<Enqueued>, StoreError> {
    let calls = calls_of(jobs, BATCH, |job| job.payload.len());
    // All calls are under way at once, over one connection and therefore in order.
    together(join_all(calls.into_iter().map(|batch| enqueue_batch(connection, batch))).await)
}

/// The replies of several calls as one. If one of them was refused and another one may have been taken, it is not certain
/// that nothing was changed.
pub(super) fn together<T>(replies: Vec<Result<Vec<T>, StoreError>>) -> Result<Vec<T>, StoreError> {
    let refused = |reply: &Result<_, StoreError>| reply.as_ref().is_err_and(StoreError::is_refusal);
    let in_part = replies.iter().any(|reply| !refused(reply));
    let mut all = Vec::new();
    for reply in replies {
        match reply {
            Ok(mut part) => all.append(&mut part),
            Err(error) if in_part && error.is_refusal() => {
                return Err(StoreError::Unavailable(format!("a part was refused: {error}")));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

async fn enqueue_batch(connection: &Connection, jobs: &[Enqueue]) -> Result<Vec<Enqueued>, StoreError> {
    let entries: Vec<Entry<'_>> = jobs.chunk_by(pushed_together).map(|jobs| Entry { jobs }).collect();
    let keys = connection.keys();
    let mut call = Call::sized(connection.origin.now_ms(), entries.len() * 2 + 2, entries.len() * 4 + jobs.len());
    call.key(keys.departed()).key(keys.queues()).number(entries.len());
    let mut lending = Lending::default();
    for entry in &entries {
        let Some(first) = entry.jobs.first() else { continue };
        call.key(keys.queue(&first.queue)).literal(if first.front { "LPUSH" } else { "RPUSH" });
        call.text(first.queue.as_str()).number(entry.jobs.len());
        for job in entry.jobs {
            call.arg(job.payload.clone());
        }
        let from = call.lengths();
        admissions(&mut call, keys, &first.payload, &first.admissions);
        // Such a job is alone in its entry.
        lending.lend_argument(&mut call, from, (from.1 - 1, &first.payload));
    }
    let script = lending.pick(&mut call, [&ENQUEUE, &ENQUEUE_LENT]);
    let verdicts = reply::list(connection.run(script, call).await?)?;
    let mut enqueued = Vec::with_capacity(jobs.len());
    for (entry, verdict) in entries.iter().zip(verdicts) {
        let refused_by = match reply::number(verdict)? {
            0 => None,
            number => entry.jobs.first().map(|job| refusing(&job.admissions, number)),
        };
        let outcome = refused_by.map_or(Enqueued::Yes, |plugin| Enqueued::Refused { plugin });
        enqueued.extend(std::iter::repeat_n(outcome, entry.jobs.len()));
    }
    Ok(enqueued)
}

fn pushed_together(one: &Enqueue, next: &Enqueue) -> bool {
    one.admissions.is_empty() && next.admissions.is_empty() && one.queue == next.queue && one.front == next.front
}

/// What `admit.lua` reads.
pub(super) fn admissions(call: &mut Call, keys: &Keys, payload: &Bytes, admissions: &[Admission]) {
    call.number(admissions.len());
    for admission in admissions {
        match admission {
            Admission::TakeLock { key, ttl_s, .. } => {
                call.literal("T").key(keys.lock(key)).number(ttl_s);
            }
            Admission::NotDelayed { .. } => {
                call.literal("N").key(keys.timestamps(payload));
            }
            Admission::NotRepeating { keys: RetryKeys { counter, .. }, .. } => {
                call.literal("R").key(keys.timestamps(payload)).key(keys.named(counter));
            }
            Admission::Once { mark } => {
                call.literal("O").key(keys.mark(&mark.key)).text(&mark.text(None)).number(KEPT_S);
            }
        }
    }
}

/// The plugin of the admission that refused, by its number from 1.
pub(super) fn refusing(admissions: &[Admission], number: i64) -> &'static str {
    let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
    admissions.get(index).map_or("", Admission::plugin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_certain_only_if_every_call_was_refused() {
        let (full, lost) = (|| StoreError::Full("f".to_owned()), || StoreError::Unavailable("u".to_owned()));
        assert_eq!(together(vec![Ok(vec![1, 2]), Ok(vec![3])]), Ok(vec![1, 2, 3]));
        assert_eq!(together::<u8>(vec![Err(full()), Err(full())]), Err(full()));
        assert_eq!(together::<u8>(vec![Err(lost()), Err(full())]), Err(lost()));
        for replies in [vec![Ok(vec![1]), Err(full())], vec![Err(full()), Ok(vec![1])], vec![Err(full()), Err(lost())]]
        {
            let error = together(replies).expect_err("one was refused");
            assert!(!error.changed_nothing(), "{error}");
        }
        let corrupt = || StoreError::Corrupt { place: "a key".to_owned(), reason: "a list".to_owned() };
        assert_eq!(together::<u8>(vec![Err(corrupt()), Err(corrupt())]), Err(corrupt()));
        let error = together(vec![Ok(vec![1]), Err(corrupt())]).expect_err("one was refused");
        assert!(!error.is_refusal(), "{error}");
    }
}
