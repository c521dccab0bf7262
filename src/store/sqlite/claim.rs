//! Queue -> working, for idle workers, from the queues in their order.
//!
//! A job whose claim the file refuses stays where it is, and the jobs behind it are claimed. Its lane steps over it for a
//! while, so that the next claims are one statement for many jobs again.

use std::collections::HashMap;
use std::iter::Enumerate;
use std::slice::Iter;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{CachedStatement, params};
use tokio::time::Instant;

use super::apart::{Apart, Piece};
use super::digest::digest;
use super::effect::{at_least, changed, ignored};
use super::number::stored;
use super::pause::PausedQueues;
use super::step::Step;
use super::value::{AnyValue, bytes, opt_text};
use super::working;
use crate::job::{ClaimToken, Identity, PayloadView, QueueName, WorkerName};
use crate::store::error::StoreError;
use crate::store::queueing::{CLAIM_BYTES, Claim, Exchange};
use crate::text::clean;

/// How long refused jobs are stepped over before they are tried again.
const STEPPED_OVER: Duration = Duration::from_secs(30);
/// How many jobs of a queue are found to be refused in one exchange at most.
const REFUSED: usize = 100;
/// How many refused jobs of a queue are stepped over at most. The queue waits behind more of them.
const MOST: usize = 2000;
/// How many bytes of a queue are read at most to find those of its jobs that are refused.
const HEAD_BYTES: usize = 16 * CLAIM_BYTES;

/// Jobs that may not be claimed: their positions, and digests of their bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct SteppedOver {
    jobs: HashMap<QueueName, Vec<(AnyValue, i64)>>,
    /// When the last of them was found.
    since: Option<Instant>,
}

impl SteppedOver {
    /// The same, or none when it is time to try them again.
    pub(super) fn without_old(this: &Arc<Self>) -> Arc<Self> {
        let old = this.since.is_some_and(|since| since.elapsed() >= STEPPED_OVER);
        if old { Arc::default() } else { Arc::clone(this) }
    }

    pub(super) fn add(&mut self, refused: Vec<RefusedJob>) {
        for RefusedJob { queue, position, digest } in refused {
            self.since = Some(Instant::now());
            self.jobs.entry(queue).or_default().push((position, digest));
        }
    }

    fn of(&self, queue: &QueueName) -> &[(AnyValue, i64)] {
        self.jobs.get(queue).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A job that was found to be refused.
#[derive(Debug)]
pub(super) struct RefusedJob {
    queue: QueueName,
    position: AnyValue,
    digest: i64,
}

/// What was claimed.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    pub(super) claims: Vec<Claim>,
    /// How many bytes they have.
    held: usize,
    /// Jobs may have been left because of their bytes.
    pub(super) more: bool,
    /// The workers that were met under which a record stands.
    pub(super) occupied: Vec<usize>,
    pub(super) refused: Vec<RefusedJob>,
    /// The first of the refused jobs of each queue.
    pub(super) findings: Vec<StoreError>,
}

/// A job as it stands on its queue.
#[derive(Clone)]
struct Head {
    position: AnyValue,
    payload: Vec<u8>,
    identity: Option<String>,
    /// When it came.
    came_ms: AnyValue,
}

struct Claiming<'a, 'e> {
    step: &'e Step<'a>,
    instance: &'e str,
    lane: u8,
    exchange: &'e Exchange,
    over: &'e SteppedOver,
    select: CachedStatement<'a>,
    remove: CachedStatement<'a>,
    insert: CachedStatement<'a>,
    idle: Enumerate<Iter<'e, WorkerName>>,
    claimed: Claimed,
}

/// Claims jobs. With `apart` a refused one is left where it is.
pub(super) fn claim(
    step: &Step<'_>,
    (instance, lane): (&str, u8),
    exchange: &Exchange,
    over: &SteppedOver,
    apart: Option<&Apart>,
) -> Result<Claimed, StoreError> {
    if exchange.idle.is_empty() || exchange.queues.is_empty() {
        return Ok(Claimed::default());
    }
    let paused = PausedQueues::read(step)?;
    let mut claiming = Claiming {
        step,
        instance,
        lane,
        exchange,
        over,
        select: step.sql(
            "SELECT position, payload, identity, enqueued_ms FROM jobs WHERE queue = ?1 ORDER BY position LIMIT ?2",
        )?,
        remove: step.sql("DELETE FROM jobs WHERE queue = ?1 AND position <= ?2")?,
        // A worker that has a record must be recovered first, so it is skipped like one that is not registered, and the next
        // one gets the job.
        insert: step.sql(
            "INSERT OR IGNORE INTO working (worker, claim, queue, run_at, payload, identity, enqueued_ms) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM workers WHERE id = ?1)",
        )?,
        idle: exchange.idle.iter().enumerate(),
        claimed: Claimed::default(),
    };
    for queue in exchange.queues.iter() {
        if claiming.idle.len() == 0 || claiming.is_full() {
            break;
        }
        if paused.holds(queue)? {
            continue;
        }
        let shared = match apart {
            None => claiming.queue(queue)?,
            Some(apart) => claiming.queue_apart(queue, apart)?,
        };
        if shared {
            // The rest of this queue goes to other instances before the queues behind it.
            break;
        }
    }
    Ok(claiming.claimed)
}

impl Claiming<'_, '_> {
    /// Claims from a queue. Returns whether jobs of it are left to other instances.
    fn queue(&mut self, queue: &QueueName) -> Result<bool, StoreError> {
        let (most, shared) = self.part(queue)?;
        let over = self.over.of(queue);
        let heads = self.heads(queue, over, most, CLAIM_BYTES.saturating_sub(self.claimed.held))?;
        let found = heads.len();
        let (mut last, mut taken) = (None, 0);
        for head in heads {
            let Some((index, token)) = self.record(queue, &head)? else { break };
            if over.is_empty() {
                (last, taken) = (Some(head.position.clone()), taken + 1);
            } else {
                self.remove_one(queue, &head.position)?;
            }
            self.keep(index, token, queue, head);
        }
        if let Some(last) = last {
            at_least(taken, "jobs", changed(&mut self.remove, params![queue.as_str(), last])?)?;
            self.step.count_departed(queue, taken);
            if taken == found && found < most && !self.claimed.more {
                self.step.count_emptied(queue);
            }
        }
        Ok(shared)
    }

