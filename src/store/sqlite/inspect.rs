//! What people look at and correct.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

use super::commit::Handle;
use super::effect::ignored;
use super::engine::SqliteStore;
use super::number::{count, stored};
use super::room::{Room, STEP_BYTES};
use super::step::Step;
use super::value::{AnyValue, number, opt_int, text};
use super::{delayed, enqueue, failed, lengths, locks, retries, search};
use crate::job::{FirstQueues, QueueName, WorkerName};
use crate::store::arrow::Perform;
use crate::store::delayed::{
    DelayedCursor, DelayedSecond, DelayedSeconds, DelayedSecondsPage, DeleteDelayed, FailedAttempts, ReadAttempts,
};
use crate::store::error::StoreError;
use crate::store::failed_part::{FailedPart, ReadFailed};
use crate::store::inspection::{
    CountQueues, DeleteEach, DeleteJobs, DeleteLock, DeleteQueue, FailedCount, FindQueue, JobsToDelete, LockEntry,
    LockPlace, Locks, LocksFound, NAMES_LOOKED_AT, QueueEnd, QueueLength, QueueLengths, Queues, QueuesFound, ReadStats,
    SAMPLED_OTHERS, Stats,
};
use crate::store::jobs_part::{DelayedAt, JobsPart, Queued};
use crate::store::queueing::QueueNames;

impl Perform<QueueNames> for SqliteStore {
    async fn perform(&self, arrow: QueueNames) -> Result<Vec<QueueName>, StoreError> {
        self.reader.call(move |step| queue_names(step, arrow.limit)).await
    }
}

impl Perform<Queues> for SqliteStore {
    async fn perform(&self, arrow: Queues) -> Result<QueuesFound, StoreError> {
        self.reader.call(move |step| queues(step, &arrow)).await
    }
}

impl Perform<CountQueues> for SqliteStore {
    async fn perform(&self, arrow: CountQueues) -> Result<u64, StoreError> {
        let most = i64::try_from(arrow.most).unwrap_or(i64::MAX);
        let counted = move |step: &Step<'_>| {
            let mut select = step.sql("SELECT count(*) FROM (SELECT 1 FROM queues LIMIT ?1)")?;
            Ok(select.query_row([most], |row| Ok(count(row.get(0)?)))?)
        };
        self.reader.call(counted).await
    }
}

impl Perform<FindQueue> for SqliteStore {
    async fn perform(&self, arrow: FindQueue) -> Result<Option<QueueLength>, StoreError> {
        self.reader.call(move |step| find_queue(step, &arrow.queue)).await
    }
}

impl Perform<QueueLengths> for SqliteStore {
    async fn perform(&self, arrow: QueueLengths) -> Result<Vec<u64>, StoreError> {
        self.reader.call(move |step| arrow.queues.iter().map(|queue| lengths::length(step, queue)).collect()).await
    }
}

impl Perform<Queued> for SqliteStore {
    async fn perform(&self, arrow: Queued) -> Result<JobsPart, StoreError> {
        self.reader.call(move |step| lengths::queued(step, &arrow.queue, arrow.start, arrow.stop)).await
    }
}

impl Perform<DeleteJobs> for SqliteStore {
    async fn perform(&self, arrow: DeleteJobs) -> Result<u64, StoreError> {
        delete_jobs(&self.writer, &self.reader, arrow).await
    }
}

impl Perform<DeleteEach> for SqliteStore {
    async fn perform(&self, arrow: DeleteEach) -> Result<u64, StoreError> {
        search::remove(&self.writer, &self.reader, &arrow.queue, &arrow.to_delete, arrow.from).await
    }
}

impl Perform<DeleteQueue> for SqliteStore {
    async fn perform(&self, arrow: DeleteQueue) -> Result<u64, StoreError> {
        delete_queue(&self.writer, &arrow.queue, arrow.most).await
    }
}

impl Perform<FailedCount> for SqliteStore {
    async fn perform(&self, _: FailedCount) -> Result<u64, StoreError> {
        self.reader.call(failed::count).await
    }
}

