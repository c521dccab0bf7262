//! Jobs deleted from a queue by their bytes.
//!
//! Few different jobs are deleted one by one, each by one pass of the server through the queue. Many are deleted page by
//! page: the queue is read from its tail, and one more step for each page that holds some of them removes them.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::connection::Connection;
use super::engine::RedisStore;
use super::inspect::range;
use super::lending::Lending;
use super::script::{CALL_BYTES, Script, script};
use super::{reply, verdict};
use crate::job::{LockKey, QueueName, RetryKeys};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::{DeleteEach, DeleteJobs, JobsToDelete, QueueEnd};
use crate::store::instance::InstanceRecord;

static DELETE_EACH: Script = script!("places", "departed", "identity", "recall", "forget", "delete_each");
static DELETE_EACH_LENT: Script =
    script!("lend", "lent", "places", "departed", "identity", "recall", "forget", "delete_each");
static DELETE_PAGE: Script = script!("places", "departed", "identity", "recall", "forget", "page", "delete_page");

static DELETE_PAGE_LENT: Script =
    script!("lend", "lent", "places", "departed", "identity", "recall", "forget", "page", "delete_page");

/// How many different jobs one step deletes at most, if it passes through the queue for each.
const FEW: usize = 4;

/// How many jobs of a queue one step looks at at first, and at most.
const PAGE: (u64, u64) = (64, 500);

impl Perform<DeleteJobs> for RedisStore {
    async fn perform(&self, arrow: DeleteJobs) -> Result<u64, StoreError> {
        let most = (arrow.count != 0).then(|| arrow.count.unsigned_abs());
        let from = if arrow.count < 0 { QueueEnd::Tail } else { QueueEnd::Head };
        delete_few(
            &self.connection,
            &arrow.queue,
            &[JobsToDelete { payload: arrow.payload, count: most, locks: arrow.locks }],
            from,
        )
        .await
    }
}

impl Perform<DeleteEach> for RedisStore {
    async fn perform(&self, arrow: DeleteEach) -> Result<u64, StoreError> {
        if arrow.to_delete.len() <= FEW {
            return delete_few(&self.connection, &arrow.queue, &arrow.to_delete, arrow.from).await;
        }
        Walk::new(&self.connection, &arrow).delete(&arrow).await
    }
}

async fn delete_few(
    connection: &Connection,
    queue: &QueueName,
    to_delete: &[JobsToDelete],
    from: QueueEnd,
) -> Result<u64, StoreError> {
    let mut call = connection.call();
    let keys = connection.keys();
    verdict::places(&mut call, keys);
    call.key(keys.departed())
        .key(keys.queue(queue))
        .text(queue.as_str())
        .flag(from == QueueEnd::Tail)
        .number(to_delete.len());
    let mut lending = Lending::default();
    for JobsToDelete { payload, count, locks } in to_delete {
        let from = call.lengths();
        call.arg(payload.clone());
        match count {
            Some(count) => call.number(count),
            None => call.literal(""),
        };
        verdict::retry_keys(&mut call, keys, RetryKeys::of_job(payload).as_ref());
        verdict::locks(&mut call, keys, locks);
        lending.lend_argument(&mut call, from, (from.1, payload));
    }
    let script = lending.pick(&mut call, [&DELETE_EACH, &DELETE_EACH_LENT]);
    reply::count(connection.run(script, call).await?)
}

/// What is still to be done for jobs of some bytes.
#[derive(Default)]
struct Meant {
    /// How many of those nearest the tail stay.
    stay: u64,
    /// How many go at most.
    most: Option<u64>,
    /// The locks that go with them.
    locks: Vec<LockKey>,
}

/// A pass through a queue from its tail.
struct Walk<'a> {
    connection: &'a Connection,
    list: Bytes,
    meant: HashMap<Bytes, Meant>,
    /// How many jobs of the tail have been looked at and stay.
    past: u64,
    /// How many jobs are looked at next: as many as one call carries, as far as the last ones tell.
    size: u64,
}

impl<'a> Walk<'a> {
    fn new(connection: &'a Connection, arrow: &DeleteEach) -> Self {
        let meant = arrow.to_delete.iter().filter(|to_delete| to_delete.count != Some(0));
        let meant = meant.map(|JobsToDelete { payload, count, locks }| {
            (payload.clone(), Meant { stay: 0, most: *count, locks: locks.clone() })
        });
        let meant = meant.collect();
        Self { connection, list: connection.keys().queue(&arrow.queue), meant, past: 0, size: PAGE.0 }
    }

