//! Recovers the jobs of dead owners, removes workers, and reads what is known of them.

use std::collections::BTreeSet;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::lending::{Known, LONG, Lending, digest};
use super::listed::heads;
use super::removed;
use super::reply;
use super::runs;
use super::scan;
use super::script::{Call, Script, script};
use super::values::read_all;
use super::verdict::{self, Ending};
use crate::job::{LockKey, RetryKeys, WorkerName};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::runs::KeepRun;
use crate::store::stored::Ping;
use crate::store::unreadable::{PassedOver, RecordKind};
use crate::store::workers::{
    ForceClean, LockValues, MOST_REGISTERED, PingOf, REGISTERED_BYTES, ReadWorkers, Recovered, Recovery, Registered,
    RegisteredWorkers, WORKERS_LOOKED_AT, WorkerNames, Working,
};
use crate::store::working::WorkingRecord;

static RECOVER: Script = script!(
    "locks", "places", "departed", "identity", "remember", "delay", "entry", "cadence", "keep_run", "verdict", "lend",
    "beat", "recover"
);
static FORCE_CLEAN: Script = script!("locks", "keep_run", "lend", "force_clean");

/// How many workers are read together.
const TOGETHER: usize = 320;

/// How many bytes of what workers have are held at full length, and how many of each beyond.
const MOST_HELD: usize = 16 << 20;
const SHORT: usize = 256;

/// What the script returns if it must first be known whether a removed worker's job was failed.
const REMOVED: i64 = 3;

impl Perform<Working> for RedisStore {
    async fn perform(&self, arrow: Working) -> Result<Vec<Option<WorkingRecord>>, StoreError> {
        working(&self.connection, &arrow.workers).await
    }
}

impl Perform<Recovery> for RedisStore {
    async fn perform(&self, arrow: Recovery) -> Result<Recovered, StoreError> {
        let refused = match recover(&self.connection, &arrow).await {
            Err(error) if runs::is_refused(self.connection.keys(), arrow.run.as_deref(), &error) => error,
            done => return done,
        };
        self.connection.tell_without_run(&refused);
        recover(&self.connection, &Recovery { run: None, ..arrow }).await
    }
}

impl Perform<WorkerNames> for RedisStore {
    async fn perform(&self, arrow: WorkerNames) -> Result<Vec<WorkerName>, StoreError> {
        members(&self.connection, arrow.limit).await
    }
}

impl Perform<ReadWorkers> for RedisStore {
    async fn perform(&self, arrow: ReadWorkers) -> Result<Vec<Registered>, StoreError> {
        // What stands under some workers says nothing of the others.
        Ok(read_workers(&self.connection, arrow.workers, arrow.longest).await?.registered)
    }
}

impl Perform<RegisteredWorkers> for RedisStore {
    async fn perform(&self, _: RegisteredWorkers) -> Result<Vec<Registered>, StoreError> {
        registered(&self.connection, MOST_REGISTERED).await
    }
}

impl Perform<ForceClean> for RedisStore {
    async fn perform(&self, arrow: ForceClean) -> Result<bool, StoreError> {
        let refused = match force_clean(&self.connection, &arrow).await {
            Err(error) if runs::is_refused(self.connection.keys(), arrow.run.as_deref(), &error) => error,
            done => return done,
        };
        self.connection.tell_without_run(&refused);
        force_clean(&self.connection, &ForceClean { run: None, ..arrow }).await
    }
}

impl Perform<LockValues> for RedisStore {
    async fn perform(&self, arrow: LockValues) -> Result<Vec<Option<String>>, StoreError> {
        lock_values(&self.connection, &arrow.keys).await
    }
}

impl Perform<PingOf> for RedisStore {
    async fn perform(&self, arrow: PingOf) -> Result<Option<(i64, WorkerName)>, StoreError> {
        ping_of(&self.connection, &arrow.name).await
    }
}

pub(super) async fn recover(connection: &Connection, recovery: &Recovery) -> Result<Recovered, StoreError> {
    match attempt(connection, recovery, "").await? {
        REMOVED => {
            let record = std::slice::from_ref(&recovery.record);
            let failed = removed::were_failed(connection, record).await?.first() == Some(&true);
            attempt(connection, recovery, if failed { "F" } else { "N" }).await
        }
        code => Ok(code),
    }
    .map(|code| match code {
        1 => Recovered::Yes,
        2 => Recovered::AlreadyCleaned,
        _ => Recovered::No,
    })
}

/// A record to be compared by the script, by its digest if it is long; whether it is the digest.
fn compared(call: &mut Call, raw: &Bytes) {
    let is_long = raw.len() >= LONG;
    call.arg(if is_long { Bytes::from(digest(raw)) } else { raw.clone() }).flag(is_long);
}

