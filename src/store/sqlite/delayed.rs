//! Nowhere -> delayed, and the look at what is due.
//!
//! A row whose second is no whole number was written by another program. It is not known when it is due, so it is passed
//! over.

use bytes::Bytes;
use rusqlite::{OptionalExtension as _, params};

use super::digest::digest;
use super::effect::ignored;
use super::engine::SqliteStore;
use super::number::stored;
use super::room::{Room, STEP_BYTES};
use super::step::Step;
use super::value::{AnyValue, bytes, opt_text};
use super::{lengths, marks, retries};
use crate::job::queue_member::with_queue;
use crate::job::{Identity, QueueName};
use crate::store::arrow::Perform;
use crate::store::delayed::{DelayedIdentities, DelayedJob, MoveDelayed, MoveTo, ScheduledAt};
use crate::store::error::StoreError;
use crate::store::queueing::{ScheduleBatch, Scheduled, When};
use crate::store::scheduling::{DropEntry, Due, ReadDue, ReadTime, entry_of};
use crate::store::unreadable::{PassedOver, RecordKind};

impl Perform<ScheduleBatch> for SqliteStore {
    async fn perform(&self, arrow: ScheduleBatch) -> Result<Vec<Scheduled>, StoreError> {
        self.writer.call(move |step| schedule(step, &arrow)).await
    }
}

impl Perform<ReadDue> for SqliteStore {
    async fn perform(&self, arrow: ReadDue) -> Result<Due, StoreError> {
        self.reader.call(move |step| due(step, &arrow)).await
    }
}

impl Perform<ReadTime> for SqliteStore {
    async fn perform(&self, _: ReadTime) -> Result<i64, StoreError> {
        self.reader.call(|step| Ok(step.now_ms)).await
    }
}

/// Rows that cannot be read are passed over, so that no entry is ever in the way.
impl Perform<DropEntry> for SqliteStore {
    async fn perform(&self, _: DropEntry) -> Result<bool, StoreError> {
        Ok(false)
    }
}

impl Perform<ScheduledAt> for SqliteStore {
    async fn perform(&self, arrow: ScheduledAt) -> Result<Vec<i64>, StoreError> {
        self.reader.call(move |step| seconds(step, &arrow.payload)).await
    }
}

impl Perform<DelayedIdentities> for SqliteStore {
    async fn perform(&self, arrow: DelayedIdentities) -> Result<Vec<Option<Identity>>, StoreError> {
        self.reader.call(move |step| identities(step, &arrow)).await
    }
}

impl Perform<MoveDelayed> for SqliteStore {
    async fn perform(&self, arrow: MoveDelayed) -> Result<u64, StoreError> {
        self.writer.call(move |step| move_some(step, &arrow)).await
    }
}

/// Delays jobs, in order; of equal bytes only one per second. With a mark, which belongs to the only job, nothing if it stands.
fn schedule(step: &Step<'_>, arrow: &ScheduleBatch) -> Result<Vec<Scheduled>, StoreError> {
    let ScheduleBatch { jobs, mark, known } = arrow;
    let known = known.as_ref().map(|(_, identity)| identity.encode());
    if let Some(mark) = mark
        && marks::stands(step, &mark.key)?
    {
        return Ok(vec![Scheduled::Marked; jobs.len()]);
    }
    let mut taken = step.sql("SELECT 1 FROM delayed WHERE digest = ?1 AND second = ?2 AND payload = ?3")?;
    let mut outcomes = Vec::with_capacity(jobs.len());
    for job in jobs {
        let second = match job.when {
            When::At(second) => second,
            When::In(ms) => step.now_ms.saturating_add(ms).saturating_add(500).div_euclid(1000),
        };
        outcomes.push(if taken.exists(params![digest(&job.payload), second, &job.payload[..]])? {
            Scheduled::Duplicate(second)
        } else {
            insert(step, second, &job.payload, known.as_deref())?;
            if let Some(mark) = mark {
                marks::set(step, mark, Some(second))?;
            }
            Scheduled::At(second)
        });
    }
    Ok(outcomes)
}

