//! Nowhere -> delayed, and reads of what is due.

use std::collections::BTreeSet;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;
use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::connection::Connection;
use super::engine::RedisStore;
use super::enqueue::together;
use super::keys::Keys;
use super::lending::Lending;
use super::members::Told;
use super::script::{Call, Script, calls_of, script};
use super::standing::{Long, Standing};
use super::{inspect, members, refusal, reply, rights, scan, verdict};
use crate::job::{Identity, PayloadView, QueueName, RetryKeys};
use crate::store::arrow::Perform;
use crate::store::delayed::{DeleteDelayed, MoveDelayed, MoveTo, ScheduledAt};
use crate::store::error::StoreError;
use crate::store::marks::{self, Mark};
use crate::store::queueing::{Schedule, ScheduleBatch, Scheduled, When};
use crate::store::scheduling::{Broken, DropEntry, Due, ReadDue, ReadTime, RubyLeader};

static SCHEDULE: Script = script!("schedule");
static SCHEDULE_KNOWN: Script = script!("places", "delay", "identity", "remember", "schedule_known");
static DUE: Script = script!("page", "announce", "ruby_leader", "due");
static SCHEDULE_LENT: Script = script!("lend", "lent", "schedule");
static RENAME_ENTRY: Script = script!("places", "delay", "rename_entry");
static RENAME_STANDING: Script = script!("lend", "standing", "places", "delay", "rename_entry");
static DROP_ENTRY: Script = script!("drop_entry");
static DELETE_DELAYED: Script = script!("places", "identity", "recall", "forget", "unlink", "erase", "delete_delayed");
static DELETE_LENT: Script =
    script!("lend", "lent", "places", "identity", "recall", "forget", "unlink", "erase", "delete_delayed");
static MOVE_STANDING: Script =
    script!("lend", "standing", "places", "delay", "identity", "recall", "forget", "unlink", "move_delayed");
static MOVE_DELAYED: Script = script!("places", "delay", "identity", "recall", "forget", "unlink", "move_delayed");

/// How many jobs one call carries at most, so that no call holds the server up for long.
const BATCH: usize = 500;

impl Perform<ScheduleBatch> for RedisStore {
    async fn perform(&self, arrow: ScheduleBatch) -> Result<Vec<Scheduled>, StoreError> {
        match &arrow {
            ScheduleBatch { mark: None, known: None, .. } => schedule(&self.connection, &arrow.jobs).await,
            ScheduleBatch { jobs, mark, known: None } => schedule_batch(&self.connection, jobs, mark.as_ref()).await,
            ScheduleBatch { jobs, mark, known: Some(known) } => {
                let [job] = &jobs[..] else {
                    return Err(StoreError::Misuse(format!("an id is of one job, and {} were sent", jobs.len())));
                };
                schedule_known(&self.connection, job, known, mark.as_ref()).await
            }
        }
    }
}

impl Perform<ReadDue> for RedisStore {
    async fn perform(&self, arrow: ReadDue) -> Result<Due, StoreError> {
        due(&self.connection, &arrow).await
    }
}

impl Perform<ReadTime> for RedisStore {
    async fn perform(&self, _: ReadTime) -> Result<i64, StoreError> {
        self.connection.now_ms().await
    }
}

impl Perform<DropEntry> for RedisStore {
    async fn perform(&self, arrow: DropEntry) -> Result<bool, StoreError> {
        drop_entry(&self.connection, &arrow.entry, &arrow.record).await
    }
}

impl Perform<ScheduledAt> for RedisStore {
    async fn perform(&self, arrow: ScheduledAt) -> Result<Vec<i64>, StoreError> {
        scheduled_at(&self.connection, &arrow.payload).await
    }
}

impl Perform<DeleteDelayed> for RedisStore {
    async fn perform(&self, arrow: DeleteDelayed) -> Result<Vec<i64>, StoreError> {
        delete_delayed(&self.connection, &arrow.payload).await
    }
}

impl Perform<MoveDelayed> for RedisStore {
    async fn perform(&self, arrow: MoveDelayed) -> Result<u64, StoreError> {
        move_delayed(&self.connection, &arrow).await
    }
}

