//! Nowhere -> queue, and the queues that are known by that.

use std::collections::HashSet;

use rusqlite::params;
use rusqlite::types::ValueRef;

use super::engine::SqliteStore;
use super::number::{count, stored};
use super::step::Step;
use super::value::{bytes, opt_int};
use super::{delayed, locks, marks, retries, runs};
use crate::job::QueueName;
use crate::job::name::LONGEST_NAME;
use crate::store::arrow::Perform;
use crate::store::effect::Admission;
use crate::store::error::StoreError;
use crate::store::queueing::{Enqueue, EnqueueBatch, EnqueueTracked, Enqueued};
use crate::store::unreadable::{PassedOver, RecordKind};

impl Perform<EnqueueBatch> for SqliteStore {
    async fn perform(&self, arrow: EnqueueBatch) -> Result<Vec<Enqueued>, StoreError> {
        self.writer.call(move |step| enqueue(step, &arrow.jobs)).await
    }
}

impl Perform<EnqueueTracked> for SqliteStore {
    async fn perform(&self, arrow: EnqueueTracked) -> Result<Enqueued, StoreError> {
        self.writer.call(move |step| enqueue_tracked(step, &arrow)).await
    }
}

fn enqueue_tracked(step: &Step<'_>, arrow: &EnqueueTracked) -> Result<Enqueued, StoreError> {
    let EnqueueTracked { job, identity, tracked } = arrow;
    if let Some(plugin) = refused(step, &job.admissions, &job.payload)? {
        return Ok(Enqueued::Refused { plugin });
    }
    take_locks(step, &job.admissions)?;
    make_known(step, &job.queue)?;
    let who = identity.encode();
    if job.front {
        push_head(step, &job.queue, &job.payload, Some(&who), Some(step.now_ms))?;
        step.count_arrived(&job.queue);
    } else {
        push_tail(step, &job.queue, &job.payload, Some(&who))?;
    }
    if let Some(tracked) = tracked {
        runs::track(step, &identity.id, tracked)?;
    }
    Ok(Enqueued::Yes)
}

/// Judges and pushes jobs, in order.
pub(super) fn enqueue(step: &Step<'_>, jobs: &[Enqueue]) -> Result<Vec<Enqueued>, StoreError> {
    let mut known = HashSet::new();
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs {
        if let Some(plugin) = refused(step, &job.admissions, &job.payload)? {
            outcomes.push(Enqueued::Refused { plugin });
            continue;
        }
        take_locks(step, &job.admissions)?;
        if known.insert(&job.queue) {
            make_known(step, &job.queue)?;
        }
        if job.front {
            push_first(step, &job.queue, &job.payload)?;
        } else {
            push_tail(step, &job.queue, &job.payload, None)?;
        }
        outcomes.push(Enqueued::Yes);
    }
    Ok(outcomes)
}

/// The first plugin that refuses, if one does. Writes nothing.
pub(super) fn refused(
    step: &Step<'_>,
    admissions: &[Admission],
    payload: &[u8],
) -> Result<Option<&'static str>, StoreError> {
    for admission in admissions {
        match admission {
            Admission::TakeLock { plugin, key, .. } if locks::queue_lock_refuses(step, key)? => {
                return Ok(Some(*plugin));
            }
            Admission::NotDelayed { plugin } if delayed::stands(step, payload)? => return Ok(Some(*plugin)),
            Admission::NotRepeating { plugin, keys }
                if delayed::stands(step, payload)? && retries::stand(step, keys)? =>
            {
                return Ok(Some(*plugin));
            }
            Admission::Once { mark } if marks::stands(step, &mark.key)? => return Ok(Some(admission.plugin())),
            Admission::TakeLock { .. }
            | Admission::NotDelayed { .. }
            | Admission::NotRepeating { .. }
            | Admission::Once { .. } => {}
        }
    }
    Ok(None)
}

/// Takes the locks of admissions that were all granted, and writes their marks.
pub(super) fn take_locks(step: &Step<'_>, admissions: &[Admission]) -> Result<(), StoreError> {
    for admission in admissions {
        match admission {
            Admission::TakeLock { key, ttl_s, .. } => locks::take_queue_lock(step, key, *ttl_s)?,
            Admission::Once { mark } => marks::set(step, mark, None)?,
            Admission::NotDelayed { .. } | Admission::NotRepeating { .. } => {}
        }
    }
    Ok(())
}

/// Makes a queue known.
pub(super) fn make_known(step: &Step<'_>, queue: &QueueName) -> Result<(), StoreError> {
    if step.finds("SELECT 1 FROM queues WHERE name = ?1", [queue.as_str()])? {
        return Ok(());
    }
    step.change("queues", "INSERT INTO queues (name) VALUES (?1)", [queue.as_str()])
}