/// Delays a job that was claimed from a queue, to which it goes back; never before its time, and without any check for
/// duplicates.
pub(super) fn put_off(
    step: &Step<'_>,
    delay_ms: u64,
    queue: &QueueName,
    payload: &Bytes,
    identity: &Identity,
) -> Result<(), StoreError> {
    insert(step, second_after(step, delay_ms), &with_queue(payload, queue.as_str()), Some(&identity.encode()))
}

/// The first second that is not before so many milliseconds from now.
pub(super) fn second_after(step: &Step<'_>, delay_ms: u64) -> i64 {
    let due_ms = step.now_ms.saturating_add(stored(delay_ms));
    due_ms.div_euclid(1000).saturating_add(i64::from(due_ms.rem_euclid(1000) > 0))
}

/// Puts a job at the end of a second.
pub(super) fn insert(step: &Step<'_>, second: i64, payload: &[u8], identity: Option<&str>) -> Result<(), StoreError> {
    step.wake();
    step.change(
        "delayed",
        "INSERT INTO delayed (second, place, digest, payload, identity) \
         VALUES (?1, coalesce((SELECT max(place) FROM delayed WHERE second = ?1 AND place < 9007199254740992), 0) + 1, \
                 ?2, ?3, ?4)",
        params![second, digest(payload), payload, identity],
    )
}

/// The condition under which a row is due at a second that a date holds (`stored.rs`). Any other is never due.
macro_rules! is_dated {
    () => {
        "typeof(second) = 'integer' AND second BETWEEN -8640000000000 AND 8640000000000"
    };
}

/// Is a job of these bytes delayed?
pub(super) fn stands(step: &Step<'_>, payload: &[u8]) -> Result<bool, StoreError> {
    Ok(step
        .sql(concat!("SELECT 1 FROM delayed WHERE digest = ?1 AND payload = ?2 AND ", is_dated!()))?
        .exists(params![digest(payload), payload])?)
}

/// The seconds at which jobs of these bytes are due, ascending.
pub(super) fn seconds(step: &Step<'_>, payload: &[u8]) -> Result<Vec<i64>, StoreError> {
    let mut select = step.sql(
        "SELECT DISTINCT second FROM delayed WHERE digest = ?1 AND payload = ?2 AND typeof(second) = 'integer' \
         ORDER BY second",
    )?;
    let seconds = select.query_map(params![digest(payload), payload], |row| row.get(0))?;
    Ok(seconds.collect::<Result<_, _>>()?)
}

/// Was a job of these bytes put off until this second by its run, to be tried again? `fresh`: one that has not begun.
pub(super) fn is_put_off(step: &Step<'_>, second: i64, payload: &[u8], fresh: bool) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM delayed WHERE digest = ?1 AND second = ?2 AND payload = ?3 \
               AND identity LIKE CASE WHEN ?4 THEN '% 1 0 0' ELSE '%' END";
    Ok(step.sql(sql)?.exists(params![digest(payload), second, payload, fresh])?)
}

/// Who delayed jobs are that were put off.
fn identities(step: &Step<'_>, arrow: &DelayedIdentities) -> Result<Vec<Option<Identity>>, StoreError> {
    let mut select = step.sql(
        "SELECT identity FROM delayed WHERE digest = ?1 AND second = ?2 AND payload = ?3 AND identity IS NOT NULL \
         ORDER BY place LIMIT 1",
    )?;
    let mut identity = |job: &DelayedJob| -> Result<Option<Identity>, StoreError> {
        let found = select
            .query_row(params![digest(&job.payload), job.second, &job.payload[..]], |row| Ok(opt_text(row.get_ref(0)?)))
            .optional()?;
        Ok(found.flatten().as_deref().and_then(Identity::decode))
    };
    arrow.jobs.iter().map(&mut identity).collect()
}