async fn move_delayed(connection: &Connection, arrow: &MoveDelayed) -> Result<u64, StoreError> {
    let MoveDelayed { second, jobs, to } = arrow;
    let keys = connection.keys();
    let mut long = Long::of(connection, keys.delayed(*second), jobs.iter().map(|job| (job, None)));
    let build = |long: &Long<'_>| {
        let mut call = Call::sized(connection.origin.now_ms(), 3 * jobs.len() + 10, 3 * jobs.len() + 4);
        verdict::places(&mut call, keys);
        call.key(keys.delayed(*second)).number(second);
        let mut standing = Standing::in_last_key(&call);
        match to {
            MoveTo::Now => call.literal("N"),
            MoveTo::Second(target) => call.literal("A").number(target),
            MoveTo::Nowhere => call.literal("X"),
        };
        call.number((0..jobs.len()).filter(|index| !long.is_gone(*index)).count());
        for (index, payload) in jobs.iter().enumerate().filter(|(index, _)| !long.is_gone(*index)) {
            let from = call.lengths();
            let view = PayloadView::parse(payload).ok();
            call.key(keys.timestamps(payload)).arg(payload.clone());
            call.text(view.as_ref().and_then(|view| view.queue.as_deref()).unwrap_or_default());
            if *to == MoveTo::Nowhere {
                verdict::retry_keys(&mut call, keys, RetryKeys::of_job(payload).as_ref());
            }
            if let Some(position) = long.position(index) {
                standing.lend(&mut call, from, payload, position);
            }
        }
        (standing.pick(&mut call, [&MOVE_DELAYED, &MOVE_STANDING]), call)
    };
    long.run(jobs.len(), build).await?.map_or(Ok(0), reply::count)
}

pub(super) async fn schedule(connection: &Connection, jobs: &[Schedule]) -> Result<Vec<Scheduled>, StoreError> {
    let calls = calls_of(jobs, BATCH, |job| job.payload.len());
    together(join_all(calls.into_iter().map(|batch| schedule_batch(connection, batch, None))).await)
}

async fn schedule_batch(
    connection: &Connection,
    jobs: &[Schedule],
    mark: Option<&Mark>,
) -> Result<Vec<Scheduled>, StoreError> {
    let keys = connection.keys();
    let mut call = Call::sized(connection.origin.now_ms(), 2 * jobs.len() + 3, 3 * jobs.len() + 2);
    call.key(keys.schedule()).key(keys.delayed_prefix()).number(jobs.len());
    let mut lending = Lending::default();
    for job in jobs {
        let from = call.lengths();
        call.key(keys.timestamps(&job.payload));
        match job.when {
            When::At(second) => call.key(keys.delayed(second)).literal("A").number(second),
            When::In(ms) => call.literal("I").number(ms),
        };
        let at = call.lengths().1;
        call.arg(job.payload.clone());
        lending.lend_argument(&mut call, from, (at, &job.payload));
    }
    push_mark(&mut call, keys, mark);
    let script = lending.pick(&mut call, [&SCHEDULE, &SCHEDULE_LENT]);
    outcomes(connection.run(script, call).await?)
}

/// Delays a job with the id that it has already.
async fn schedule_known(
    connection: &Connection,
    job: &Schedule,
    (queue, identity): &(QueueName, Identity),
    mark: Option<&Mark>,
) -> Result<Vec<Scheduled>, StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    verdict::places(&mut call, keys);
    call.key(keys.timestamps(&job.payload));
    match job.when {
        When::At(second) => call.literal("A").number(second),
        When::In(ms) => call.literal("I").number(ms),
    };
    call.arg(job.payload.clone()).text(queue.as_str()).arg(verdict::encoded(identity));
    push_mark(&mut call, keys, mark);
    outcomes(connection.run(&SCHEDULE_KNOWN, call).await?)
}

fn push_mark(call: &mut Call, keys: &Keys, mark: Option<&Mark>) {
    match mark {
        None => call.literal(""),
        Some(Mark { key, before, after }) => {
            call.literal("M").key(keys.mark(key)).text(before).text(after).number(marks::KEPT_S)
        }
    };
}

