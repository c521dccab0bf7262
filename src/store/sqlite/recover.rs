//! Jobs of dead owners, workers that are force-cleaned, and what is known of workers.

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row, params};

use super::engine::SqliteStore;
use super::enqueue::too_long;
use super::number::{count, stored};
use super::sparing::sparing;
use super::step::Step;
use super::value::{opt_int, opt_text, second, text};
use super::verdict::{self, CounterDeltas};
use super::{lease, locks, periodic, retries, runs, working};
use crate::job::WorkerName;
use crate::job::name::LONGEST_NAME;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::unreadable::{PassedOver, RecordKind};
use crate::store::workers::{
    ForceClean, LockValues, MOST_REGISTERED, PingOf, REGISTERED_BYTES, ReadWorkers, Recovered, Recovery, Registered,
    RegisteredWorkers, SweepIdentities, WorkerNames, Working,
};
use crate::store::working::WorkingRecord;

impl Perform<Working> for SqliteStore {
    async fn perform(&self, arrow: Working) -> Result<Vec<Option<WorkingRecord>>, StoreError> {
        self.reader.call(move |step| working(step, &arrow.workers)).await
    }
}

impl Perform<Recovery> for SqliteStore {
    async fn perform(&self, arrow: Recovery) -> Result<Recovered, StoreError> {
        // That a job is recovered is worth more than the record of its run.
        let without = |arrow: &Recovery| arrow.run.is_some().then(|| Recovery { run: None, ..arrow.clone() });
        sparing(&self.writer, arrow, without, recover, |step, _, why| runs::tell_without(step, why)).await
    }
}

impl Perform<SweepIdentities> for SqliteStore {
    async fn perform(&self, _: SweepIdentities) -> Result<u64, StoreError> {
        // The identity of a job is part of its row and ends with it.
        Ok(0)
    }
}

impl Perform<ForceClean> for SqliteStore {
    async fn perform(&self, arrow: ForceClean) -> Result<bool, StoreError> {
        let without = |arrow: &ForceClean| arrow.run.is_some().then(|| ForceClean { run: None, ..arrow.clone() });
        sparing(&self.writer, arrow, without, force_clean, |step, _, why| runs::tell_without(step, why)).await
    }
}

impl Perform<LockValues> for SqliteStore {
    async fn perform(&self, arrow: LockValues) -> Result<Vec<Option<String>>, StoreError> {
        self.reader.call(move |step| arrow.keys.iter().map(|key| locks::value(step, key)).collect()).await
    }
}

impl Perform<WorkerNames> for SqliteStore {
    async fn perform(&self, arrow: WorkerNames) -> Result<Vec<WorkerName>, StoreError> {
        self.reader.call(move |step| worker_names(step, arrow.limit)).await
    }
}

impl Perform<ReadWorkers> for SqliteStore {
    async fn perform(&self, arrow: ReadWorkers) -> Result<Vec<Registered>, StoreError> {
        self.reader.call(move |step| read_workers(step, &arrow.workers, arrow.longest)).await
    }
}

impl Perform<RegisteredWorkers> for SqliteStore {
    async fn perform(&self, _: RegisteredWorkers) -> Result<Vec<Registered>, StoreError> {
        self.reader.call(|step| registered(step, MOST_REGISTERED)).await
    }
}

impl Perform<PingOf> for SqliteStore {
    async fn perform(&self, arrow: PingOf) -> Result<Option<(i64, WorkerName)>, StoreError> {
        self.reader.call(move |step| ping_of(step, &arrow.name)).await
    }
}

/// Moves the job of a dead owner where the verdict says, if the record still stands and the instance is still dead.
pub(super) fn recover(step: &Step<'_>, recovery: &Recovery) -> Result<Recovered, StoreError> {
    if let Some((instance, counter)) = &recovery.instance
        && !lease::stands_still(step, instance, *counter)?
    {
        return Ok(Recovered::No);
    }
    let worker = &recovery.record.worker;
    if !is_unchanged(step, worker, Some(&recovery.record))? {
        return Ok(Recovered::No);
    }
    let came_ms = working::came_ms(step, worker, &recovery.verdict)?;
    working::remove(step, worker)?;
    // Registration and ping are one row here. The step that removed it also ended the job.
    if !step.sql("SELECT 1 FROM workers WHERE id = ?1")?.exists([worker.id()])? {
        return Ok(Recovered::AlreadyCleaned);
    }
    let mut deltas = CounterDeltas::default();
    verdict::carry_out(step, &mut deltas, worker, &recovery.queue, &recovery.payload, &recovery.verdict, came_ms)?;
    deltas.write(step)?;
    if let Some(claim) = &recovery.record.claim {
        locks::free_owned(step, &recovery.free, claim)?;
    }
    if let Some(tick) = &recovery.tick {
        periodic::tick(step, tick)?;
    }
    runs::keep(step, recovery.run.as_deref())?;
    Ok(Recovered::Yes)
}

/// Is the working record of a worker still this one, byte for byte?
fn is_unchanged(step: &Step<'_>, worker: &WorkerName, seen: Option<&WorkingRecord>) -> Result<bool, StoreError> {
    let stands = working::of(step, worker)?;
    Ok(stands.map(|record| record.raw) == seen.map(|record| record.raw.clone()))
}