/// The earliest second at which a job of these bytes is due.
pub(super) fn earliest_of(step: &Step<'_>, payload: &[u8]) -> Result<Option<i64>, StoreError> {
    Ok(step
        .sql(concat!("SELECT min(second) FROM delayed WHERE digest = ?1 AND payload = ?2 AND ", is_dated!()))?
        .query_row(params![digest(payload), payload], |row| row.get(0))?)
}

/// The condition under which a delayed row has not begun, or was only put back by a JobLock before it could: it has no identity, or
/// that of a first run.
macro_rules! is_tick {
    () => {
        "(identity IS NULL OR identity LIKE '% 1 0 0')"
    };
}

/// The same among those that have not begun.
pub(super) fn earliest_tick(step: &Step<'_>, payload: &[u8]) -> Result<Option<i64>, StoreError> {
    let sql = concat!(
        "SELECT min(second) FROM delayed WHERE digest = ?1 AND payload = ?2 AND ",
        is_dated!(),
        " AND ",
        is_tick!()
    );
    Ok(step.sql(sql)?.query_row(params![digest(payload), payload], |row| row.get(0))?)
}

/// Removes at most so many jobs of these bytes that have not begun. Are there no others?
pub(super) fn remove_ticks(step: &Step<'_>, payload: &[u8], limit: i64) -> Result<bool, StoreError> {
    let sql = concat!(
        "DELETE FROM delayed WHERE (second, place) IN \
         (SELECT second, place FROM delayed WHERE digest = ?1 AND payload = ?2 AND ",
        is_tick!(),
        " LIMIT ?3)"
    );
    let removed = step.changed(sql, params![digest(payload), payload, limit])?;
    let stands = concat!("SELECT 1 FROM delayed WHERE digest = ?1 AND payload = ?2 AND ", is_tick!());
    let others = step.finds(stands, params![digest(payload), payload])?;
    if others && removed == 0 { Err(ignored("delayed")) } else { Ok(!others) }
}

/// Removes at most so many jobs of these bytes. Are there no others?
pub(super) fn remove(step: &Step<'_>, payload: &[u8], limit: i64) -> Result<bool, StoreError> {
    let sql = "DELETE FROM delayed WHERE (second, place) IN \
               (SELECT second, place FROM delayed WHERE digest = ?1 AND payload = ?2 LIMIT ?3)";
    let removed = step.changed(sql, params![digest(payload), payload, limit])?;
    let these = params![digest(payload), payload];
    let others = step.finds("SELECT 1 FROM delayed WHERE digest = ?1 AND payload = ?2", these)?;
    if others && removed == 0 { Err(ignored("delayed")) } else { Ok(!others) }
}

