//! Jobs that are searched by their bytes.
//!
//! A queue has no index by payload, because it would slow down every push and claim. So the connection that reads, which
//! blocks no writer, reads the queue in pages. The transaction that writes then looks only at the rows that were pushed
//! since.
//!
//! A row may have any size. Only those are read that have as many bytes as a job that is searched; SQLite knows how many a row
//! has without reading it.

use std::collections::HashMap;
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Rows, params};

use super::commit::Handle;
use super::effect::ignored;
use super::number::{count, stored};
use super::room::Room;
use super::step::Step;
use super::value::{AnyValue, opt_text, seen};
use super::{locks, retries};
use crate::job::{Identity, LockKey, QueueName};
use crate::store::error::StoreError;
use crate::store::inspection::{JobsToDelete, QueueEnd};
use crate::text::clean::named;

/// How many rows a transaction that writes looks at.
const LOOK: i64 = 2000;
/// How many rows are read at once. Other callers of this process wait for the same connection.
const PAGE: i64 = 5000;
/// How many bytes of rows one look, or one page, compares before it ends.
const COMPARED: usize = 16 << 20;
/// How many rows one transaction deletes.
pub(super) const DELETED: i64 = 1000;
/// How often a queue is read that changes faster than it can be read.
const READINGS: u32 = 20;

/// What reading a queue found.
#[derive(Debug, Clone, PartialEq, Default)]
enum Searched {
    /// It was not read.
    #[default]
    Not,
    /// One of the jobs stood at this position.
    Found(AnyValue),
    /// None of the jobs stood at these positions.
    Nowhere {
        /// The first position that was read.
        first: AnyValue,
        /// The last position that was read.
        last: AnyValue,
    },
}

/// Does one of these jobs stand on a queue? `None` if more would have to be read than a transaction may: then the
/// queue is to be read by [`read`] first.
fn is_queued(
    step: &Step<'_>,
    queue: &QueueName,
    forms: &[Bytes],
    searched: &Searched,
) -> Result<Option<bool>, StoreError> {
    let (shortest, longest) = lengths(forms);
    let stands = |position: &AnyValue, among: &[Bytes]| {
        let mut at = step.sql(
            "SELECT CASE WHEN octet_length(payload) BETWEEN ?3 AND ?4 THEN payload END FROM jobs \
             WHERE queue = ?1 AND position = ?2",
        )?;
        let these = params![queue.as_str(), position, shortest, longest];
        let found = at.query_row(these, |row| Ok(among.is_empty() || is_one(among, row.get_ref(0)?))).optional()?;
        Ok::<_, StoreError>(found == Some(true))
    };
    match searched {
        Searched::Found(position) if stands(position, forms)? => Ok(Some(true)),
        // As long as the last row stands, the queue was never empty, and positions have not started anew. So what was
        // pushed since stands before the first row or behind the last.
        Searched::Nowhere { first, last } if stands(last, &[])? => {
            let behind = look(step, queue, forms, last)?;
            if behind != Some(false) {
                return Ok(behind);
            }
            let mut select = step.sql(
                "SELECT CASE WHEN octet_length(payload) BETWEEN ?4 AND ?5 THEN payload END FROM jobs \
                 WHERE queue = ?1 AND position < ?2 ORDER BY position DESC LIMIT ?3",
            )?;
            any(&mut select.query(params![queue.as_str(), first, LOOK + 1, shortest, longest])?, forms)
        }
        _ => look(step, queue, forms, &AnyValue::FIRST),
    }
}

/// Looks behind a position.
fn look(step: &Step<'_>, queue: &QueueName, forms: &[Bytes], behind: &AnyValue) -> Result<Option<bool>, StoreError> {
    let (shortest, longest) = lengths(forms);
    let mut select = step.sql(
        "SELECT CASE WHEN octet_length(payload) BETWEEN ?4 AND ?5 THEN payload END FROM jobs \
         WHERE queue = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
    )?;
    any(&mut select.query(params![queue.as_str(), behind, LOOK + 1, shortest, longest])?, forms)
}

fn any(rows: &mut Rows<'_>, forms: &[Bytes]) -> Result<Option<bool>, StoreError> {
    let (mut looked_at, mut room) = (0, Room::new(COMPARED));
    while let Some(row) = rows.next()? {
        let payload = row.get_ref(0)?;
        if is_one(forms, payload) {
            return Ok(Some(true));
        }
        looked_at += 1;
        room.take(seen(payload).len());
        if looked_at > LOOK || !room.is_left() {
            return Ok(None);
        }
    }
    Ok(Some(false))
}