    /// The same; a job that is refused is found and left where it is.
    fn queue_apart(&mut self, queue: &QueueName, apart: &Apart) -> Result<bool, StoreError> {
        let step = self.step;
        let before = self.mark();
        let whole = apart.attempt(step, Piece::Queue(queue.clone()), || self.queue(queue))?;
        let Err(_) = whole else { return whole };
        self.return_to(before);
        let (most, shared) = self.part(queue)?;
        let over = self.over.of(queue);
        let room = MOST.saturating_sub(over.len()).min(REFUSED);
        let heads = self.heads(queue, over, most.saturating_add(room), HEAD_BYTES)?;
        let (mut claimed, mut refused) = (0, 0);
        for head in heads {
            if claimed == most || self.idle.len() == 0 || refused == room || self.is_full() {
                break;
            }
            let before = self.mark();
            match apart.attempt(step, Piece::Job(queue.clone(), head.position.clone()), || self.one(queue, &head))? {
                Ok(true) => claimed += 1,
                Ok(false) => break,
                Err(error) => {
                    self.return_to(before);
                    if refused == 0 {
                        self.claimed.findings.push(named(queue, &head, error));
                    }
                    refused += 1;
                    let Head { position, payload, .. } = head;
                    let digest = digest(&payload);
                    self.claimed.refused.push(RefusedJob { queue: queue.clone(), position, digest });
                }
            }
        }
        Ok(shared)
    }

    /// Claims one job; false if no worker is left for it.
    fn one(&mut self, queue: &QueueName, head: &Head) -> Result<bool, StoreError> {
        let Some((index, token)) = self.record(queue, head)? else { return Ok(false) };
        self.remove_one(queue, &head.position)?;
        self.keep(index, token, queue, head.clone());
        Ok(true)
    }

    /// The first jobs of a queue without those that are stepped over, and no more once they have so many bytes.
    fn heads(
        &mut self,
        queue: &QueueName,
        over: &[(AnyValue, i64)],
        most: usize,
        most_bytes: usize,
    ) -> Result<Vec<Head>, StoreError> {
        let mut rows = self.select.query(params![queue.as_str(), stored(most.saturating_add(over.len()))])?;
        let (mut heads, mut held) = (Vec::new(), 0);
        while heads.len() < most
            && let Some(row) = rows.next()?
        {
            if held >= most_bytes {
                self.claimed.more = true;
                break;
            }
            let (payload, identity) = (bytes(row.get_ref(1)?), opt_text(row.get_ref(2)?));
            let head = Head { position: row.get(0)?, payload, identity, came_ms: row.get(3)? };
            if over.is_empty() || !is_among(over, &head) {
                held += head.payload.len();
                heads.push(head);
            }
        }
        Ok(heads)
    }

