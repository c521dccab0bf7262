//! Reads and corrects queues, failures, counters and delayed seconds.

use std::collections::HashSet;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;
use futures_util::FutureExt as _;

use super::connection::Connection;
use super::engine::RedisStore;
use super::recover;
use super::script::{Script, script};
use super::{members, reply, scan, values, verdict};
use crate::job::{FirstQueues, QueueName, WorkerName};
use crate::store::arrow::Perform;
use crate::store::delayed::{DelayedCursor, DelayedSecond, DelayedSeconds, DelayedSecondsPage};
use crate::store::error::StoreError;
use crate::store::failed_part::{FailedPart, FailedSide, ReadFailed};
use crate::store::inspection::{
    CountQueues, DeleteQueue, FailedCount, FindQueue, NAMES_LOOKED_AT, QueueLength, QueueLengths, Queues, QueuesFound,
    ReadStats, SAMPLED_OTHERS, Stats,
};
use crate::store::jobs_part::{DelayedAt, JobsPart, Queued};
use crate::store::queueing::QueueNames;
use crate::store::scheduling::entry_of;
use crate::store::unreadable::{PassedOver, RecordKind};

static DELETE_QUEUE: Script = script!("places", "departed", "unlink", "delete_queue");
static RANGE: Script = script!("page", "announce", "range");
static FAILED_PART: Script = script!("page", "announce", "failed_part");

impl Perform<QueueNames> for RedisStore {
    async fn perform(&self, arrow: QueueNames) -> Result<Vec<QueueName>, StoreError> {
        Ok(known_queues(&self.connection, arrow.limit).await?.first.into_names().collect())
    }
}

impl Perform<Queues> for RedisStore {
    async fn perform(&self, arrow: Queues) -> Result<QueuesFound, StoreError> {
        queues(&self.connection, arrow).await
    }
}

impl Perform<CountQueues> for RedisStore {
    async fn perform(&self, _: CountQueues) -> Result<u64, StoreError> {
        reply::count(self.connection.command("SCARD", vec![self.connection.keys().queues()]).await?)
    }
}

impl Perform<FindQueue> for RedisStore {
    async fn perform(&self, arrow: FindQueue) -> Result<Option<QueueLength>, StoreError> {
        find_queue(&self.connection, arrow.queue).await
    }
}

impl Perform<QueueLengths> for RedisStore {
    async fn perform(&self, arrow: QueueLengths) -> Result<Vec<u64>, StoreError> {
        Ok(lengths(&self.connection, arrow.queues).await?.into_iter().map(|queue| queue.length).collect())
    }
}

impl Perform<Queued> for RedisStore {
    async fn perform(&self, arrow: Queued) -> Result<JobsPart, StoreError> {
        page(&self.connection, self.connection.keys().queue(&arrow.queue), arrow.start, arrow.stop).await
    }
}

impl Perform<DeleteQueue> for RedisStore {
    async fn perform(&self, arrow: DeleteQueue) -> Result<u64, StoreError> {
        delete_queue(&self.connection, &arrow.queue, arrow.most).await
    }
}

impl Perform<FailedCount> for RedisStore {
    async fn perform(&self, _: FailedCount) -> Result<u64, StoreError> {
        failed_count(&self.connection).await
    }
}

impl Perform<ReadFailed> for RedisStore {
    async fn perform(&self, arrow: ReadFailed) -> Result<FailedPart, StoreError> {
        let (position, is_back) = match arrow.side {
            FailedSide::From(position) => (position, false),
            FailedSide::Before(position) => (position, true),
        };
        let failed = self.connection.keys().failed();
        for _ in 0..members::TRIES {
            let mut call = self.connection.call();
            // Further back no number of Lua is exact, and no list goes that far.
            call.key(failed.clone()).number(position.clamp(0, 1 << 53)).number(arrow.most).flag(is_back);
            let mut reply = reply::list(self.connection.run(&FAILED_PART, call).await?)?.into_iter();
            let mut next = || reply.next().unwrap_or(Frame::Null);
            let position: i64 = reply::bytes(next())?.as_deref().and_then(reply::parsed).unwrap_or(0);
            let positions = (0_i64..).map(|passed| if is_back { position - passed } else { position + passed });
            let told = members::told(next())?;
            if let Some(records) = members::whole(&self.connection, &failed, positions, told).boxed().await? {
                return Ok(FailedPart { position, records });
            }
        }
        Err(members::changes(&failed))
    }
}