impl Perform<ReadFailed> for SqliteStore {
    async fn perform(&self, arrow: ReadFailed) -> Result<FailedPart, StoreError> {
        self.reader.call(move |step| failed::part(step, &arrow)).await
    }
}

impl Perform<ReadStats> for SqliteStore {
    async fn perform(&self, arrow: ReadStats) -> Result<Stats, StoreError> {
        self.reader.call(move |step| stats(step, arrow.limit)).await
    }
}

impl Perform<DelayedSeconds> for SqliteStore {
    async fn perform(&self, arrow: DelayedSeconds) -> Result<DelayedSecondsPage, StoreError> {
        self.reader.call(move |step| delayed_seconds(step, &arrow.from, arrow.limit)).await
    }
}

impl Perform<DelayedAt> for SqliteStore {
    async fn perform(&self, arrow: DelayedAt) -> Result<JobsPart, StoreError> {
        self.reader.call(move |step| delayed_at(step, arrow.second, arrow.start, arrow.stop)).await
    }
}

impl Perform<ReadAttempts> for SqliteStore {
    async fn perform(&self, arrow: ReadAttempts) -> Result<Vec<Option<FailedAttempts>>, StoreError> {
        self.reader.call(move |step| arrow.keys.iter().map(|keys| retries::read(step, keys)).collect()).await
    }
}

impl Perform<DeleteDelayed> for SqliteStore {
    async fn perform(&self, arrow: DeleteDelayed) -> Result<Vec<i64>, StoreError> {
        delete_delayed(&self.writer, &arrow.payload).await
    }
}

impl Perform<Locks> for SqliteStore {
    async fn perform(&self, arrow: Locks) -> Result<LocksFound, StoreError> {
        self.reader.call(move |step| held_locks(step, &arrow)).await
    }
}

impl Perform<DeleteLock> for SqliteStore {
    async fn perform(&self, arrow: DeleteLock) -> Result<bool, StoreError> {
        self.writer.call(move |step| delete_lock(step, &arrow.key)).await
    }
}

/// The first known queues, as node-resque sorts them: by UTF-16 code units.
fn queue_names(step: &Step<'_>, limit: usize) -> Result<Vec<QueueName>, StoreError> {
    let mut first = FirstQueues::new(limit);
    enqueue::each_queue(step, limit.max(NAMES_LOOKED_AT), |name| first.add(name))?;
    Ok(first.into_names().collect())
}

fn find_queue(step: &Step<'_>, queue: &QueueName) -> Result<Option<QueueLength>, StoreError> {
    if !step.sql("SELECT 1 FROM queues WHERE name = ?1")?.exists([queue.as_str()])? {
        return Ok(None);
    }
    Ok(Some(QueueLength { queue: queue.clone(), length: lengths::length(step, queue)? }))
}

/// The first known queues with their lengths. If not all names are read, the jobs tell which queues hold some.
fn queues(step: &Step<'_>, arrow: &Queues) -> Result<QueuesFound, StoreError> {
    let limit = arrow.limit;
    let (mut names, looked_at) = (FirstQueues::new(limit), limit.max(NAMES_LOOKED_AT));
    let some = enqueue::each_queue(step, looked_at, |name| names.add(name))?;
    if some.more {
        let held: HashSet<QueueName> = lengths::holding(step, None, limit)?.0.into_iter().collect();
        let mut shown = FirstQueues::new(limit);
        let others =
            names.into_names().filter(|name| !held.contains(name)).take(SAMPLED_OTHERS.min(limit - held.len()));
        others.for_each(|name| shown.add(name));
        held.iter().cloned().for_each(|name| shown.add(name));
        names = shown;
    }
    let with_length = |queue: QueueName| {
        let length = lengths::length(step, &queue)?;
        Ok(QueueLength { queue, length })
    };
    let queues = names.into_names().map(with_length).collect::<Result<_, StoreError>>()?;
    let sampled_of = some.more.then(|| (looked_at as u64).saturating_add(1));
    Ok(QueuesFound { queues, sampled_of, unnamed: some.unnamed, unread: Vec::new() })
}