/// Removes a worker with its working record, if the record is still the one that was seen.
fn force_clean(step: &Step<'_>, arrow: &ForceClean) -> Result<bool, StoreError> {
    let ForceClean { worker, working: seen, record, free, run } = arrow;
    let seen = seen.as_ref();
    if !is_unchanged(step, worker, seen)? {
        return Ok(false);
    }
    working::remove(step, worker)?;
    let is_registered = || step.finds("SELECT 1 FROM workers WHERE id = ?1", [worker.id()]);
    step.change_up_to(1, "workers", "DELETE FROM workers WHERE id = ?1", [worker.id()], is_registered)?;
    verdict::forget_worker(step, worker)?;
    let claim = seen.and_then(|seen| seen.claim.as_ref());
    for lock in free {
        match (&lock.value, claim) {
            (Some(value), _) if locks::value(step, &lock.key)?.as_ref() == Some(value) => {
                locks::free(step, &lock.key)?;
            }
            (None, Some(claim)) => locks::free_owned(step, std::slice::from_ref(&lock.key), claim)?,
            _ => {}
        }
    }
    if let Some(record) = record {
        let mut deltas = CounterDeltas::default();
        verdict::fail(step, record)?;
        if let Some(payload) = seen.and_then(|seen| seen.payload.as_ref()) {
            // The job has failed for good, so its Retry counter ends.
            retries::forget_job(step, payload)?;
        }
        deltas.failed();
        deltas.write(step)?;
        runs::keep(step, run.as_deref())?;
    }
    Ok(true)
}

/// The working records of these workers, in order.
pub(super) fn working(step: &Step<'_>, workers: &[WorkerName]) -> Result<Vec<Option<WorkingRecord>>, StoreError> {
    workers.iter().map(|worker| working::of(step, worker)).collect()
}

/// The ids of the first registered workers.
fn worker_names(step: &Step<'_>, limit: usize) -> Result<Vec<WorkerName>, StoreError> {
    tell_long(step)?;
    let mut select = step.sql("SELECT id FROM workers WHERE octet_length(id) <= ?2 ORDER BY id LIMIT ?1")?;
    let rows =
        select.query_map([stored(limit), stored(LONGEST_NAME)], |row| Ok(WorkerName::parse(&text(row.get_ref(0)?))))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Ids that are too long to be ids are passed over.
fn tell_long(step: &Step<'_>) -> Result<(), StoreError> {
    let mut select = step.sql("SELECT octet_length(id) FROM workers WHERE octet_length(id) > ?1 LIMIT 1")?;
    let long = select.query_row([stored(LONGEST_NAME)], |row| Ok(opt_int(row.get_ref(0)?))).optional()?;
    if let Some(length) = long.flatten() {
        too_long(step, "workers", "id", count(length));
    }
    Ok(())
}

/// The columns of a registered worker, as [`Reader::row`] reads them.
macro_rules! registered {
    ($which:literal) => {
        concat!(
            "SELECT id, pinged_s, started, ",
            working::listed_columns!(),
            " FROM workers LEFT JOIN working ON worker = id ",
            $which
        )
    };
}

/// Reads rows of registered workers, and notes pings that cannot be read.
struct Reader {
    pings: PassedOver,
}

impl Reader {
    fn row(&mut self, row: &Row<'_>) -> rusqlite::Result<Registered> {
        let worker = WorkerName::parse(&text(row.get_ref(0)?));
        let works = row.get_ref(3)? != ValueRef::Null;
        let working = if works { Some(working::listed(&worker, row, 3)?) } else { None };
        let (pinged_s, started) = (second(row.get_ref(1)?), opt_text(row.get_ref(2)?));
        if pinged_s.is_none() && row.get_ref(1)? != ValueRef::Null {
            self.pings.add(worker.name().as_bytes(), "it tells no time");
        }
        Ok(Registered { pinged_s, started, working, worker })
    }
}

/// What is known of these workers.
fn read_workers(step: &Step<'_>, workers: &[WorkerName], longest: usize) -> Result<Vec<Registered>, StoreError> {
    let mut reader = Reader { pings: PassedOver::new(RecordKind::Ping) };
    let mut select = step.sql(registered!("WHERE id = ?2"))?;
    let read = |worker: &WorkerName| {
        let known = select.query_row(params![stored(longest), worker.id()], |row| reader.row(row)).optional()?;
        Ok(known.unwrap_or_else(|| Registered { worker: worker.clone(), pinged_s: None, started: None, working: None }))
    };
    workers.iter().map(read).collect()
}

/// Every registered worker with what it works on.
pub(super) fn registered(step: &Step<'_>, most: usize) -> Result<Vec<Registered>, StoreError> {
    let mut reader = Reader { pings: PassedOver::new(RecordKind::Ping) };
    tell_long(step)?;
    let mut select = step.sql(registered!("WHERE octet_length(id) <= ?3 ORDER BY id LIMIT ?2"))?;
    let bounds = [stored(REGISTERED_BYTES), stored(most), stored(LONGEST_NAME)];
    let registered: Vec<_> = select.query_map(bounds, |row| reader.row(row))?.collect::<Result<_, _>>()?;
    if registered.len() >= most {
        reader.pings.ends_early();
    }
    step.findings().passed_over(&reader.pings, "the table workers");
    Ok(registered)
}

/// When the worker with this two-part name last pinged, and its full name.
pub(super) fn ping_of(step: &Step<'_>, name: &str) -> Result<Option<(i64, WorkerName)>, StoreError> {
    let mut select = step.sql("SELECT pinged_s, id FROM workers WHERE name = ?1 ORDER BY pinged_s DESC LIMIT 1")?;
    let ping = |row: &Row<'_>| Ok((second(row.get_ref(0)?).unwrap_or(0), WorkerName::parse(&text(row.get_ref(1)?))));
    Ok(select.query_row([name], ping).optional()?)
}