fn is_one(forms: &[Bytes], payload: ValueRef<'_>) -> bool {
    let payload = seen(payload);
    forms.iter().any(|form| form[..] == payload[..])
}

/// How many bytes the shortest and the longest of these have.
fn lengths<'a>(jobs: impl IntoIterator<Item = &'a Bytes>) -> (i64, i64) {
    let widened = |(least, most): (i64, i64), job: &Bytes| (least.min(stored(job.len())), most.max(stored(job.len())));
    jobs.into_iter().fold((i64::MAX, 0), widened)
}

/// Reads a queue in pages until one of these jobs is found.
async fn read(reader: &Handle, queue: &QueueName, forms: &[Bytes]) -> Result<Searched, StoreError> {
    let (mut first, mut last) = (None, AnyValue::FIRST);
    loop {
        let (queue, forms, behind) = (queue.clone(), forms.to_vec(), last.clone());
        let page = reader.call(move |step| Page::read(step, &queue, &forms, &behind)).await?;
        if let Some(position) = page.found {
            return Ok(Searched::Found(position));
        }
        first = first.or(page.first);
        last = page.last.unwrap_or(last);
        if !page.more {
            return Ok(first.map_or(Searched::Not, |first| Searched::Nowhere { first, last }));
        }
    }
}

/// A page of a queue that was searched.
#[derive(Default)]
struct Page {
    first: Option<AnyValue>,
    last: Option<AnyValue>,
    /// Where a job was found; the rest of the page was not read then.
    found: Option<AnyValue>,
    /// May there be more?
    more: bool,
}

impl Page {
    fn read(step: &Step<'_>, queue: &QueueName, forms: &[Bytes], behind: &AnyValue) -> Result<Self, StoreError> {
        let (shortest, longest) = lengths(forms);
        let mut select = step.sql(
            "SELECT position, CASE WHEN octet_length(payload) BETWEEN ?4 AND ?5 THEN payload END FROM jobs \
             WHERE queue = ?1 AND position > ?2 ORDER BY position LIMIT ?3",
        )?;
        let mut rows = select.query(params![queue.as_str(), behind, PAGE, shortest, longest])?;
        let (mut page, mut rows_read, mut room) = (Self::default(), 0, Room::new(COMPARED));
        while room.is_left()
            && let Some(row) = rows.next()?
        {
            let (position, payload): (AnyValue, _) = (row.get(0)?, row.get_ref(1)?);
            room.take(seen(payload).len());
            if is_one(forms, payload) {
                page.found = Some(position);
                return Ok(page);
            }
            rows_read += 1;
            page.first.get_or_insert_with(|| position.clone());
            page.last = Some(position);
        }
        page.more = rows_read == PAGE || !room.is_left();
        Ok(page)
    }
}

/// A queue, and the jobs to search for on it.
type Question = (QueueName, Vec<Bytes>);

/// Runs a step that needs to know whether jobs are on queues. Reads the queues that it asks for, and runs it again.
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
            // The receiver is gone only if the caller has stopped waiting.
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
        let searched = self.known.get(&question).map(|(searched, _)| searched.clone()).unwrap_or_default();
        is_queued(step, queue, forms, &searched)?.ok_or_else(|| {
            self.asks = Some(question);
            StoreError::Unavailable(format!("queue {queue} changes faster than it can be read", queue = named(&queue)))
        })
    }
}

/// Removes jobs of these bytes from a queue, beginning at one end; returns how many. What is pushed meanwhile may stay.
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
    let locked = to_delete.iter().filter(|to_delete| !to_delete.locks.is_empty());
    let locks: HashMap<Bytes, Vec<LockKey>> = locked.map(|one| (one.payload.clone(), one.locks.clone())).collect();
    let locks = Arc::new(locks);
    let bounds = {
        let queue = queue.clone();
        let bounds = move |step: &Step<'_>| {
            let end = |sql| {
                step.sql(sql)?.query_row([queue.as_str()], |row| row.get::<_, AnyValue>(0)).map_err(StoreError::from)
            };
            let first = end("SELECT min(position) FROM jobs WHERE queue = ?1")?;
            Ok((first, end("SELECT max(position) FROM jobs WHERE queue = ?1")?))
        };
        reader.call(bounds).await?
    };
    let (mut first, mut last) = bounds;
    let (mut removed, mut read) = (0, AnyValue::Null);
    while left.values().any(|left| *left > 0) {
        let (queue, wanted) = (queue.clone(), left.clone());
        let page = {
            let (queue, first, last, read) = (queue.clone(), first.clone(), last.clone(), read.clone());
            move |step: &Step<'_>| matching(step, &queue, &wanted, [&first, &last, &read], from)
        };
        let (found, end) = reader.call(page).await?;
        for some in found.chunks(usize::try_from(DELETED).unwrap_or(usize::MAX)) {
            let (queue, some, locks) = (queue.clone(), some.to_vec(), Arc::clone(&locks));
            for payload in writer.call(move |step| delete(step, &queue, &some, &locks)).await? {
                removed += 1;
                left.entry(payload).and_modify(|left| *left = left.saturating_sub(1));
            }
        }
        let Some(end) = end else { break };
        match from {
            QueueEnd::Head => first = end.clone(),
            QueueEnd::Tail => last = end.clone(),
        }
        read = end;
    }
    Ok(removed)
}