/// Deletes a queue with the jobs that stand on it now, some at a time.
pub(super) async fn delete_queue(writer: &Handle, queue: &QueueName, most: u64) -> Result<u64, StoreError> {
    let name = queue.clone();
    let last = move |step: &Step<'_>| {
        let mut last = step.sql("SELECT max(position) FROM jobs WHERE queue = ?1")?;
        let last = last.query_row([name.as_str()], |row| row.get::<_, AnyValue>(0))?;
        let length = if most == u64::MAX { 0 } else { lengths::length(step, &name)? };
        Ok((length, last))
    };
    let (length, last) = writer.call(last).await?;
    if length > most {
        return Ok(length);
    }
    let queue = queue.clone();
    let delete = move |step: &Step<'_>| {
        let some = step.changed(
            "DELETE FROM jobs WHERE queue = ?1 AND position IN (SELECT position FROM jobs \
             WHERE queue = ?1 AND position <= ?2 ORDER BY position LIMIT ?3)",
            params![queue.as_str(), last, search::DELETED],
        )?;
        step.count_departed(&queue, some);
        if stored(some) < search::DELETED {
            if step.finds("SELECT 1 FROM jobs WHERE queue = ?1 AND position <= ?2", params![queue.as_str(), last])? {
                return Err(ignored("jobs"));
            }
            // With the last of its jobs; one that got new jobs meanwhile stays known.
            let sql = "DELETE FROM queues WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE queue = ?1 LIMIT 1)";
            let stands =
                "SELECT 1 FROM queues WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE queue = ?1 LIMIT 1)";
            step.change_up_to(1, "queues", sql, [queue.as_str()], || step.finds(stands, [queue.as_str()]))?;
        }
        Ok(some)
    };
    search::repeated(writer, delete).await
}

/// Removes jobs of exactly these bytes from a queue, as `LREM` counts.
async fn delete_jobs(writer: &Handle, reader: &Handle, arrow: DeleteJobs) -> Result<u64, StoreError> {
    let DeleteJobs { queue, payload, count: wanted, locks } = arrow;
    let count = (wanted != 0).then_some(wanted.unsigned_abs());
    let from = if wanted < 0 { QueueEnd::Tail } else { QueueEnd::Head };
    search::remove(writer, reader, &queue, &[JobsToDelete { payload, count, locks }], from).await
}

/// The counters.
fn stats(step: &Step<'_>, limit: usize) -> Result<Stats, StoreError> {
    let (processed, failed) = (counter(step, "processed")?, counter(step, "failed")?);
    let workers = step
        .sql(
            "SELECT id, processed + coalesce(value, 0), failed + coalesce(other, 0) FROM workers \
             LEFT JOIN stats ON stats.name = 'worker:' || id ORDER BY id LIMIT ?1",
        )?
        .query_map([stored(limit)], |row| {
            let worker = WorkerName::parse(&text(row.get_ref(0)?));
            Ok((worker.name().to_owned(), number(row.get_ref(1)?), number(row.get_ref(2)?)))
        })?
        .collect::<Result<_, _>>()?;
    Ok(Stats { processed, failed, workers })
}

/// One of the counters for all workers.
pub(super) fn counter(step: &Step<'_>, name: &str) -> Result<u64, StoreError> {
    let mut read = step.sql("SELECT value FROM stats WHERE name = ?1")?;
    Ok(read.query_row([name], |row| Ok(number(row.get_ref(0)?))).optional()?.unwrap_or(0))
}