/// Puts a job at the end of a queue. Positions beyond those that numbers count exactly are another program's, and are
/// counted on from only if the last of the others is taken.
pub(super) fn push_tail(
    step: &Step<'_>,
    queue: &QueueName,
    payload: &[u8],
    identity: Option<&str>,
) -> Result<(), StoreError> {
    const TAIL: &str = "INSERT INTO jobs (queue, position, payload, identity, enqueued_ms) \
         SELECT ?1, CASE WHEN last < 9007199254740991 THEN last + 1 ELSE \
            (SELECT max(position) FROM jobs WHERE queue = ?1 AND position < 4611686018427387904) + 1 END, ?2, ?3, ?4 FROM \
            (SELECT coalesce(max(position), 0) AS last FROM jobs WHERE queue = ?1 AND position < 9007199254740992)";
    step.wake();
    step.change("jobs", TAIL, params![queue.as_str(), payload, identity, step.now_ms])?;
    step.count_arrived(queue);
    Ok(())
}

/// Puts a new job at the head of a queue.
fn push_first(step: &Step<'_>, queue: &QueueName, payload: &[u8]) -> Result<(), StoreError> {
    push_head(step, queue, payload, None, Some(step.now_ms))?;
    step.count_arrived(queue);
    Ok(())
}

/// Gives a job back to the head of its queue. `came_ms`: when it came there first, if that is known.
pub(super) fn give_back(
    step: &Step<'_>,
    queue: &QueueName,
    payload: &[u8],
    identity: Option<&str>,
    came_ms: Option<i64>,
) -> Result<(), StoreError> {
    push_head(step, queue, payload, identity, came_ms)?;
    step.count_returned(queue);
    Ok(())
}

fn push_head(
    step: &Step<'_>,
    queue: &QueueName,
    payload: &[u8],
    identity: Option<&str>,
    came_ms: Option<i64>,
) -> Result<(), StoreError> {
    const HEAD: &str = "INSERT INTO jobs (queue, position, payload, identity, enqueued_ms) \
         SELECT ?1, CASE WHEN first > -9007199254740991 THEN first - 1 ELSE \
            (SELECT min(position) FROM jobs WHERE queue = ?1 AND position > -4611686018427387904) - 1 END, ?2, ?3, ?4 FROM \
            (SELECT coalesce(min(position), 0) AS first FROM jobs WHERE queue = ?1 AND position > -9007199254740992)";
    step.wake();
    step.change("jobs", HEAD, params![queue.as_str(), payload, identity, came_ms])
}

/// The place of the known queues in messages.
const QUEUES: &str = "the table queues";

/// What a look at the names of queues found beside them.
pub(super) struct SomeQueues {
    /// Are there more than were read?
    pub(super) more: bool,
    /// Those that are passed over.
    pub(super) unnamed: Option<String>,
}

/// Passes on the first `most` known queues, in the order of their bytes.
pub(super) fn each_queue(
    step: &Step<'_>,
    most: usize,
    mut each: impl FnMut(QueueName),
) -> Result<SomeQueues, StoreError> {
    // What is too long to be a name is not read.
    let mut select = step.sql(
        "SELECT iif(octet_length(name) <= ?2, name, NULL), octet_length(name) FROM queues ORDER BY name LIMIT ?1",
    )?;
    let mut rows = select.query([stored(most).saturating_add(1), stored(LONGEST_NAME)])?;
    let mut passed = PassedOver::new(RecordKind::Queue);
    let (mut looked_at, mut more, mut long) = (0, false, None);
    while let Some(row) = rows.next()? {
        if looked_at == most {
            more = true;
            break;
        }
        looked_at += 1;
        let name = row.get_ref(0)?;
        if name == ValueRef::Null {
            long = long.max(Some(count(opt_int(row.get_ref(1)?).unwrap_or(0))));
            continue;
        }
        match name.as_str() {
            Ok(name) => each(QueueName::as_stored(name)),
            // Nothing that is text equals it.
            Err(_) => passed.add(&bytes(name), "no text in UTF-8, so that nothing works on its jobs"),
        }
    }
    if let Some(length) = long {
        too_long(step, "queues", "name", length);
    }
    let unreadable = passed.unreadable(QUEUES);
    // That a part of the names can be read does not mean that all can.
    if !more || unreadable.is_some() {
        step.findings().passed_over(&passed, QUEUES);
    }
    Ok(SomeQueues { more, unnamed: unreadable.map(|one| one.text) })
}

/// Tells that a table holds what is too long to be a name.
pub(super) fn too_long(step: &Step<'_>, table: &str, column: &str, length: u64) {
    let text = format!(
        "a {column} in the table {table} has {length} bytes, where {LONGEST_NAME} are the most; what is too long is passed over. \
         Remove it: sqlite3 FILE \"DELETE FROM {table} WHERE octet_length({column}) > {LONGEST_NAME}\""
    );
    step.findings().tell(&format!("long names of {table}"), text);
}
