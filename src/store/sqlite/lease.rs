//! Instances and their workers: join, register, unregister, extend, leave.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use tokio::time::Instant;

use super::effect::changed;
use super::engine::SqliteStore;
use super::locks::Renewed;
use super::number::stored;
use super::sparing::sparing;
use super::step::Step;
use super::value::{bytes, number, text};
use super::{history, leader, locks, retries, showing, verdict, wishes, working};
use crate::job::WorkerName;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::instance::{
    Bury, Extend, Extended, InstanceRecord, InstanceState, Instances, Join, Joined, Leave, MOST_INSTANCES, Oversee,
    Overseen, ReadSuspicion, Register, Removed, RemovedState, Suspect, Suspicion, Unregister, many_instances,
};
use crate::store::scheduling::{Lead, Leadership};
use crate::store::unreadable::{PassedOver, RecordKind};
use crate::store::working::WorkingRecord;

/// The counter of an instance. Any program may have written another value in its place: that counts as 0, for observers
/// as for the instance that extends, so that a dead instance is still found and a living one goes on.
macro_rules! counter {
    () => {
        "CASE WHEN typeof(counter) = 'integer' AND counter BETWEEN 0 AND 999999999999999 THEN counter ELSE 0 END"
    };
}

impl Perform<Join> for SqliteStore {
    async fn perform(&self, arrow: Join) -> Result<Joined, StoreError> {
        self.writer.call(move |step| join(step, &arrow.record)).await
    }
}

impl Perform<Register> for SqliteStore {
    async fn perform(&self, arrow: Register) -> Result<Vec<WorkingRecord>, StoreError> {
        self.writer.call(move |step| register(step, &arrow.instance, &arrow.workers)).await
    }
}

impl Perform<Unregister> for SqliteStore {
    async fn perform(&self, arrow: Unregister) -> Result<(), StoreError> {
        self.writer.call(move |step| unregister(step, &arrow.instance, &arrow.workers)).await
    }
}

impl Perform<Extend> for SqliteStore {
    async fn perform(&self, arrow: Extend) -> Result<Extended, StoreError> {
        self.place.look();
        self.writer.call(move |step| extend(step, &arrow)).await
    }
}

impl Perform<Leave> for SqliteStore {
    async fn perform(&self, arrow: Leave) -> Result<(), StoreError> {
        let spare = |arrow: &Leave| (!arrow.ran.is_empty()).then(|| Leave { ran: Vec::new(), ..arrow.clone() });
        sparing(&self.writer, arrow, spare, leave, tell_without_history).await
    }
}

impl Perform<ReadSuspicion> for SqliteStore {
    async fn perform(&self, arrow: ReadSuspicion) -> Result<Suspicion, StoreError> {
        // Writers do not block the connection that reads.
        self.reader.call(move |step| suspicion(step, &arrow.instance)).await
    }
}

impl Perform<Suspect> for SqliteStore {
    async fn perform(&self, arrow: Suspect) -> Result<bool, StoreError> {
        self.writer.call(move |step| suspect(step, &arrow.state)).await
    }
}

impl Perform<Bury> for SqliteStore {
    async fn perform(&self, arrow: Bury) -> Result<bool, StoreError> {
        self.writer.call(move |step| bury(step, &arrow.dead)).await
    }
}

impl Perform<Instances> for SqliteStore {
    async fn perform(&self, _: Instances) -> Result<Vec<InstanceState>, StoreError> {
        self.reader.call(instances).await
    }
}

impl Perform<Oversee> for SqliteStore {
    async fn perform(&self, arrow: Oversee) -> Result<Overseen, StoreError> {
        // Two steps, because the list need not be of the moment in which the lead was taken.
        let lead = move |step: &Step<'_>| {
            let leads = leader::lead(step, Leadership::Duties, &arrow.owner, arrow.ttl_ms)?;
            let Some(Lead { which, owner, ttl_ms }) = &arrow.also else { return Ok((leads, None)) };
            Ok((leads, step.part(|| leader::lead(step, *which, owner, *ttl_ms))?.ok()))
        };
        let (leads, also) = self.writer.call(lead).await?;
        Ok(Overseen { leads, also, instances: self.perform(Instances).await? })
    }
}