/// What became of jobs that were to be delayed.
fn outcomes(reply: Frame) -> Result<Vec<Scheduled>, StoreError> {
    let seconds = reply::strings(reply)?;
    let read = |text: &Bytes| {
        if &text[..] == b"!" {
            return Ok(Scheduled::Marked);
        }
        let duplicate = text.strip_prefix(b"=");
        let second = reply::parsed(duplicate.unwrap_or(text))
            .ok_or_else(|| StoreError::Unsupported("its reply is not a schedule's".to_owned()))?;
        Ok(if duplicate.is_some() { Scheduled::Duplicate(second) } else { Scheduled::At(second) })
    };
    seconds.iter().map(read).collect()
}

/// How many jobs of an entry that names no whole second one step moves.
const RENAMED: usize = 250;

/// How many such steps one look takes at most.
const RENAMINGS: usize = 16;

async fn due(connection: &Connection, read: &ReadDue) -> Result<Due, StoreError> {
    for _ in 0..RENAMINGS {
        let due = look(connection, read).await?;
        let Some(entry) = &due.misnamed else { return Ok(due) };
        match rename_entry(connection, entry, due.due_s.unwrap_or(0).max(0)).await {
            Ok(()) => {}
            Err(StoreError::Corrupt { place, reason }) => {
                return Ok(Due { broken: Some(Broken { place, reason }), ..due });
            }
            Err(error) => return Err(error),
        }
    }
    look(connection, read).await
}

async fn look(connection: &Connection, read: &ReadDue) -> Result<Due, StoreError> {
    for _ in 0..members::TRIES {
        let (mut due, told) = look_once(connection, read).await?;
        if read.begun {
            for (index, member) in told.into_iter().enumerate() {
                match member {
                    Told::Whole(job) => due.jobs.push(job),
                    Told::Long(beginning, long) => {
                        due.jobs.push(beginning);
                        due.long.insert(index, long);
                    }
                }
            }
            return Ok(due);
        }
        let list = connection.keys().delayed(due.second.unwrap_or(0));
        if let Some(jobs) = members::whole(connection, &list, 0.., told).boxed().await? {
            return Ok(Due { jobs, ..due });
        }
    }
    Err(members::changes(&connection.keys().schedule()))
}

/// What is due, without its jobs, and what is told of these.
async fn look_once(connection: &Connection, read: &ReadDue) -> Result<(Due, Vec<Told>), StoreError> {
    let ReadDue { limit, passed, ahead_ms, begun: _ } = read;
    let keys = connection.keys();
    let mut call = connection.call();
    call.key(keys.schedule()).key(keys.ruby_leadership()).key(keys.delayed_prefix());
    call.number(limit).number(ahead_ms);
    call.number(passed.len()).args(passed);
    let mut reply = match connection.run(&DUE, call).await {
        Ok(reply) => reply::list(reply)?.into_iter(),
        Err(error) => return Err(rights::explain(connection, error).await),
    };
    let mut next = || reply.next().unwrap_or(Frame::Null);
    let now_ms = reply::number(next())?;
    let second = reply::bytes(next())?.as_deref().and_then(reply::parsed);
    let due_s = reply::bytes(next())?.as_deref().and_then(reply::due_second);
    let told = members::told(next())?;
    let wrong = reply::bytes(next())?.filter(|wrong| !wrong.is_empty());
    let misnamed = reply::bytes(next())?.filter(|entry| !entry.is_empty());
    let length = u64::try_from(reply::number(next())?).unwrap_or(0);
    let name = reply::bytes(next())?.filter(|name| !name.is_empty());
    let expires_ms = reply::bytes(next())?.as_deref().and_then(reply::parsed).filter(|ends: &i64| *ends >= 0);
    let ruby = name.map(|name| RubyLeader { name, expires_ms });
    let broken = wrong.zip(second).map(|(wrong, second)| {
        let place = String::from_utf8_lossy(&keys.delayed(second)).into_owned();
        match refusal::refused_to(&connection.origin.user(), &connection.origin.cli(), &String::from_utf8_lossy(&wrong))
        {
            StoreError::Corrupt { reason, .. } | StoreError::Barred { reason, .. } => Broken { place, reason },
            error => Broken { place, reason: error.to_string() },
        }
    });
    let due = Due { now_ms, second, due_s, length, ruby, broken, misnamed, ..Due::default() };
    Ok((due, told))
}