/// One page of a queue, from a first to a last position without the one that ended the page before: what is wanted of
/// it, and where it ends if more follows.
#[expect(clippy::type_complexity, reason = "a name for this would be used once")]
fn matching(
    step: &Step<'_>,
    queue: &QueueName,
    wanted: &HashMap<Bytes, u64>,
    [first, last, read]: [&AnyValue; 3],
    from: QueueEnd,
) -> Result<(Vec<(AnyValue, Bytes)>, Option<AnyValue>), StoreError> {
    let mut select = match from {
        QueueEnd::Head => step.sql(
            "SELECT position, CASE WHEN octet_length(payload) BETWEEN ?6 AND ?7 THEN payload END FROM jobs \
             WHERE queue = ?1 AND position BETWEEN ?2 AND ?3 AND position IS NOT ?5 ORDER BY position LIMIT ?4",
        )?,
        QueueEnd::Tail => step.sql(
            "SELECT position, CASE WHEN octet_length(payload) BETWEEN ?6 AND ?7 THEN payload END FROM jobs \
             WHERE queue = ?1 AND position BETWEEN ?2 AND ?3 AND position IS NOT ?5 ORDER BY position DESC LIMIT ?4",
        )?,
    };
    let (shortest, longest) = lengths(wanted.keys());
    let mut rows = select.query(params![queue.as_str(), first, last, PAGE, read, shortest, longest])?;
    let (mut found, mut left, mut looked_at, mut end) = (Vec::new(), wanted.clone(), 0, None);
    let mut room = Room::new(COMPARED);
    while room.is_left()
        && let Some(row) = rows.next()?
    {
        (looked_at, end) = (looked_at + 1, Some(row.get(0)?));
        let payload = seen(row.get_ref(1)?);
        room.take(payload.len());
        // The bytes that are searched are held already.
        if let Some((payload, _)) = wanted.get_key_value(&payload[..])
            && let Some(left) = left.get_mut(payload)
            && *left > 0
        {
            *left -= 1;
            found.push((row.get(0)?, payload.clone()));
        }
    }
    Ok((found, end.filter(|_| looked_at == PAGE || !room.is_left())))
}

/// Deletes jobs that still stand where they were seen, their locks, and what Retry keeps of those that are on a further
/// attempt; tells which.
fn delete(
    step: &Step<'_>,
    queue: &QueueName,
    found: &[(AnyValue, Bytes)],
    held: &HashMap<Bytes, Vec<LockKey>>,
) -> Result<Vec<Bytes>, StoreError> {
    let mut delete = step
        .sql("DELETE FROM jobs WHERE queue = ?1 AND position = ?2 AND CAST(payload AS BLOB) = ?3 RETURNING identity")?;
    let mut deleted = Vec::new();
    for (position, payload) in found {
        let this = params![queue.as_str(), position, &payload[..]];
        let identity = delete.query_row(this, |row| Ok(opt_text(row.get_ref(0)?))).optional()?;
        let Some(identity) = identity else {
            let sql = "SELECT 1 FROM jobs WHERE queue = ?1 AND position = ?2 AND CAST(payload AS BLOB) = ?3";
            if step.finds(sql, this)? {
                return Err(ignored("jobs"));
            }
            continue;
        };
        if identity.as_deref().and_then(Identity::decode).is_some_and(|identity| identity.attempt > 1) {
            retries::forget_job(step, payload)?;
        }
        for lock in held.get(payload).into_iter().flatten() {
            locks::free(step, lock)?;
        }
        deleted.push(payload.clone());
    }
    step.count_departed(queue, deleted.len());
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