impl Perform<ReadStats> for RedisStore {
    async fn perform(&self, arrow: ReadStats) -> Result<Stats, StoreError> {
        stats(&self.connection, arrow.limit).await
    }
}

impl Perform<DelayedSeconds> for RedisStore {
    async fn perform(&self, arrow: DelayedSeconds) -> Result<DelayedSecondsPage, StoreError> {
        delayed_seconds(&self.connection, &arrow.from, arrow.limit).await
    }
}

impl Perform<DelayedAt> for RedisStore {
    async fn perform(&self, arrow: DelayedAt) -> Result<JobsPart, StoreError> {
        page(&self.connection, self.connection.keys().delayed(arrow.second), arrow.start, arrow.stop).await
    }
}

/// Names of queues in the order in which JavaScript sorts. Names that are no text are skipped, because no command can name
/// them; looks at all names tell them.
pub(super) fn queue_names(members: &[Bytes]) -> Vec<QueueName> {
    let mut first = FirstQueues::new(members.len());
    members.iter().filter_map(queue_name).for_each(|name| first.add(name));
    first.into_names().collect()
}

/// The name of a queue, if it is text.
pub(super) fn queue_name(member: &Bytes) -> Option<QueueName> {
    std::str::from_utf8(member).ok().map(QueueName::as_stored)
}

/// The name of a queue. One that is no text is passed over: nobody can name it, so that its jobs wait for ever.
pub(super) fn queue_name_or(member: &Bytes, passed: &mut PassedOver) -> Option<QueueName> {
    let name = queue_name(member);
    if name.is_none() {
        passed.add(member, "no text in UTF-8, so that nothing works on its jobs");
    }
    name
}

/// What a look at the names of queues finds.
pub(super) struct KnownQueues {
    /// The first of them.
    first: FirstQueues,
    /// Are there more than were read?
    more: bool,
    /// Those that are passed over.
    unnamed: Option<String>,
}

pub(super) async fn known_queues(connection: &Connection, limit: usize) -> Result<KnownQueues, StoreError> {
    let (mut first, mut passed) = (FirstQueues::new(limit), PassedOver::new(RecordKind::Queue));
    let add = |member: Bytes| queue_name_or(&member, &mut passed).into_iter().for_each(|name| first.add(name));
    let key = connection.keys().queues();
    let more = scan::members(connection, &key, limit.max(NAMES_LOOKED_AT), add).await?;
    if more {
        passed.ends_early();
    }
    let unreadable = passed.unreadable(&String::from_utf8_lossy(&key));
    connection.passed_over(&passed, &key);
    Ok(KnownQueues { first, more, unnamed: unreadable.map(|one| one.text) })
}

async fn find_queue(connection: &Connection, queue: QueueName) -> Result<Option<QueueLength>, StoreError> {
    let keys = connection.keys();
    let name = Bytes::copy_from_slice(queue.as_str().as_bytes());
    let reads = vec![("SISMEMBER", vec![keys.queues(), name]), ("LLEN", vec![keys.queue(&queue)])];
    let mut answers = connection.commands(reads).await?.into_iter();
    let mut next = || answers.next().unwrap_or(Ok(Frame::Null));
    let (known, length) = (reply::count(next()?)? > 0, reply::length(next())?);
    Ok(known.then_some(QueueLength { queue, length }))
}