/// Registers an instance, unless another holds its name.
pub(super) fn join(step: &Step<'_>, record: &InstanceRecord) -> Result<Joined, StoreError> {
    let other: Option<(String, String)> = step
        .sql("SELECT id, record FROM instances WHERE name = ?1 AND id <> ?2")?
        .query_row([&record.name, &record.id], |row| Ok((text(row.get_ref(0)?), text(row.get_ref(1)?))))
        .optional()?;
    if let Some((id, other)) = other {
        match decode(&other) {
            Ok(other) => return Ok(Joined::NameTaken(Box::new(other))),
            // No instance could ever find it dead, and its name holds the process id that this process has now.
            Err(reason) => {
                let text = format!(
                    "the registration of instance {id} is removed, because it cannot be read and has the name of this \
                     instance: {reason}"
                );
                step.findings().tell(&format!("registration {id}"), text);
                remove(step, &id)?;
            }
        }
    }
    let sql = concat!(
        "INSERT INTO instances (id, name, record, counter) VALUES (?1, ?2, ?3, 1) \
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, record = excluded.record, counter = 1 + ",
        counter!(),
    );
    step.change("instances", sql, [&record.id, &record.name, &encode(record)?])?;
    // An id is random.
    if birth(step)?.is_none() {
        set_birth(step, &record.id)?;
    }
    Ok(Joined::Yes)
}

/// The birth mark of the store.
pub(super) fn birth(step: &Step<'_>) -> Result<Option<String>, StoreError> {
    let mut select = step.sql("SELECT mark FROM birth WHERE one = 1")?;
    Ok(select.query_row([], |row| Ok(text(row.get_ref(0)?))).optional()?)
}

pub(super) fn set_birth(step: &Step<'_>, mark: &str) -> Result<(), StoreError> {
    step.change("birth", "INSERT INTO birth (one, mark) VALUES (1, ?1)", [mark])
}

pub(super) fn encode(record: &InstanceRecord) -> Result<String, StoreError> {
    serde_json::to_string(record).map_err(|error| StoreError::Misuse(format!("an instance record: {error}")))
}

fn decode(record: &str) -> Result<InstanceRecord, String> {
    serde_json::from_str(record).map_err(|error| error.to_string())
}

/// Registers workers and returns the working records that earlier processes left under their names.
pub(super) fn register(
    step: &Step<'_>,
    instance: &str,
    workers: &[WorkerName],
) -> Result<Vec<WorkingRecord>, StoreError> {
    let mut left = Vec::new();
    for worker in workers {
        add(step, instance, worker)?;
        left.extend(working::of(step, worker)?);
    }
    Ok(left)
}

pub(super) fn add(step: &Step<'_>, instance: &str, worker: &WorkerName) -> Result<(), StoreError> {
    let now_s = step.now_s();
    step.change(
        "workers",
        "INSERT INTO workers (id, name, instance, started, pinged_s) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (id) DO UPDATE SET instance = excluded.instance, started = excluded.started, \
         pinged_s = excluded.pinged_s",
        params![worker.id(), worker.name(), instance, now_s.to_string(), now_s],
    )
}

/// Removes idle workers of an instance.
pub(super) fn unregister(step: &Step<'_>, instance: &str, workers: &[WorkerName]) -> Result<(), StoreError> {
    macro_rules! idle {
        () => {
            " FROM workers WHERE id = ?1 AND instance = ?2 AND NOT EXISTS (SELECT 1 FROM working WHERE worker = ?1)"
        };
    }
    for worker in workers {
        let this = [worker.id(), instance];
        let stands = || step.finds(concat!("SELECT 1", idle!()), this);
        if step.change_up_to(1, "workers", concat!("DELETE", idle!()), this, stands)? == 1 {
            verdict::forget_worker(step, worker)?;
        }
    }
    Ok(())
}