/// The same where all entries that name a second were taken out of the schedule: some jobs of the first other entry go to
/// the second for which it is due. Returns whether there is such an entry. One that is never due stays.
pub(super) async fn rename_first(connection: &Connection) -> Result<bool, StoreError> {
    let bounds = [&b"-inf"[..], b"(+inf", b"WITHSCORES", b"LIMIT", b"0", b"1"].map(Bytes::from_static);
    let arguments = std::iter::once(connection.keys().schedule()).chain(bounds).collect();
    let first = reply::strings(connection.command("ZRANGEBYSCORE", arguments).await?)?;
    let [entry, score] = &first[..] else { return Ok(false) };
    let second = reply::due_second(score).unwrap_or(0).max(0);
    rename_entry(connection, entry, second).await.map(|()| true)
}

/// `second` is when the entry is due. A score below zero counts as zero.
async fn rename_entry(connection: &Connection, entry: &Bytes, second: i64) -> Result<(), StoreError> {
    let keys = connection.keys();
    let list = keys.delayed_at(entry);
    // If the list is of another type, the script's error names it.
    let jobs = inspect::page(connection, list.clone(), 0, i64::try_from(RENAMED).unwrap_or(i64::MAX) - 1).await;
    let jobs = jobs.map(|part| part.jobs).unwrap_or_default();
    let mut call = connection.call();
    verdict::places(&mut call, keys);
    call.key(list).arg(entry.clone()).number(second).number(jobs.len());
    let mut standing = Standing::in_last_key(&call);
    for (job, position) in jobs.into_iter().zip(0..) {
        let from = call.lengths();
        call.key(keys.timestamps(&job)).arg(job.clone());
        standing.lend(&mut call, from, &job, position);
    }
    let script = standing.pick(&mut call, [&RENAME_ENTRY, &RENAME_STANDING]);
    // What another program moved meanwhile is looked at anew.
    connection.run(script, call).await.map(drop)
}

pub(super) async fn drop_entry(connection: &Connection, entry: &Bytes, record: &Bytes) -> Result<bool, StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    call.key(keys.schedule()).key(keys.failed()).key(keys.delayed_at(entry));
    call.arg(entry.clone()).arg(record.clone());
    Ok(reply::number(connection.run(&DROP_ENTRY, call).await?)? == 1)
}

pub(super) async fn delete_delayed(connection: &Connection, payload: &Bytes) -> Result<Vec<i64>, StoreError> {
    let mut seconds = Vec::new();
    loop {
        let mut step = delete_delayed_step(connection, payload).await?;
        let more = step.pop_if(|last| &last[..] == b"more").is_some();
        seconds.extend(step);
        if !more {
            return Ok(sorted(seconds.iter().filter_map(|second| reply::parsed(second))));
        }
    }
}

async fn delete_delayed_step(connection: &Connection, payload: &Bytes) -> Result<Vec<Bytes>, StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    verdict::places(&mut call, keys);
    let (from, mut lending) = (call.lengths(), Lending::default());
    call.key(keys.timestamps(payload)).arg(payload.clone());
    // A job that was put off names the queue that it came from.
    let view = PayloadView::parse(payload).ok();
    call.text(view.as_ref().and_then(|view| view.queue.as_deref()).unwrap_or_default());
    verdict::retry_keys(&mut call, keys, RetryKeys::of_job(payload).as_ref());
    lending.lend_argument(&mut call, from, (from.1, payload));
    let script = lending.pick(&mut call, [&DELETE_DELAYED, &DELETE_LENT]);
    reply::strings(connection.run(script, call).await?)
}

/// The seconds at which a job of these bytes is due, from the members of its `timestamps:` set.
pub(super) async fn scheduled_at(connection: &Connection, payload: &Bytes) -> Result<Vec<i64>, StoreError> {
    let mut seconds = BTreeSet::new();
    let add = |member: Bytes| seconds.extend(member.strip_prefix(b"delayed:").and_then(reply::parsed::<i64>));
    scan::members(connection, &connection.keys().timestamps(payload), usize::MAX, add).await?;
    Ok(seconds.into_iter().collect())
}

fn sorted(seconds: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut seconds: Vec<i64> = seconds.collect();
    seconds.sort_unstable();
    seconds
}
