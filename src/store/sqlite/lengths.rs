//! How many jobs queues hold, which stand where, and when the oldest of them came.

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, Rows, params};

use super::number::{count, stored};
use super::room::Room;
use super::step::Step;
use super::value::{AnyValue, bytes, opt_int};
use crate::job::QueueName;
use crate::store::error::StoreError;
use crate::store::jobs_part::{JOBS_READ_BYTES, JobsPart};

/// Up to how many jobs of a queue are counted one by one.
const COUNTED: i64 = 1000;

/// How many jobs a queue holds. Many are not counted here: that they came and left was counted, right unless another program
/// wrote into the table since a claim last emptied the queue.
pub(super) fn length(step: &Step<'_>, queue: &QueueName) -> Result<u64, StoreError> {
    let counted: i64 = step
        .sql("SELECT count(*) FROM (SELECT 1 FROM jobs WHERE queue = ?1 LIMIT ?2)")?
        .query_row(params![queue.as_str(), COUNTED + 1], |row| row.get(0))?;
    let exact = counted <= COUNTED;
    let standing = if exact { None } else { counts(step, queue)? };
    Ok(count(standing.map_or(counted, |(arrived, departed)| arrived.saturating_sub(departed).max(counted))))
}

/// The first `most` queues behind this one that hold jobs, in the order of their bytes, and the last one if there may be more.
/// Each is found behind the one before, so that its jobs cost nothing.
pub(super) fn holding(
    step: &Step<'_>,
    after: Option<&str>,
    most: usize,
) -> Result<(Vec<QueueName>, Option<String>), StoreError> {
    let (mut found, mut after) = (Vec::new(), after.map(|after| after.as_bytes().to_vec()));
    let mut first = step.sql("SELECT queue FROM jobs ORDER BY queue LIMIT 1")?;
    let mut next = step.sql("SELECT queue FROM jobs WHERE queue > CAST(?1 AS TEXT) ORDER BY queue LIMIT 1")?;
    // What is no text stands behind all that is.
    let read = |row: &rusqlite::Row<'_>| Ok(row.get_ref(0)?.as_bytes().map(<[u8]>::to_vec).ok());
    for _ in 0..most {
        let queue = match &after {
            None => first.query_row([], read).optional()?,
            Some(after) => next.query_row([after], read).optional()?,
        };
        let Some(queue) = queue.flatten().filter(|queue| after.as_ref().is_none_or(|after| queue > after)) else {
            return Ok((found, None));
        };
        // Nobody can name what is no UTF-8.
        found.extend(std::str::from_utf8(&queue).ok().map(QueueName::as_stored));
        after = Some(queue);
    }
    let last = found.last().map(|queue| queue.as_str().to_owned());
    Ok((found, last))
}

/// How many jobs came to a queue and how many left it.
pub(super) fn counts(step: &Step<'_>, queue: &QueueName) -> Result<Option<(i64, i64)>, StoreError> {
    let mut select = step.sql("SELECT value, other FROM stats WHERE name = 'queue:' || ?1")?;
    let read = |row: &rusqlite::Row<'_>| Ok(opt_int(row.get_ref(0)?).zip(opt_int(row.get_ref(1)?)));
    Ok(select.query_row([queue.as_str()], read).optional()?.flatten())
}

/// How many jobs at the head of a queue are looked at for the oldest.
const HEADS: i64 = 32;

/// When the oldest job of a queue came, if that is known. That is the first one, unless younger ones were put before it.
pub(super) fn oldest_ms(step: &Step<'_>, queue: &QueueName) -> Result<Option<i64>, StoreError> {
    let mut select = step.sql("SELECT enqueued_ms FROM jobs WHERE queue = ?1 ORDER BY position LIMIT ?2")?;
    let mut rows = select.query(params![queue.as_str(), HEADS])?;
    let mut oldest: Option<i64> = None;
    while let Some(row) = rows.next()? {
        // Who came at an unknown time came before all others.
        let Some(came) = opt_int(row.get_ref(0)?) else { return Ok(None) };
        if oldest.is_some_and(|oldest| oldest < came) {
            break;
        }
        oldest = Some(came);
    }
    Ok(oldest)
}

/// A job, and how many bytes it has.
pub(super) fn job(row: &Row<'_>) -> rusqlite::Result<(usize, Bytes)> {
    let job = Bytes::from(bytes(row.get_ref(0)?));
    Ok((job.len(), job))
}