/// Extends a lease, unless the instance was declared dead.
pub(super) fn extend(step: &Step<'_>, extend: &Extend) -> Result<Extended, StoreError> {
    let record = &extend.record;
    let sql = concat!("UPDATE instances SET record = ?2, counter = 1 + ", counter!(), " WHERE id = ?1");
    let stands = || step.finds("SELECT 1 FROM instances WHERE id = ?1", [&record.id]);
    let alive = step.change_up_to(1, "instances", sql, [&record.id, &encode(record)?], stands)?;
    let looks = alive == 0 || !extend.only_pings();
    let birth = if looks { birth(step)? } else { None };
    let mut extended = Extended { dead: alive == 0, birth, ..Extended::default() };
    if extended.dead {
        return Ok(extended);
    }
    if looks && extended.birth.is_none() {
        // An earlier version joined without a mark.
        set_birth(step, &record.id)?;
        extended.birth = Some(record.id.clone());
    }
    let mut ping = step.sql("UPDATE workers SET pinged_s = ?3 WHERE id = ?1 AND instance = ?2")?;
    for (index, worker) in extend.workers.iter().enumerate() {
        if changed(&mut ping, params![worker.id(), record.id, step.now_s()])? == 0 {
            add(step, &record.id, worker)?;
            // The step that removes a worker also ends its job, and no job is claimed for it afterwards.
            let claim = working::of(step, worker)?.and_then(|record| record.claim);
            let claim = claim.filter(|claim| claim.instance() == record.id);
            extended.removed.push(Removed { index, left: claim.map_or(RemovedState::Nothing, RemovedState::Claim) });
        }
    }
    for worker in &extend.pinged {
        changed(&mut ping, params![worker.id(), record.id, step.now_s()])?;
    }
    for (index, renewal) in extend.locks.iter().enumerate() {
        match locks::renew(step, renewal)? {
            Renewed::Yes => {}
            Renewed::Lost => extended.lost_locks.push(index),
            Renewed::Deleted => extended.deleted_locks.push(index),
        }
    }
    if extend.census {
        let instances: i64 = step.sql("SELECT COUNT(*) FROM instances")?.query_row([], |row| row.get(0))?;
        extended.instances = usize::try_from(instances).ok();
    }
    if looks {
        extended.wishes = wishes::after(step, &record.id, &extend.done)?;
        showing::progress(step, &record.id, &extend.progress)?;
    }
    locks::sweep(step)?;
    retries::sweep(step)?;
    if !extend.ran.is_empty() {
        // The lease and the jobs do not depend on it.
        match step.part(|| history::take(step, &record.id, &extend.ran))? {
            Ok(taken) => extended.taken = taken,
            Err(refused) => extended.findings.push(refused),
        }
    }
    Ok(extended)
}

/// Ends an instance. Jobs that still run are left to recovery.
pub(super) fn leave(step: &Step<'_>, leave: &Leave) -> Result<(), StoreError> {
    let record = &leave.record;
    step.shorten_log();
    if !leave.ran.is_empty()
        && step.finds("SELECT 1 FROM instances WHERE id = ?1", [&record.id])?
        && let Err(refused) = step.part(|| history::take(step, &record.id, &leave.ran))?
    {
        tell_without_history(step, leave, &refused);
    }
    if works(step, record)? {
        macro_rules! idle {
            () => {
                " FROM workers WHERE instance = ?1 AND NOT EXISTS (SELECT 1 FROM working WHERE worker = workers.id)"
            };
        }
        macro_rules! counted {
            () => {
                concat!(" FROM stats WHERE name IN (SELECT 'worker:' || id", idle!(), ")")
            };
        }
        let counted = || step.finds(concat!("SELECT 1", counted!()), [&record.id]);
        step.change_up_to(usize::MAX, "stats", concat!("DELETE", counted!()), [&record.id], counted)?;
        let stands = || step.finds(concat!("SELECT 1", idle!()), [&record.id]);
        step.change_up_to(usize::MAX, "workers", concat!("DELETE", idle!()), [&record.id], stands)?;
    } else {
        remove(step, &record.id)?;
    }
    Ok(())
}

fn tell_without_history(step: &Step<'_>, leave: &Leave, refused: &StoreError) {
    let text = format!("what ran last is not in the history: failed to {refused}");
    step.findings().tell(&format!("what instance {} leaves", leave.record.id), text);
}

/// Removes a dead instance if its counter has not moved and none of its workers has a job.
pub(super) fn bury(step: &Step<'_>, dead: &InstanceState) -> Result<bool, StoreError> {
    if !stands_still(step, &dead.record.id, dead.counter)? || works(step, &dead.record)? {
        return Ok(false);
    }
    remove(step, &dead.record.id)?;
    Ok(true)
}

/// Is another instance about to declare this one dead?
fn suspicion(step: &Step<'_>, instance: &str) -> Result<Suspicion, StoreError> {
    let trusted = step.sql("SELECT 1 FROM instances WHERE id = ?1 AND suspected IS NOT counter")?.exists([instance])?;
    Ok(if trusted { Suspicion::Trusted } else { Suspicion::Suspected })
}