async fn queues(connection: &Connection, arrow: Queues) -> Result<QueuesFound, StoreError> {
    let Queues { limit, first } = arrow;
    let KnownQueues { first: names, more, unnamed } = known_queues(connection, limit).await?;
    if !more {
        let (queues, unread) = lengths_told(connection, names.into_names().collect()).await?;
        return Ok(QueuesFound { queues, sampled_of: None, unnamed, unread });
    }
    let known = reply::count(connection.command("SCARD", vec![connection.keys().queues()]).await?)?;
    let mut holding = lengths(connection, first).await?;
    holding.retain(|queue| queue.length > 0);
    holding.truncate(limit);
    let mut shown = FirstQueues::new(limit);
    let held: HashSet<QueueName> = holding.into_iter().map(|one| one.queue).collect();
    let others = names.into_names().filter(|name| !held.contains(name)).take(SAMPLED_OTHERS.min(limit - held.len()));
    others.for_each(|name| shown.add(name));
    held.iter().cloned().for_each(|name| shown.add(name));
    let (queues, unread) = lengths_told(connection, shown.into_names().collect()).await?;
    Ok(QueuesFound { queues, sampled_of: Some(known), unnamed, unread })
}

/// These queues with their lengths, and why some of them count as empty that may not be.
async fn lengths_told(
    connection: &Connection,
    names: Vec<QueueName>,
) -> Result<(Vec<QueueLength>, Vec<StoreError>), StoreError> {
    let reads = names.iter().map(|queue| ("LLEN", vec![connection.keys().queue(queue)])).collect();
    let (mut queues, mut unread) = (Vec::with_capacity(names.len()), Vec::new());
    for (queue, answer) in names.into_iter().zip(connection.commands(reads).await?) {
        if let Err(error @ (StoreError::Corrupt { .. } | StoreError::Barred { .. })) = &answer {
            unread.push(error.clone());
        }
        queues.push(QueueLength { queue, length: reply::length(answer)? });
    }
    Ok((queues, unread))
}

/// These queues with their lengths.
pub(super) async fn lengths(connection: &Connection, names: Vec<QueueName>) -> Result<Vec<QueueLength>, StoreError> {
    let reads = names.iter().map(|queue| ("LLEN", vec![connection.keys().queue(queue)])).collect();
    let lengths = connection.commands(reads).await?;
    // A queue whose key is no list counts as empty, because the listing must show the others.
    let read = |(queue, answer)| Ok(QueueLength { queue, length: reply::length(answer)? });
    names.into_iter().zip(lengths).map(read).collect()
}

/// A part of a list, read in as many steps as its bytes take.
pub(super) async fn range(
    connection: &Connection,
    list: Bytes,
    start: i64,
    stop: i64,
) -> Result<Vec<Bytes>, StoreError> {
    let JobsPart { jobs: mut members, mut rest } = page(connection, list.clone(), start, stop).await?;
    while let Some(start) = rest {
        let more = page(connection, list.clone(), start, stop).await?;
        rest = more.rest;
        members.extend(more.jobs);
    }
    Ok(members)
}

/// As much of a part of a list as one step holds.
pub(super) async fn page(connection: &Connection, list: Bytes, start: i64, stop: i64) -> Result<JobsPart, StoreError> {
    for _ in 0..members::TRIES {
        let mut call = connection.call();
        call.key(list.clone()).number(start).number(stop);
        let mut reply = reply::list(connection.run(&RANGE, call).await?)?.into_iter();
        let mut next = || reply.next().unwrap_or(Frame::Null);
        let rest = reply::bytes(next())?.as_deref().and_then(reply::parsed);
        let first = reply::bytes(next())?.as_deref().and_then(reply::parsed).unwrap_or(0);
        if let Some(jobs) = members::whole(connection, &list, first.., members::told(next())?).boxed().await? {
            return Ok(JobsPart { jobs, rest });
        }
    }
    Err(members::changes(&list))
}

pub(super) async fn delete_queue(connection: &Connection, queue: &QueueName, most: u64) -> Result<u64, StoreError> {
    let mut call = connection.call();
    verdict::places(&mut call, connection.keys());
    call.key(connection.keys().departed()).key(connection.keys().queue(queue)).text(queue.as_str()).number(most);
    reply::count(connection.run(&DELETE_QUEUE, call).await?)
}

pub(super) async fn failed_count(connection: &Connection) -> Result<u64, StoreError> {
    reply::count(connection.command("LLEN", vec![connection.keys().failed()]).await?)
}

