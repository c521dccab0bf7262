//! Periodic tasks: reads, reconciles and withdraws them.

use std::collections::HashMap;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::refusal::Fault;
use super::refused_keys::refused_keys;
use super::reply;
use super::script::{Script, script};
use super::verdict;
use crate::job::ecma::quote;
use crate::job::{LockKey, QueueName, RetryKeys, TaskName};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::periodic::{
    LONGEST_ENTRY, MOST_ENTRIES, Periodic, PeriodicEntry, Purpose, Reconcile, Reconciled, Stop, Withdraw, many_entries,
};
use crate::store::runs::RunList;
use crate::store::unreadable::{PassedOver, RecordKind};

static PERIODIC: Script = script!("periodic");
static RECONCILE: Script = script!(
    "locks",
    "places",
    "identity",
    "delay",
    "recall",
    "forget",
    "unlink",
    "erase",
    "entry",
    "cadence",
    "reconcile"
);
static WITHDRAW: Script =
    script!("places", "departed", "identity", "recall", "forget", "unlink", "erase", "entry", "withdraw");

impl Perform<Periodic> for RedisStore {
    async fn perform(&self, arrow: Periodic) -> Result<(Vec<PeriodicEntry>, Vec<bool>), StoreError> {
        periodic(&self.connection, &arrow.job_locks, &arrow.tasks).await
    }
}

impl Perform<Reconcile> for RedisStore {
    async fn perform(&self, arrow: Reconcile) -> Result<Reconciled, StoreError> {
        reconcile(&self.connection, &arrow).await
    }
}

impl Perform<Withdraw> for RedisStore {
    async fn perform(&self, arrow: Withdraw) -> Result<(), StoreError> {
        withdraw(&self.connection, &arrow.task, &arrow.queue, (&arrow.forms, &arrow.locks), false).await.map(drop)
    }
}

impl Perform<Stop> for RedisStore {
    async fn perform(&self, arrow: Stop) -> Result<u64, StoreError> {
        withdraw(&self.connection, &arrow.task, &arrow.queue, (&arrow.forms, &arrow.locks), true).await
    }
}

pub(super) async fn periodic(
    connection: &Connection,
    job_locks: &[LockKey],
    tasks: &[TaskName],
) -> Result<(Vec<PeriodicEntry>, Vec<bool>), StoreError> {
    let keys = connection.keys();
    let locks: Vec<Bytes> = job_locks.iter().map(|lock| keys.lock(lock)).collect();
    let asking = |locks: &[Bytes]| {
        let mut call = connection.call();
        call.key(keys.periodic()).number(locks.len()).keys(locks).number(MOST_ENTRIES).number(LONGEST_ENTRY);
        call.number(tasks.len());
        for task in tasks {
            call.text(task.as_str());
        }
        call
    };
    let (reply, refused) = match connection.try_run(&PERIODIC, asking(&locks)).await {
        Ok(reply) => (reply, HashMap::new()),
        Err(Fault::Store(error)) => return Err(error),
        Err(Fault::Keys(_)) => {
            // A lock that may not be touched concerns its task alone.
            let refused = refused_keys(connection, locks.iter().cloned().collect()).await?;
            let allowed: Vec<Bytes> = locks.iter().filter(|lock| !refused.contains_key(*lock)).cloned().collect();
            (connection.run(&PERIODIC, asking(&allowed)).await?, refused)
        }
    };
    let mut reply = reply::list(reply)?.into_iter();
    let mut next = || reply.next().unwrap_or(Frame::Null);
    let mut fields = reply::strings(next())?.into_iter();
    let (mut entries, mut passed) = (Vec::new(), PassedOver::new(RecordKind::Periodic));
    while let (Some(task), Some(entry)) = (fields.next(), fields.next()) {
        match read(&task, &entry) {
            Some(entry) => entries.push(entry),
            None => passed.add(&task, "it is no due second, period, state and queue"),
        }
    }
    entries.sort_by(|one: &PeriodicEntry, other| one.task.cmp(&other.task));
    entries.dedup_by(|one, other| one.task == other.task);
    let (mut known, left) = (reply::list(next())?.into_iter(), reply::bytes(next())?);
    if left.is_some_and(|left| !left.is_empty()) {
        passed.ends_early();
        let place = String::from_utf8_lossy(&keys.periodic()).into_owned();
        connection.origin.findings.tell(&format!("the entries of {place}"), many_entries(&place));
    }
    connection.passed_over(&passed, &keys.periodic());
    // One that may not be read may be held: so its task is looked after, and the refusal told.
    let held = locks.iter().map(|lock| match refused.get(lock) {
        Some(_) => Ok(true),
        None => Ok(reply::number(known.next().unwrap_or(Frame::Null))? != 0),
    });
    Ok((entries, held.collect::<Result<_, StoreError>>()?))
}