/// Marks an instance whose counter stood still for its lease. True once this process has seen the mark stand for half a
/// lease.
fn suspect(step: &Step<'_>, state: &InstanceState) -> Result<bool, StoreError> {
    let (id, counter) = (&state.record.id, stored(state.counter));
    if !stands_still(step, id, state.counter)? {
        return Ok(false);
    }
    let wait = Duration::from_millis(state.record.lease_ms / 2);
    let sql = "UPDATE instances SET suspected = counter WHERE id = ?1 AND suspected IS NOT counter";
    let unmarked = || step.finds("SELECT 1 FROM instances WHERE id = ?1 AND suspected IS NOT counter", [id]);
    let new = step.change_up_to(1, "instances", sql, [id], unmarked)?;
    Ok(step.terms.lapsed(&format!("instance {id}"), "", counter, wait, Instant::now()) && new == 0)
}

/// Is an instance registered with exactly this counter?
pub(super) fn stands_still(step: &Step<'_>, instance: &str, counter: u64) -> Result<bool, StoreError> {
    Ok(step
        .sql(concat!("SELECT 1 FROM instances WHERE id = ?1 AND ", counter!(), " = ?2"))?
        .exists(params![instance, stored(counter)])?)
}

/// Is there a working record of one of its registered workers, or one under a worker name of its own with its own claim?
fn works(step: &Step<'_>, record: &InstanceRecord) -> Result<bool, StoreError> {
    let registered = step
        .sql("SELECT 1 FROM workers JOIN working ON worker = id WHERE instance = ?1 LIMIT 1")?
        .exists([&record.id])?;
    if registered {
        return Ok(true);
    }
    for worker in record.workers() {
        let claim = working::of(step, &worker)?.and_then(|record| record.claim);
        if claim.is_some_and(|claim| claim.instance() == record.id) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn remove(step: &Step<'_>, instance: &str) -> Result<(), StoreError> {
    macro_rules! of {
        ($table:literal, $which:literal) => {
            (
                $table,
                concat!("DELETE FROM ", $table, " WHERE ", $which),
                concat!("SELECT 1 FROM ", $table, " WHERE ", $which),
            )
        };
    }
    for (table, delete, left) in [
        of!("stats", "name IN (SELECT 'worker:' || id FROM workers WHERE instance = ?1)"),
        of!("workers", "instance = ?1"),
        of!("lanes", "instance = ?1"),
        of!("wishes", "instance = ?1"),
        of!("progress", "instance = ?1"),
        of!("shown", "instance = ?1"),
        of!("instances", "id = ?1"),
    ] {
        step.change_up_to(usize::MAX, table, delete, [instance], || step.finds(left, [instance]))?;
    }
    Ok(())
}

/// Every registered instance.
pub(super) fn instances(step: &Step<'_>) -> Result<Vec<InstanceState>, StoreError> {
    // One that is longer than any of ours is not read.
    let mut select = step.sql(concat!(
        "SELECT id, CASE WHEN octet_length(record) <= 1048576 THEN record ELSE '' END, ",
        counter!(),
        " FROM instances ORDER BY name LIMIT ?1"
    ))?;
    let mut rows = select.query([stored(MOST_INSTANCES)])?;
    let (mut states, mut passed, mut looked_at) = (Vec::new(), PassedOver::new(RecordKind::Instance), 0);
    while let Some(row) = rows.next()? {
        looked_at += 1;
        match decode(&text(row.get_ref(1)?)) {
            Ok(record) if record.id != text(row.get_ref(0)?) => {
                passed.add(&bytes(row.get_ref(0)?), "it is the record of another instance");
            }
            Ok(record) => states.push(InstanceState { record, counter: number(row.get_ref(2)?) }),
            // One that cannot be read must not prevent the recovery of the others.
            Err(reason) => passed.add(&bytes(row.get_ref(0)?), &reason),
        }
    }
    if looked_at >= MOST_INSTANCES {
        passed.ends_early();
    }
    step.findings().passed_over(&passed, "the table instances");
    if looked_at >= MOST_INSTANCES {
        step.findings().tell("registrations of instances", many_instances());
    }
    Ok(states)
}
