//! Jobs that are searched by their bytes.
//!
//! A queue has no index by payload, because every push and claim would pay for it. So the queue is read in pages, by
//! the connection that reads, which keeps nobody from writing. A transaction that writes looks only at what the
//! reading cannot have seen: rows that were pushed since.

use std::collections::HashMap;
use std::sync::mpsc;

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

use super::commit::{Handle, Step};
use super::number::{count, stored};
use super::retries;
use super::value::{bytes, opt_text};
use crate::job::{Identity, QueueName};
use crate::store::error::StoreError;
use crate::store::inspection::{JobsToDelete, QueueEnd};

/// How many rows a transaction that writes looks at.
const LOOK: i64 = 2000;
/// How many rows are read at once: others of this process wait for the same connection.
const PAGE: i64 = 5000;
/// How many rows one transaction deletes.
pub(super) const DELETED: i64 = 1000;
/// How often a queue is read that changes faster than it can be read.
const READINGS: u32 = 20;

/// What reading a queue found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Searched {
    /// It was not read.
    #[default]
    Not,
    /// One of the jobs stood at this position.
    Found(i64),
    /// None of the jobs stood at these positions.
    Nowhere {
        /// The first position that was read.
        first: i64,
        /// The last position that was read.
        last: i64,
    },
}

/// Does one of these jobs stand on a queue? `None` if more would have to be read than a transaction may: then the
/// queue is to be read by [`read`] first.
fn is_queued(
    step: &Step<'_>,
    queue: &QueueName,
    forms: &[Bytes],
    searched: Searched,
) -> Result<Option<bool>, StoreError> {
    let mut at = step.sql("SELECT payload FROM jobs WHERE queue = ?1 AND position = ?2")?;
    let mut payload =
        |position: i64| at.query_row(params![queue.as_str(), position], |row| Ok(bytes(row.get_ref(0)?))).optional();
    match searched {
        Searched::Found(position) if payload(position)?.is_some_and(|payload| is_one(forms, &payload)) => {
            Ok(Some(true))
        }
        // While the last row stands the queue was never empty. Positions begin anew only after that, so what was
        // pushed since stands before the first and behind the last.
        Searched::Nowhere { first, last } if payload(last)?.is_some() => {
            let behind = look(step, queue, forms, last)?;
            if behind != Some(false) {
                return Ok(behind);
            }
            let mut select = step
                .sql("SELECT payload FROM jobs WHERE queue = ?1 AND position < ?2 ORDER BY position DESC LIMIT ?3")?;
            let rows = select.query_map(params![queue.as_str(), first, LOOK + 1], |row| {
                Ok(is_one(forms, &bytes(row.get_ref(0)?)))
            })?;
            any(rows)
        }
        _ => look(step, queue, forms, i64::MIN),
    }
}

/// Looks behind a position.
fn look(step: &Step<'_>, queue: &QueueName, forms: &[Bytes], behind: i64) -> Result<Option<bool>, StoreError> {
    let mut select =
        step.sql("SELECT payload FROM jobs WHERE queue = ?1 AND position > ?2 ORDER BY position LIMIT ?3")?;
    let rows = select
        .query_map(params![queue.as_str(), behind, LOOK + 1], |row| Ok(is_one(forms, &bytes(row.get_ref(0)?))))?;
    any(rows)
}

fn any(rows: impl Iterator<Item = rusqlite::Result<bool>>) -> Result<Option<bool>, StoreError> {
    let mut seen = 0;
    for found in rows {
        if found? {
            return Ok(Some(true));
        }
        seen += 1;
    }
    Ok((seen <= LOOK).then_some(false))
}

fn is_one(forms: &[Bytes], payload: &[u8]) -> bool {
    forms.iter().any(|form| form == payload)
}

