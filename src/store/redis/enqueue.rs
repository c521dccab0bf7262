//! Nowhere -> queue.

use bytes::Bytes;
use futures_util::future::try_join_all;

use super::connection::Connection;
use super::engine::RedisStore;
use super::keys::Keys;
use super::reply;
use super::script::{Call, Script, calls_of, script};
use crate::store::arrow::Perform;
use crate::store::effect::Admission;
use crate::store::error::StoreError;
use crate::store::queueing::{Enqueue, EnqueueBatch, Enqueued};

static ENQUEUE: Script = script!("locks", "admit", "enqueue");

/// How many jobs one call carries at most, so that no call holds the server up for long.
const BATCH: usize = 500;

impl Perform<EnqueueBatch> for RedisStore {
    async fn perform(&self, arrow: EnqueueBatch) -> Result<Vec<Enqueued>, StoreError> {
        enqueue(&self.connection, &arrow.jobs).await
    }
}

/// Jobs of one call that are pushed by one command: neighbours of one queue without admissions, or
/// a single job with them.
struct Entry<'a> {
    jobs: &'a [Enqueue],
}

pub(super) async fn enqueue(connection: &Connection, jobs: &[Enqueue]) -> Result<Vec<Enqueued>, StoreError> {
    let calls = calls_of(jobs, BATCH, |job| job.payload.len());
    // All calls are under way at once, over one connection and therefore in order.
    let batches = try_join_all(calls.into_iter().map(|batch| enqueue_batch(connection, batch))).await?;
    Ok(batches.into_iter().flatten().collect())
}

async fn enqueue_batch(connection: &Connection, jobs: &[Enqueue]) -> Result<Vec<Enqueued>, StoreError> {
    let entries: Vec<Entry<'_>> = jobs.chunk_by(pushed_together).map(|jobs| Entry { jobs }).collect();
    let keys = connection.keys();
    let mut call = Call::sized(connection.origin.now_ms(), entries.len() * 2 + 1, entries.len() * 4 + jobs.len());
    call.key(keys.queues()).number(entries.len());
    for entry in &entries {
        let Some(first) = entry.jobs.first() else { continue };
        call.key(keys.queue(&first.queue)).literal(if first.front { "LPUSH" } else { "RPUSH" });
        call.text(first.queue.as_str()).number(entry.jobs.len());
        for job in entry.jobs {
            call.arg(job.payload.clone());
        }
        admissions(&mut call, keys, &first.payload, &first.admissions);
    }
    let verdicts = reply::list(connection.run(&ENQUEUE, call).await?)?;
    let mut enqueued = Vec::with_capacity(jobs.len());
    for (entry, verdict) in entries.iter().zip(verdicts) {
        let refused_by = match reply::number(verdict)? {
            0 => None,
            number => entry.jobs.first().map(|job| refusing(&job.admissions, number)),
        };
        let outcome = refused_by.map_or(Enqueued::Yes, |plugin| Enqueued::Refused { plugin });
        enqueued.extend(std::iter::repeat_n(outcome, entry.jobs.len()));
    }
    Ok(enqueued)
}

fn pushed_together(one: &Enqueue, next: &Enqueue) -> bool {
    one.admissions.is_empty() && next.admissions.is_empty() && one.queue == next.queue && one.front == next.front
}

/// What `admit.lua` reads.
pub(super) fn admissions(call: &mut Call, keys: &Keys, payload: &Bytes, admissions: &[Admission]) {
    call.number(admissions.len());
    for admission in admissions {
        match admission {
            Admission::TakeLock { key, ttl_s, .. } => {
                call.literal("T").key(keys.lock(key)).number(ttl_s);
            }
            Admission::NotDelayed { .. } => {
                call.literal("N").key(keys.timestamps(payload));
            }
        }
    }
}

/// The plugin of the admission that refused, by its number from 1.
pub(super) fn refusing(admissions: &[Admission], number: i64) -> &'static str {
    let index = usize::try_from(number - 1).unwrap_or(usize::MAX);
    match admissions.get(index) {
        Some(Admission::TakeLock { plugin, .. } | Admission::NotDelayed { plugin }) => plugin,
        None => "",
    }
}