/// An entry as the scripts write it.
pub(super) fn read(task: &[u8], entry: &[u8]) -> Option<PeriodicEntry> {
    PeriodicEntry::decode(std::str::from_utf8(task).ok()?, std::str::from_utf8(entry).ok()?)
}

pub(super) async fn reconcile(connection: &Connection, reconcile: &Reconcile) -> Result<Reconciled, StoreError> {
    loop {
        return Ok(match reconcile_step(connection, reconcile).await? {
            1 => Reconciled::Seeded,
            2 => Reconciled::Restored,
            3 => Reconciled::Unlocked,
            4 => Reconciled::Started,
            5 => Reconciled::Waits,
            6 => Reconciled::Runs,
            7 => Reconciled::Moved,
            8 => continue,
            _ => Reconciled::Fine,
        });
    }
}

async fn reconcile_step(connection: &Connection, reconcile: &Reconcile) -> Result<i64, StoreError> {
    let keys = connection.keys();
    let Reconcile { tick, forms, queue_lock, job_lock, grace_s, workers, silent, purpose, stale_due_s, .. } = reconcile;
    let mut call = connection.call();
    verdict::places(&mut call, keys);
    call.key(keys.workers()).key(keys.working_prefix()).key(keys.queue(&tick.queue));
    call.text(tick.task.as_str()).text(tick.queue.as_str());
    verdict::cadence(&mut call, &tick.next, connection.about_ms().await?);
    call.literal(match purpose {
        Purpose::Look => "look",
        Purpose::Boot => "boot",
        Purpose::Start => "start",
        Purpose::Run => "run",
    });
    call.text(&stale_due_s.map(|due_s| due_s.to_string()).unwrap_or_default()).number(grace_s);
    match queue_lock {
        Some((lock, ttl_s)) => call.key(keys.lock(lock)).number(ttl_s),
        None => call.literal(""),
    };
    if let Some(lock) = job_lock {
        call.key(keys.lock(lock));
    }
    let class = quote(tick.task.as_str());
    call.flag(job_lock.is_some()).text(&class).text(&class.replace('/', "\\/"));
    let attempts = if stale_due_s.is_some() { &reconcile.attempts[..] } else { &[] };
    call.flag(tick.beside).number(attempts.len());
    for retry in attempts {
        call.key(keys.named(&retry.counter));
    }
    call.number(workers.len());
    for worker in workers {
        call.key(keys.working(worker)).text(worker.id());
    }
    call.number(silent.len());
    for worker in silent {
        call.text(worker.id());
    }
    // Our form comes first, because the script pushes the first.
    let others = forms.iter().filter(|form| **form != tick.payload);
    let forms: Vec<&Bytes> = std::iter::once(&tick.payload).chain(others).collect();
    call.number(forms.len());
    for form in forms {
        call.key(keys.timestamps(form)).arg(form.clone());
    }
    let mut reply = reply::list(connection.run(&RECONCILE, call).await?)?.into_iter();
    let mut next = || reply.next().unwrap_or(Frame::Null);
    let outcome = reply::number(next())?;
    for finding in connection.findings(&reply::bytes(next())?.unwrap_or_default()) {
        let place = match &finding {
            StoreError::Corrupt { place, .. } | StoreError::Barred { place, .. } => place.clone(),
            other => other.to_string(),
        };
        let text = format!("periodic task {}: failed to {finding}; the task goes on without it", tick.task);
        connection.origin.findings.tell(&place, text);
    }
    Ok(outcome)
}

pub(super) async fn withdraw(
    connection: &Connection,
    task: &TaskName,
    queue: &QueueName,
    jobs: (&[Bytes], &[LockKey]),
    stops: bool,
) -> Result<u64, StoreError> {
    let mut removed = 0;
    loop {
        let step = withdraw_step(connection, task, queue, jobs, stops).await?;
        // Below 0 there is more to remove.
        removed += if step < 0 { (-1 - step).unsigned_abs() } else { step.unsigned_abs() };
        if step >= 0 {
            return Ok(removed);
        }
    }
}

async fn withdraw_step(
    connection: &Connection,
    task: &TaskName,
    queue: &QueueName,
    (forms, locks): (&[Bytes], &[LockKey]),
    stop: bool,
) -> Result<i64, StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    verdict::places(&mut call, keys);
    call.key(keys.departed()).key(keys.queue(queue)).key(keys.runs(&RunList::Task(task.clone())));
    call.text(task.as_str()).text(queue.as_str()).flag(stop).number(forms.len());
    for form in forms {
        call.key(keys.timestamps(form)).arg(form.clone());
        verdict::retry_keys(&mut call, keys, RetryKeys::of_job(form).as_ref());
    }
    verdict::locks(&mut call, keys, locks);
    reply::number(connection.run(&WITHDRAW, call).await?)
}