/// Reads a queue in pages until one of these jobs is found.
async fn read(reader: &Handle, queue: &QueueName, forms: &[Bytes]) -> Result<Searched, StoreError> {
    let (mut first, mut last) = (None, i64::MIN);
    loop {
        let (queue, forms) = (queue.clone(), forms.to_vec());
        let page = move |step: &Step<'_>| {
            let mut select = step.sql(
                "SELECT position, payload FROM jobs WHERE queue = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
            )?;
            let rows = select.query_map(params![queue.as_str(), last, PAGE], |row| {
                Ok((row.get(0)?, is_one(&forms, &bytes(row.get_ref(1)?))))
            })?;
            Ok(rows.collect::<Result<Vec<(i64, bool)>, _>>()?)
        };
        let page = reader.call(page).await?;
        if let Some((position, _)) = page.iter().find(|(_, found)| *found) {
            return Ok(Searched::Found(*position));
        }
        first = first.or(page.first().map(|(position, _)| *position));
        last = page.last().map_or(last, |(position, _)| *position);
        if stored(page.len()) < PAGE {
            return Ok(first.map_or(Searched::Not, |first| Searched::Nowhere { first, last }));
        }
    }
}

/// A queue and the jobs that are searched on it.
type Question = (QueueName, Vec<Bytes>);

/// Runs a step that needs to know whether jobs stand on queues, and reads those queues that it asks for.
pub(super) async fn searching<T, F>(writer: &Handle, reader: &Handle, step: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: Fn(&Step<'_>, &mut Lookout) -> Result<T, StoreError> + Send + Clone + 'static,
{
    let mut known: HashMap<Question, (Searched, u32)> = HashMap::new();
    loop {
        let (tell, told) = mpsc::channel();
        let (step, seen) = (step.clone(), known.clone());
        let work = move |moment: &Step<'_>| {
            let mut lookout = Lookout { known: seen.clone(), asks: None };
            let outcome = step(moment, &mut lookout);
            // Nobody listens only if the caller is gone.
            let _ = tell.send(lookout.asks);
            outcome
        };
        let outcome = writer.call(work).await;
        // A step whose transaction was given up was run again.
        let Some((queue, forms)) = told.try_iter().last().flatten() else { return outcome };
        let searched = read(reader, &queue, &forms).await?;
        let entry = known.entry((queue, forms)).or_default();
        *entry = (searched, entry.1 + 1);
        if entry.1 > READINGS {
            return outcome;
        }
    }
}

/// What a step knows of queues.
pub(super) struct Lookout {
    known: HashMap<Question, (Searched, u32)>,
    asks: Option<Question>,
}

impl Lookout {
    /// Does one of these jobs stand on the queue? An error that ends the step, if the queue must be read first.
    pub(super) fn is_queued(
        &mut self,
        step: &Step<'_>,
        queue: &QueueName,
        forms: &[Bytes],
    ) -> Result<bool, StoreError> {
        let question = (queue.clone(), forms.to_vec());
        let searched = self.known.get(&question).map(|(searched, _)| *searched).unwrap_or_default();
        is_queued(step, queue, forms, searched)?.ok_or_else(|| {
            self.asks = Some(question);
            StoreError::Unavailable(format!("queue {queue} changes faster than it can be read"))
        })
    }
}

/// Removes jobs of these bytes from a queue, those nearest to an end first; tells how many. What is pushed meanwhile
/// may stay.
pub(super) async fn remove(
    writer: &Handle,
    reader: &Handle,
    queue: &QueueName,
    to_delete: &[JobsToDelete],
    from: QueueEnd,
) -> Result<u64, StoreError> {
    let most = |to_delete: &JobsToDelete| to_delete.count.unwrap_or(u64::MAX);
    let mut left: HashMap<Bytes, u64> =
        to_delete.iter().map(|to_delete| (to_delete.payload.clone(), most(to_delete))).collect();
    let bounds = {
        let queue = queue.clone();
        let bounds = move |step: &Step<'_>| {
            let end = |sql| {
                step.sql(sql)?.query_row([queue.as_str()], |row| row.get::<_, Option<i64>>(0)).map_err(StoreError::from)
            };
            let first = end("SELECT min(position) FROM jobs WHERE queue = ?1")?;
            Ok(first.zip(end("SELECT max(position) FROM jobs WHERE queue = ?1")?))
        };
        reader.call(bounds).await?
    };
    let Some((mut first, mut last)) = bounds else { return Ok(0) };
    let mut removed = 0;
    while left.values().any(|left| *left > 0) {
        let (queue, wanted) = (queue.clone(), left.clone());
        let page = {
            let queue = queue.clone();
            move |step: &Step<'_>| matching(step, &queue, &wanted, first, last, from)
        };
        let (found, end) = reader.call(page).await?;
        for some in found.chunks(usize::try_from(DELETED).unwrap_or(usize::MAX)) {
            let (queue, some) = (queue.clone(), some.to_vec());
            for payload in writer.call(move |step| delete(step, &queue, &some)).await? {
                removed += 1;
                left.entry(payload).and_modify(|left| *left = left.saturating_sub(1));
            }
        }
        match (end, from) {
            (None, _) => break,
            (Some(end), QueueEnd::Head) => first = end.saturating_add(1),
            (Some(end), QueueEnd::Tail) => last = end.saturating_sub(1),
        }
    }
    Ok(removed)
}