/// One call of the script. `failed`: what is known of the job of a removed worker, as the script reads it.
async fn attempt(connection: &Connection, recovery: &Recovery, failed: &'static str) -> Result<i64, StoreError> {
    let keys = connection.keys();
    let worker = &recovery.record.worker;
    let mut call = connection.call();
    verdict::places(&mut call, keys);
    call.key(keys.departed())
        .key(keys.nothing())
        .key(keys.leases())
        .key(keys.working(worker))
        .key(keys.workers())
        .key(keys.ping(worker.name()));
    match &recovery.instance {
        Some((instance, counter)) => call.text(instance).number(counter),
        None => call.literal("").literal(""),
    };
    let raw = &recovery.record.raw;
    compared(&mut call, raw);
    call.text(worker.id()).text(recovery.record.claim.as_ref().map_or("", |claim| claim.as_str()));
    call.literal(failed);
    let (loans_at, mut lending) = (call.lengths().1, Lending::default());
    let tick = recovery.tick.as_ref();
    let ending = Ending {
        worker,
        queue: &recovery.queue,
        payload: &recovery.payload,
        verdict: &recovery.verdict,
        free: &recovery.free,
        tick,
        run: recovery.run.as_deref(),
        about_ms: if verdict::asks_calendars(tick.into_iter()) { connection.about_ms().await? } else { 0 },
        counted: None,
    };
    call.literal("0").arg(Bytes::copy_from_slice(&[ending.op()]));
    let from = call.lengths();
    ending.write(&mut call, keys);
    lending.lend(&mut call, from, (1, raw), &Known::Compared);
    lending.write(&mut call, loans_at);
    outcome(connection, connection.run(&RECOVER, call).await?, recovery.run.as_deref(), worker)
}

/// What a script returns that ends the job of a worker. What of it was refused is told: the run that is not kept, and the rest.
fn outcome(
    connection: &Connection,
    reply: Frame,
    run: Option<&KeepRun>,
    worker: &WorkerName,
) -> Result<i64, StoreError> {
    let mut reply = reply::list(reply)?.into_iter();
    let mut next = || reply.next().unwrap_or(Frame::Null);
    let code = reply::number(next())?;
    let list = run.map(|run| connection.keys().runs(&run.list));
    for finding in connection.findings(&reply::bytes(next())?.unwrap_or_default()) {
        match &finding {
            StoreError::Corrupt { place, .. } | StoreError::Barred { place, .. }
                if list.as_ref().is_some_and(|list| list == place.as_bytes()) =>
            {
                connection.tell_without_run(&finding);
            }
            _ => {
                let subject = format!("the end of the job of worker {}: {finding}", worker.id());
                let text = format!(
                    "not all of the end of the job of worker {} was recorded: failed to {finding}",
                    worker.id()
                );
                connection.origin.findings.tell(&subject, text);
            }
        }
    }
    Ok(code)
}

async fn force_clean(connection: &Connection, arrow: &ForceClean) -> Result<bool, StoreError> {
    let ForceClean { worker, working, record, free, run } = arrow;
    let (working, record) = (working.as_ref(), record.as_ref());
    let run = run.as_deref().filter(|_| record.is_some());
    let keys = connection.keys();
    let (id, name) = (worker.id(), worker.name());
    let mut call = connection.call();
    call.key(keys.nothing()).key(keys.workers()).key(keys.failed()).key(keys.failures()).key(keys.heartbeats());
    call.key(keys.working(worker));
    let claim = working.and_then(|working| working.claim.as_ref());
    let raw = working.map_or_else(Bytes::new, |working| working.raw.clone());
    call.text(id).flag(working.is_some());
    compared(&mut call, &raw);
    let (loans_at, mut lending) = (call.lengths().1, Lending::default());
    call.literal("0").flag(record.is_some()).arg(record.cloned().unwrap_or_default());
    call.text(claim.map_or("", |claim| claim.as_str())).number(free.len());
    for lock in free {
        call.key(keys.lock(&lock.key)).key(keys.lock_shadow(&lock.key)).text(lock.value.as_deref().unwrap_or_default());
    }
    call.flag(run.is_some());
    if let Some(run) = run {
        runs::keep(&mut call, keys, run);
    }
    // What else is deleted stands behind all others.
    call.key(keys.working_by_name(name)).key(keys.started(worker));
    // Ruby's and Go's workers keep their statistics under the whole id, node-resque's under the name.
    call.key(keys.ping(name)).key(keys.ping(id));
    call.key(keys.processed_by(name)).key(keys.failures_of(name));
    call.key(keys.processed_by(id)).key(keys.failures_of(id));
    // The job has failed for good, so that Retry's keys are deleted.
    let job = working.and_then(|working| working.payload.as_ref()).filter(|_| record.is_some());
    if let Some(retry) = job.and_then(|payload| RetryKeys::of_job(payload)) {
        call.key(keys.named(&retry.counter)).key(keys.named(&retry.failure));
    }
    lending.lend(&mut call, (0, loans_at), (1, &raw), &Known::Compared);
    lending.write(&mut call, loans_at);
    Ok(outcome(connection, connection.run(&FORCE_CLEAN, call).await?, run, worker)? == 1)
}