pub(super) async fn stats(connection: &Connection, limit: usize) -> Result<Stats, StoreError> {
    let workers = recover::members(connection, limit).await?;
    let keys = connection.keys();
    let mut wanted = vec![keys.processed(), keys.failures()];
    for worker in &workers {
        // node-resque counts under the worker's name, Ruby's and Go's workers under their whole id.
        wanted.extend([keys.processed_by(worker.name()), keys.failures_of(worker.name())]);
        wanted.extend([keys.processed_by(worker.id()), keys.failures_of(worker.id())]);
    }
    let mut values = values::read_all(connection, wanted).await?.into_iter();
    let mut next = || values.next().flatten().as_deref().and_then(reply::parsed::<u64>);
    let (processed, failed) = (next().unwrap_or(0), next().unwrap_or(0));
    let read = |worker: &WorkerName| {
        let (by_name, failed_by_name, by_id, failed_by_id) = (next(), next(), next(), next());
        let label = if by_name.or(failed_by_name).is_none() && by_id.or(failed_by_id).is_some() {
            worker.id()
        } else {
            worker.name()
        };
        let pick = |name: Option<u64>, id: Option<u64>| name.or(id).unwrap_or(0);
        (label.to_owned(), pick(by_name, by_id), pick(failed_by_name, failed_by_id))
    };
    let workers = workers.iter().map(read).collect();
    Ok(Stats { processed, failed, workers })
}

/// How many entries of the schedule one command reads at most, and how many commands one look takes at most.
const SCHEDULE_PAGE: usize = 1000;
const SCHEDULE_PAGES: usize = 10;

pub(super) async fn delayed_seconds(
    connection: &Connection,
    from: &DelayedCursor,
    limit: usize,
) -> Result<DelayedSecondsPage, StoreError> {
    let keys = connection.keys();
    let (mut seconds, mut next) = (Vec::new(), Some(from.clone()));
    for _ in 0..SCHEDULE_PAGES {
        let Some(at) = next.as_mut().filter(|_| seconds.len() < limit) else { break };
        let page = (limit - seconds.len()).clamp(64, SCHEDULE_PAGE);
        let arguments = vec![
            keys.schedule(),
            Bytes::from(at.score.clone()),
            Bytes::from_static(b"+inf"),
            Bytes::from_static(b"WITHSCORES"),
            Bytes::from_static(b"LIMIT"),
            Bytes::from(at.ties.to_string()),
            Bytes::from(page.to_string()),
        ];
        let entries = reply::scored(connection.command("ZRANGEBYSCORE", arguments).await?)?;
        // The raw count tells the end: a page of nothing but entries that are passed over is none.
        let is_last = entries.len() < page;
        for (member, score) in entries {
            if seconds.len() >= limit {
                break;
            }
            at.pass(&String::from_utf8_lossy(&score));
            // Entries that name no whole second are passed over: promotion moves them when their scores are due.
            if let Some(second) = reply::parsed(&member).filter(|second| entry_of(*second) == member) {
                seconds.push((second, reply::due_second(&score).unwrap_or(i64::MAX)));
            }
        }
        if is_last && seconds.len() < limit {
            next = None;
        }
    }
    let reads = seconds.iter().map(|(second, _)| ("LLEN", vec![keys.delayed(*second)])).collect();
    let lengths = connection.commands(reads).await?;
    let read = |((second, due_s), answer)| Ok(DelayedSecond { second, due_s, length: reply::length(answer)? });
    let seconds = seconds.into_iter().zip(lengths).map(read).collect::<Result<_, StoreError>>()?;
    Ok(DelayedSecondsPage { seconds, next })
}

/// The delayed second that comes first, if an entry names one.
pub(super) async fn first_delayed(connection: &Connection) -> Result<Option<i64>, StoreError> {
    let mut from = DelayedCursor::first();
    loop {
        let page = delayed_seconds(connection, &from, 1).await?;
        match (page.seconds.first(), page.next) {
            (Some(first), _) => return Ok(Some(first.second)),
            (None, Some(next)) => from = next,
            (None, None) => return Ok(None),
        }
    }
}