/// One page of a queue: what is wanted of it, and where it ends if more follows.
#[expect(clippy::type_complexity, reason = "a name for this would be used once")]
fn matching(
    step: &Step<'_>,
    queue: &QueueName,
    wanted: &HashMap<Bytes, u64>,
    first: i64,
    last: i64,
    from: QueueEnd,
) -> Result<(Vec<(i64, Bytes)>, Option<i64>), StoreError> {
    let mut select = match from {
        QueueEnd::Head => step.sql(
            "SELECT position, payload FROM jobs WHERE queue = ?1 AND position BETWEEN ?2 AND ?3 \
             ORDER BY position LIMIT ?4",
        )?,
        QueueEnd::Tail => step.sql(
            "SELECT position, payload FROM jobs WHERE queue = ?1 AND position BETWEEN ?2 AND ?3 \
             ORDER BY position DESC LIMIT ?4",
        )?,
    };
    let mut rows = select.query(params![queue.as_str(), first, last, PAGE])?;
    let (mut found, mut left, mut seen, mut end) = (Vec::new(), wanted.clone(), 0, None);
    while let Some(row) = rows.next()? {
        (seen, end) = (seen + 1, Some(row.get(0)?));
        let payload = Bytes::from(bytes(row.get_ref(1)?));
        if let Some(left) = left.get_mut(&payload)
            && *left > 0
        {
            *left -= 1;
            found.push((row.get(0)?, payload));
        }
    }
    Ok((found, end.filter(|_| seen == PAGE)))
}

/// Deletes jobs that still stand where they were seen, and what Retry keeps of those that are on a further attempt; tells
/// which.
fn delete(step: &Step<'_>, queue: &QueueName, found: &[(i64, Bytes)]) -> Result<Vec<Bytes>, StoreError> {
    let mut delete = step
        .sql("DELETE FROM jobs WHERE queue = ?1 AND position = ?2 AND CAST(payload AS BLOB) = ?3 RETURNING identity")?;
    let mut deleted = Vec::new();
    for (position, payload) in found {
        let identity = delete
            .query_row(params![queue.as_str(), position, &payload[..]], |row| Ok(opt_text(row.get_ref(0)?)))
            .optional()?;
        let Some(identity) = identity else { continue };
        if identity.as_deref().and_then(Identity::decode).is_some_and(|identity| identity.attempt > 1) {
            retries::forget_job(step, payload)?;
        }
        deleted.push(payload.clone());
    }
    Ok(deleted)
}

/// Runs a bounded step until it has nothing more to do; the sum of what each did.
pub(super) async fn repeated<F>(writer: &Handle, step: F) -> Result<u64, StoreError>
where
    F: Fn(&Step<'_>) -> Result<usize, StoreError> + Send + Clone + 'static,
{
    let mut sum = 0;
    loop {
        let step = step.clone();
        let done = writer.call(move |moment| step(moment)).await?;
        sum += count(stored(done));
        if stored(done) < DELETED {
            return Ok(sum);
        }
    }
}