/// Removes at most so many jobs of these bytes; tells the second of each.
pub(super) fn remove_some(step: &Step<'_>, payload: &[u8], limit: i64) -> Result<Vec<i64>, StoreError> {
    let found: Vec<(i64, AnyValue)> = step
        .sql(
            "SELECT second, place FROM delayed WHERE digest = ?1 AND payload = ?2 AND typeof(second) = 'integer' LIMIT ?3",
        )?
        .query_map(params![digest(payload), payload, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (second, place) in &found {
        step.change("delayed", "DELETE FROM delayed WHERE second = ?1 AND place = ?2", params![second, place])?;
    }
    if !found.is_empty() {
        retries::forget_job(step, payload)?;
    }
    Ok(found.into_iter().map(|(second, _)| second).collect())
}

/// Moves or removes jobs of one second. An identity stands in the row, and goes with it.
fn move_some(step: &Step<'_>, arrow: &MoveDelayed) -> Result<u64, StoreError> {
    let target = match arrow.to {
        MoveTo::Now => Some(step.now_ms.div_euclid(1000)),
        MoveTo::Second(second) => Some(second),
        MoveTo::Nowhere => None,
    };
    let mut moved = 0;
    for payload in &arrow.jobs {
        let found: Option<(AnyValue, Option<String>)> = step
            .sql(
                "SELECT place, identity FROM delayed WHERE digest = ?1 AND second = ?2 AND payload = ?3 \
                 ORDER BY place LIMIT 1",
            )?
            .query_row(params![digest(payload), arrow.second, &payload[..]], |row| {
                Ok((row.get(0)?, opt_text(row.get_ref(1)?)))
            })
            .optional()?;
        let Some((place, identity)) = found.filter(|_| target != Some(arrow.second)) else { continue };
        step.change("delayed", "DELETE FROM delayed WHERE second = ?1 AND place = ?2", params![arrow.second, place])?;
        match target {
            Some(second) => insert(step, second, payload, identity.as_deref())?,
            None if !stands(step, payload)? => retries::forget_job(step, payload)?,
            None => {}
        }
        moved += 1;
    }
    Ok(moved)
}

/// The earliest second.
pub(super) fn earliest(step: &Step<'_>) -> Result<Option<i64>, StoreError> {
    Ok(step.sql("SELECT min(second) FROM delayed WHERE typeof(second) = 'integer'")?.query_row([], |row| row.get(0))?)
}

/// The earliest second that is not passed over and, if it is due or soon will be, its first jobs.
fn due(step: &Step<'_>, read: &ReadDue) -> Result<Due, StoreError> {
    let ReadDue { limit, passed, ahead_ms, begun: _ } = read;
    let mut second = earliest(step)?;
    count_unreadable(step, second)?;
    while let Some(first) = second.filter(|second| passed.contains(&entry_of(*second))) {
        second = step
            .sql("SELECT min(second) FROM delayed WHERE second > ?1 AND typeof(second) = 'integer'")?
            .query_row([first], |row| row.get(0))?;
    }
    let mut due = Due { now_ms: step.now_ms, second, due_s: second, ..Due::default() };
    let until_ms = step.now_ms.saturating_add(stored(*ahead_ms));
    if let Some(second) = second.filter(|second| second.saturating_mul(1000) <= until_ms) {
        let mut select = step.sql("SELECT payload FROM delayed WHERE second = ?1 ORDER BY place LIMIT ?2")?;
        due.jobs = Room::new(STEP_BYTES).fill(&mut select.query([second, stored(*limit)])?, lengths::job)?;
    }
    Ok(due)
}

/// Counts and names the jobs whose second cannot be read, a bounded number: text and bytes stand behind all numbers,
/// and what stands before the first whole number is none. Others are named when they have come to the front.
pub(super) fn count_unreadable(step: &Step<'_>, first: Option<i64>) -> Result<(), StoreError> {
    let mut passed = PassedOver::new(RecordKind::Delayed);
    let mut select = step.sql(
        "SELECT quote(second) FROM (SELECT second FROM delayed WHERE second >= '' LIMIT 1000) UNION ALL \
         SELECT quote(second) FROM (SELECT second FROM delayed WHERE second < coalesce(?1, 9e999) LIMIT 1000)",
    )?;
    let mut rows = select.query([first])?;
    while let Some(row) = rows.next()? {
        passed.add(&bytes(row.get_ref(0)?), "its second is no whole number");
    }
    // One between whole numbers has gone to the back when a job came that is due before it.
    let findings = step.findings();
    if passed.unreadable("").is_none()
        && findings.passes_over(RecordKind::Delayed)
        && step.finds(
            "SELECT 1 FROM (SELECT second FROM delayed WHERE second >= ?1 LIMIT 100000) WHERE typeof(second) <> 'integer'",
            [first],
        )?
    {
        passed.ends_early();
    }
    findings.passed_over(&passed, "the table delayed");
    Ok(())
}