    /// Have the claims as many bytes as one exchange brings? Then jobs may be left.
    fn is_full(&mut self) -> bool {
        self.claimed.more |= self.claimed.held >= CLAIM_BYTES;
        self.claimed.held >= CLAIM_BYTES
    }

    /// Puts a job on record under the next worker that has none; `None` if there is no such worker.
    fn record(&mut self, queue: &QueueName, head: &Head) -> Result<Option<(usize, ClaimToken)>, StoreError> {
        let Head { payload, identity, came_ms, .. } = head;
        for (index, worker) in self.idle.by_ref() {
            let token = ClaimToken::new(self.instance, self.lane, self.exchange.sequence, index);
            let (id, run_at) = (worker.id(), self.exchange.run_at.as_str());
            let row = params![id, token.as_str(), queue.as_str(), run_at, payload, identity, came_ms];
            if changed(&mut self.insert, row)? == 1 {
                return Ok(Some((index, token)));
            }
            if working::of(self.step, worker)?.is_some() {
                self.claimed.occupied.push(index);
            } else if self.step.sql("SELECT 1 FROM workers WHERE id = ?1")?.exists([id])? {
                return Err(ignored("working"));
            }
        }
        Ok(None)
    }

    fn remove_one(&self, queue: &QueueName, position: &AnyValue) -> Result<(), StoreError> {
        let sql = "DELETE FROM jobs WHERE queue = ?1 AND position = ?2";
        self.step.change("jobs", sql, params![queue.as_str(), position])?;
        self.step.count_departed(queue, 1);
        Ok(())
    }

    fn keep(&mut self, index: usize, token: ClaimToken, queue: &QueueName, head: Head) {
        let Head { payload, identity, .. } = head;
        let identity = identity.as_deref().and_then(Identity::decode).unwrap_or_else(|| Identity::first(&token));
        self.claimed.held += payload.len();
        self.claimed.claims.push(Claim { index, token, queue: queue.clone(), payload: Bytes::from(payload), identity });
    }

    /// What is claimed by now. Claims after it are undone by [`return_to`](Self::return_to).
    fn mark(&self) -> [usize; 4] {
        let workers = self.exchange.idle.len() - self.idle.len();
        [workers, self.claimed.claims.len(), self.claimed.occupied.len(), self.claimed.held]
    }

    fn return_to(&mut self, [workers, claims, occupied, held]: [usize; 4]) {
        self.claimed.held = held;
        self.idle = self.exchange.idle.iter().enumerate();
        if let Some(last) = workers.checked_sub(1) {
            self.idle.nth(last);
        }
        self.claimed.claims.truncate(claims);
        self.claimed.occupied.truncate(occupied);
    }

    /// How many jobs of a queue are to be claimed: for all idle workers or, if jobs are shared, one of `share` parts; and
    /// whether workers are left that could take more.
    fn part(&self, queue: &QueueName) -> Result<(usize, bool), StoreError> {
        let (most, share) = (self.idle.len(), self.exchange.share);
        if share <= 1 {
            return Ok((most, false));
        }
        // Counting further would change nothing.
        let enough = most.saturating_mul(share);
        let standing: i64 = self
            .step
            .sql("SELECT COUNT(*) FROM (SELECT 1 FROM jobs WHERE queue = ?1 LIMIT ?2)")?
            .query_row(params![queue.as_str(), stored(enough)], |row| row.get(0))?;
        let standing = usize::try_from(standing).unwrap_or(0);
        let part = standing.div_ceil(share).min(most);
        Ok((part, part < most.min(standing)))
    }
}

fn is_among(over: &[(AnyValue, i64)], Head { position, payload, .. }: &Head) -> bool {
    over.iter().any(|(at, of)| at == position && *of == digest(payload))
}

/// The refusal of a job, by its name.
fn named(queue: &QueueName, Head { position, payload, .. }: &Head, error: StoreError) -> StoreError {
    let StoreError::Barred { reason, .. } = error else { return error };
    let at = match position {
        AnyValue::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let class = PayloadView::parse(payload).map_or_else(|_| "of no class".to_owned(), |view| view.class.into_owned());
    StoreError::Barred {
        place: format!(
            "the job {class} at {at} of queue {queue}, which waits there",
            queue = clean::named(&queue),
            class = clean::named(&class)
        ),
        reason,
    }
}