    async fn delete(mut self, arrow: &DeleteEach) -> Result<u64, StoreError> {
        if arrow.from == QueueEnd::Head && self.meant.values().any(|meant| meant.most.is_some()) {
            self.count().await?;
        }
        // Random, so that no job has these bytes.
        let mark = Bytes::from(format!("windlass:deleted:{}", InstanceRecord::new_id()));
        let mut removed = 0;
        while !self.meant.is_empty() {
            let page = self.page().await?;
            if page.is_empty() {
                break;
            }
            let here: HashSet<&Bytes> = page.iter().filter(|raw| self.meant.contains_key(*raw)).collect();
            if here.is_empty() {
                self.past += page.len() as u64;
                continue;
            }
            let here: Vec<Bytes> = here.into_iter().cloned().collect();
            match self.delete_page(arrow, page.len(), &here, &mark).await {
                Ok(gone) => removed += gone,
                // Earlier lists of rights had no LSET. Any other missing right is refused again.
                Err(StoreError::Unsupported(_)) => return Ok(removed + self.delete_rest(arrow).await?),
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    /// Counts how many stay: counted from the head, the first ones go and the rest stays.
    async fn count(&mut self) -> Result<(), StoreError> {
        loop {
            let page = self.page().await?;
            if page.is_empty() {
                break;
            }
            self.past += page.len() as u64;
            for raw in page {
                if let Some(meant) = self.meant.get_mut(&raw) {
                    meant.stay += 1;
                }
            }
        }
        self.past = 0;
        for meant in self.meant.values_mut() {
            meant.stay = meant.most.map_or(0, |most| meant.stay.saturating_sub(most));
        }
        Ok(())
    }

    async fn page(&mut self) -> Result<Vec<Bytes>, StoreError> {
        let from_tail = |number: u64| i64::try_from(number).map_or(i64::MIN, |number| -number);
        let (first, last) = (from_tail(self.past + self.size), from_tail(self.past + 1));
        let mut page = range(self.connection, self.list.clone(), first, last).await?;
        // Those nearest the tail, as many as one call carries.
        let mut bytes = 0;
        let fits = |raw: &&Bytes| {
            bytes += raw.len();
            bytes <= CALL_BYTES
        };
        let count = page.iter().rev().take_while(fits).count().max(1);
        self.size = match count < page.len() {
            true => (count as u64).min(self.size / 2).max(1),
            false => (self.size * 4).min(PAGE.1),
        };
        Ok(page.split_off(page.len().saturating_sub(count)))
    }

    async fn delete_page(
        &mut self,
        arrow: &DeleteEach,
        size: usize,
        here: &[Bytes],
        mark: &Bytes,
    ) -> Result<u64, StoreError> {
        let keys = self.connection.keys();
        let mut call = self.connection.call();
        verdict::places(&mut call, keys);
        call.key(keys.departed())
            .key(self.list.clone())
            .text(arrow.queue.as_str())
            .number(self.past)
            .number(size)
            .arg(mark.clone());
        call.flag(arrow.from == QueueEnd::Tail).number(here.len());
        let mut lending = Lending::default();
        for raw in here {
            let Some(Meant { stay, most, locks }) = self.meant.get(raw) else { continue };
            let from = call.lengths();
            call.arg(raw.clone()).number(stay);
            match most {
                Some(most) => call.number(most),
                None => call.literal(""),
            };
            verdict::retry_keys(&mut call, keys, RetryKeys::of_job(raw).as_ref());
            verdict::locks(&mut call, keys, locks);
            lending.lend_argument(&mut call, from, (from.1, raw));
        }
        let script = lending.pick(&mut call, [&DELETE_PAGE, &DELETE_PAGE_LENT]);
        let reply = reply::list(self.connection.run(script, call).await?)?;
        let numbers: Vec<u64> = reply.into_iter().map(reply::count).collect::<Result<_, _>>()?;
        let Some((seen, pairs)) = numbers.split_first() else { return Ok(0) };
        let mut removed = 0;
        for (raw, pair) in here.iter().zip(pairs.chunks_exact(2)) {
            let (Some(meant), [stayed, gone]) = (self.meant.get_mut(raw), pair) else { continue };
            removed += gone;
            meant.stay = meant.stay.saturating_sub(*stayed);
            meant.most = meant.most.map(|most| most.saturating_sub(*gone));
            if meant.most == Some(0) {
                self.meant.remove(raw);
            }
        }
        self.past += seen.saturating_sub(removed);
        Ok(removed)
    }

    async fn delete_rest(self, arrow: &DeleteEach) -> Result<u64, StoreError> {
        let doom = |(payload, meant): (Bytes, Meant)| JobsToDelete { payload, count: meant.most, locks: meant.locks };
        let rest: Vec<JobsToDelete> = self.meant.into_iter().map(doom).collect();
        let mut removed = 0;
        for few in rest.chunks(FEW) {
            removed += delete_few(self.connection, &arrow.queue, few, arrow.from).await?;
        }
        Ok(removed)
    }
}