/// The delayed seconds behind a place. A second that is no whole number is never due and has no place.
pub(super) fn delayed_seconds(
    step: &Step<'_>,
    from: &DelayedCursor,
    limit: usize,
) -> Result<DelayedSecondsPage, StoreError> {
    let passed = from.score.parse::<i64>().ok();
    let first = passed.map_or(Some(i64::MIN), |second| second.checked_add(from.ties.min(1).cast_signed()));
    let Some(first) = first else { return Ok(DelayedSecondsPage { seconds: Vec::new(), next: None }) };
    let mut select = step.sql(
        "SELECT second, count(*) FROM delayed WHERE second >= ?1 AND typeof(second) = 'integer' \
         GROUP BY second ORDER BY second LIMIT ?2",
    )?;
    let rows = select.query_map([first, stored(limit)], |row| {
        let second = row.get(0)?;
        Ok(DelayedSecond { second, due_s: second, length: count(row.get(1)?) })
    })?;
    let seconds: Vec<_> = rows.collect::<Result<_, _>>()?;
    let last = seconds.last().filter(|_| seconds.len() >= limit);
    let next = last.map(|last| DelayedCursor { score: last.second.to_string(), ties: 1 });
    Ok(DelayedSecondsPage { seconds, next })
}

/// The jobs of a delayed second from position to position, as many as one step holds.
pub(super) fn delayed_at(step: &Step<'_>, second: i64, start: i64, stop: i64) -> Result<JobsPart, StoreError> {
    // From the beginning nobody need know how many there are.
    let length = match (start, stop) {
        (0.., -1..) => i64::MAX,
        _ => step
            .sql("SELECT count(*) FROM (SELECT 1 FROM delayed WHERE second = ?1 LIMIT -1)")?
            .query_row([second], |row| row.get(0))?,
    };
    let Some((offset, limit)) = lengths::range(length, start, stop) else { return Ok(JobsPart::default()) };
    let mut select = step.sql("SELECT payload FROM delayed WHERE second = ?1 ORDER BY place LIMIT ?2 OFFSET ?3")?;
    lengths::part(&mut select.query([second, limit, offset])?, (offset, limit))
}

/// Removes every delayed job of exactly these bytes, some at a time; tells the seconds.
pub(super) async fn delete_delayed(writer: &Handle, payload: &Bytes) -> Result<Vec<i64>, StoreError> {
    let mut seconds = BTreeSet::new();
    loop {
        let payload = payload.clone();
        let some = writer.call(move |step| delayed::remove_some(step, &payload, search::DELETED)).await?;
        let all = stored(some.len()) < search::DELETED;
        seconds.extend(some);
        if all {
            return Ok(seconds.into_iter().collect());
        }
    }
}

/// The locks that are held.
pub(super) fn held_locks(step: &Step<'_>, arrow: &Locks) -> Result<LocksFound, StoreError> {
    let mut select = step.sql(concat!(
        "SELECT key, substr(value, 1, 1024), expires_ms - ?3 FROM locks WHERE ?1 = ?2 AND ",
        locks::is_held!(),
        " ORDER BY key, verbatim LIMIT ?4 OFFSET ?5"
    ))?;
    // One more shows whether there are more.
    let limit = stored(arrow.limit).saturating_add(1);
    let mut rows = select.query(params![1, 1, step.now_ms, limit, stored(arrow.from.passed)])?;
    // Keys are made of arguments of any length.
    let mut room = Room::new(STEP_BYTES);
    let mut locks = room.fill(&mut rows, |row| {
        let (key, value, ttl_ms) = (text(row.get_ref(0)?), text(row.get_ref(1)?), opt_int(row.get_ref(2)?));
        Ok((key.len() + value.len(), LockEntry { key, value, ttl_ms: ttl_ms.map(count) }))
    })?;
    let more = locks.len() > arrow.limit || !room.is_left();
    locks.truncate(arrow.limit);
    let passed = arrow.from.passed.saturating_add(locks.len());
    Ok(LocksFound { locks, next: more.then(|| LockPlace { part: String::new(), passed }) })
}

/// Deletes a lock by its text.
pub(super) fn delete_lock(step: &Step<'_>, key: &str) -> Result<bool, StoreError> {
    let sql = concat!("DELETE FROM locks WHERE key = ?1 AND verbatim IN (0, ?2) AND ", locks::is_held!());
    let held = concat!("SELECT 1 FROM locks WHERE key = ?1 AND verbatim IN (0, ?2) AND ", locks::is_held!());
    let these = params![key, 1, step.now_ms];
    Ok(step.change_up_to(2, "locks", sql, these, || step.finds(held, these))? > 0)
}