/// As many of these jobs as one step holds. They are asked for from an offset on, so many at most.
pub(super) fn part(rows: &mut Rows<'_>, (offset, limit): (i64, i64)) -> Result<JobsPart, StoreError> {
    let mut room = Room::new(JOBS_READ_BYTES);
    let jobs = room.fill(rows, job)?;
    let read = stored(jobs.len());
    let rest = (!room.is_left() && read < limit).then(|| offset.saturating_add(read));
    Ok(JobsPart { jobs, rest })
}

/// The jobs of a queue from position to position, as many as one step holds.
pub(super) fn queued(step: &Step<'_>, queue: &QueueName, start: i64, stop: i64) -> Result<JobsPart, StoreError> {
    if start < 0 && stop < 0 {
        return from_tail(step, queue, start, stop);
    }
    let known = if start >= 0 && (stop >= 0 || stop == -1) {
        let limit = if stop < 0 { i64::MAX } else { stop.saturating_sub(start).saturating_add(1) };
        (limit > 0).then_some((start, limit))
    } else {
        range(stored(length(step, queue)?), start, stop)
    };
    // The rest counts from the head, where a queue is shortest to pass through.
    let Some((offset, limit)) = known else { return Ok(JobsPart::default()) };
    let mut select = step.sql("SELECT payload FROM jobs WHERE queue = ?1 ORDER BY position LIMIT ?2 OFFSET ?3")?;
    part(&mut select.query(params![queue.as_str(), limit, offset])?, (offset, limit))
}

/// Both positions count from the end, so that nobody need know how many jobs stand before the first.
fn from_tail(step: &Step<'_>, queue: &QueueName, start: i64, stop: i64) -> Result<JobsPart, StoreError> {
    let (first, behind): (AnyValue, i64) = step
        .sql(
            "SELECT min(position), count(*) FROM \
             (SELECT position FROM jobs WHERE queue = ?1 ORDER BY position DESC LIMIT ?2)",
        )?
        .query_row(params![queue.as_str(), start.saturating_neg()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let limit = behind.saturating_add(stop).saturating_add(1);
    if limit <= 0 {
        return Ok(JobsPart::default());
    }
    let mut select =
        step.sql("SELECT payload FROM jobs WHERE queue = ?1 AND position >= ?2 ORDER BY position LIMIT ?3")?;
    part(&mut select.query(params![queue.as_str(), first, limit])?, (-behind, limit))
}

/// Offset and number of the items from `start` to `stop`, both inclusive, as Redis' LRANGE counts.
pub(super) fn range(length: i64, start: i64, stop: i64) -> Option<(i64, i64)> {
    let from_end = |at: i64| if at < 0 { at.saturating_add(length) } else { at };
    let start = from_end(start).max(0);
    let stop = from_end(stop).min(length - 1);
    (start <= stop).then(|| (start, stop - start + 1))
}

impl Step<'_> {
    /// A job came to a queue.
    pub(super) fn count_arrived(&self, queue: &QueueName) {
        self.counts.borrow_mut().of(queue).add(1, 0);
    }

    /// Jobs left a queue.
    pub(super) fn count_departed(&self, queue: &QueueName, jobs: usize) {
        if jobs > 0 {
            self.counts.borrow_mut().of(queue).add(0, stored(jobs));
        }
    }

    /// A job was given back to a queue that it had left.
    pub(super) fn count_returned(&self, queue: &QueueName) {
        self.counts.borrow_mut().of(queue).add(0, -1);
    }

    /// No job is left on a queue.
    pub(super) fn count_emptied(&self, queue: &QueueName) {
        self.counts.borrow_mut().of(queue).emptied();
    }
}

#[cfg(test)]
mod tests {
    use super::range;

    #[test]
    fn positions_count_as_redis_counts_them() {
        assert_eq!(range(5, 0, -1), Some((0, 5)));
        assert_eq!(range(5, -2, -1), Some((3, 2)));
        assert_eq!(range(5, -9, 1), Some((0, 2)));
        assert_eq!(range(5, 2, 99), Some((2, 3)));
        assert_eq!(range(5, 5, 9), None);
        assert_eq!(range(5, 3, 2), None);
        assert_eq!(range(0, 0, -1), None);
        assert_eq!(range(5, i64::MIN, i64::MIN), None);
    }
}