/// What these locks hold.
async fn lock_values(connection: &Connection, locks: &[LockKey]) -> Result<Vec<Option<String>>, StoreError> {
    let keys = locks.iter().map(|lock| connection.keys().lock(lock)).collect();
    let text = |value: Bytes| String::from_utf8_lossy(&value).into_owned();
    Ok(read_all(connection, keys).await?.into_iter().map(|value| value.map(text)).collect())
}

pub(super) async fn working(
    connection: &Connection,
    workers: &[WorkerName],
) -> Result<Vec<Option<WorkingRecord>>, StoreError> {
    let keys: Vec<_> = workers.iter().map(|worker| connection.keys().working(worker)).collect();
    // An instance without jobs asks this now and then, and one command tells that nothing stands there.
    if keys.is_empty()
        || keys.len() <= TOGETHER && reply::count(connection.command("EXISTS", keys.clone()).await?)? == 0
    {
        return Ok(vec![None; workers.len()]);
    }
    let records = read_all(connection, keys).await?;
    let parse = |(worker, raw): (&WorkerName, Option<Bytes>)| raw.map(|raw| WorkingRecord::parse(worker, raw));
    Ok(workers.iter().zip(records).map(parse).collect())
}

/// The first `limit` members of `workers`, in order. One whose id is no text can neither be addressed nor removed by us.
pub(super) async fn members(connection: &Connection, limit: usize) -> Result<Vec<WorkerName>, StoreError> {
    let key = connection.keys().workers();
    let (mut names, mut passed) = (BTreeSet::new(), PassedOver::new(RecordKind::Worker));
    let add = |id: Bytes| match std::str::from_utf8(&id) {
        Ok(id) => {
            names.insert(WorkerName::parse(id));
            if names.len() > limit {
                names.pop_last();
            }
        }
        Err(error) => passed.add(&id, &error.to_string()),
    };
    if scan::members(connection, &key, limit.max(WORKERS_LOOKED_AT), add).await? {
        passed.ends_early();
    }
    connection.passed_over(&passed, &key);
    Ok(names.into_iter().collect())
}

/// The first `most` workers.
pub(super) async fn registered(connection: &Connection, most: usize) -> Result<Vec<Registered>, StoreError> {
    let workers = members(connection, most).await?;
    let mut read = read_workers(connection, workers, REGISTERED_BYTES).await?;
    if read.registered.len() >= most {
        read.records.ends_early();
        read.pings.ends_early();
    }
    connection.passed_over(&read.records, &connection.keys().working_prefix());
    connection.passed_over(&read.pings, &connection.keys().ping(""));
    Ok(read.registered)
}

/// What is known of some workers, and what of it cannot be read.
struct ReadRecords {
    registered: Vec<Registered>,
    records: PassedOver,
    pings: PassedOver,
}

async fn read_workers(
    connection: &Connection,
    workers: Vec<WorkerName>,
    longest: usize,
) -> Result<ReadRecords, StoreError> {
    let keys = connection.keys();
    let (mut values, mut held, mut longest) = (Vec::with_capacity(3 * workers.len()), 0, longest);
    for some in workers.chunks(TOGETHER) {
        let of = |worker: &WorkerName| [keys.working(worker), keys.started(worker), keys.ping(worker.name())];
        let read = heads(connection, &some.iter().flat_map(of).collect::<Vec<_>>(), longest).await?;
        held += read.iter().flatten().map(|(head, _)| head.len()).sum::<usize>();
        if held > MOST_HELD {
            longest = longest.min(SHORT);
        }
        values.extend(read);
    }
    let mut values = values.into_iter();
    let mut next = || values.next().flatten();
    let (mut records, mut pings) = (PassedOver::new(RecordKind::Working), PassedOver::new(RecordKind::Ping));
    let read = |worker: WorkerName| {
        let (working, started, ping) = (next(), next(), next());
        let working = working.map(|(begin, length)| WorkingRecord::parse_beginning(&worker, begin, length));
        if working.as_ref().is_some_and(|working| working.payload.is_none() && working.left_out == 0) {
            records.add(worker.id().as_bytes(), "it holds no job");
        }
        // What is longer than any listing shows is no ping.
        let read = ping.map(|(ping, length)| Ping::parse_beginning(&ping, length));
        if read == Some(None) {
            pings.add(worker.name().as_bytes(), "it tells no time");
        }
        Registered {
            pinged_s: read.flatten().map(|ping| ping.second.get()),
            started: started.map(|(started, _)| String::from_utf8_lossy(&started).into_owned()),
            working,
            worker,
        }
    };
    let registered = workers.into_iter().map(read).collect();
    Ok(ReadRecords { registered, records, pings })
}

pub(super) async fn ping_of(connection: &Connection, name: &str) -> Result<Option<(i64, WorkerName)>, StoreError> {
    let raw = reply::bytes(connection.command("GET", vec![connection.keys().ping(name)]).await?)?;
    let ping = raw.and_then(|raw| Ping::parse(&raw));
    Ok(ping.map(|ping| (ping.second.get(), WorkerName::new(name, ping.queues.as_deref().unwrap_or_default()))))
}
