//! Moves between stores: takes a batch in, declines it, or puts it back to its places.

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

use super::engine::SqliteStore;
use super::number::{count, stored};
use super::search::{self, Lookout};
use super::step::Step;
use super::value::opt_text;
use super::{delayed, enqueue, locks, moving, verdict};
use crate::job::{Identity, PayloadView, QueueName};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::moving::{Batch, BatchId, Decline, PutBack, TakeIn, TakeInTarget, TakenIn, Waiting};
use crate::store::periodic::PeriodicEntry;

impl Perform<TakeIn> for SqliteStore {
    async fn perform(&self, arrow: TakeIn) -> Result<TakenIn, StoreError> {
        let step = move |step: &Step<'_>, lookout: &mut Lookout| {
            let TakeIn { batch, targets } = &arrow;
            if let Some(known) = known_as(step, &batch.id)? {
                return Ok(known);
            }
            note(step, &batch.id, false)?;
            put(step, batch, targets, lookout, End::Tail)?;
            Ok(TakenIn::Yes)
        };
        search::searching(&self.writer, &self.reader, step).await
    }
}

impl Perform<Decline> for SqliteStore {
    async fn perform(&self, arrow: Decline) -> Result<TakenIn, StoreError> {
        let step = move |step: &Step<'_>| {
            if let Some(known) = known_as(step, &arrow.id)? {
                return Ok(known);
            }
            note(step, &arrow.id, true)?;
            Ok(TakenIn::Declined)
        };
        self.writer.call(step).await
    }
}

impl Perform<PutBack> for SqliteStore {
    async fn perform(&self, arrow: PutBack) -> Result<bool, StoreError> {
        let step = move |step: &Step<'_>, lookout: &mut Lookout| {
            let PutBack { batch, targets } = &arrow;
            if !moving::drop_batch(step, &batch.id)? {
                return Ok(false);
            }
            put(step, batch, targets, lookout, End::Head)?;
            Ok(true)
        };
        search::searching(&self.writer, &self.reader, step).await
    }
}

/// The end of its list to which a queued or failed job goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Head,
    Tail,
}

/// What is known of this batch; `None` if it is new.
fn known_as(step: &Step<'_>, id: &BatchId) -> Result<Option<TakenIn>, StoreError> {
    let known = step
        .sql("SELECT number, token, declined = 1 FROM moved WHERE source = ?1 AND typeof(number) = 'integer'")?
        .query_row([&id.source], |row| Ok((count(row.get(0)?), opt_text(row.get_ref(1)?), row.get(2)?)))
        .optional()?;
    Ok(match known {
        Some((last, token, declined)) if last == id.number && token == id.token => {
            Some(if declined { TakenIn::Declined } else { TakenIn::Before })
        }
        Some((last, ..)) if last >= id.number => Some(TakenIn::Conflict { last }),
        _ => None,
    })
}

/// Notes that this is the last batch of its source.
fn note(step: &Step<'_>, id: &BatchId, declined: bool) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO moved (source, number, token, declined) VALUES (?1, ?2, ?3, ?4)";
    step.change("moved", sql, params![id.source, stored(id.number), id.token, declined])
}

/// Puts the items to their places.
fn put(
    step: &Step<'_>,
    batch: &Batch,
    targets: &[TakeInTarget],
    lookout: &mut Lookout,
    end: End,
) -> Result<(), StoreError> {
    let plain = TakeInTarget::default();
    let target = |index: usize| targets.get(index).unwrap_or(&plain);
    let items = || batch.items.iter().enumerate();
    if end == End::Head {
        for (index, item) in items().rev().filter(|(_, item)| has_end(item)) {
            put_one(step, item, target(index), lookout, end)?;
        }
    }
    for (index, item) in items().filter(|(_, item)| end == End::Tail || !has_end(item)) {
        put_one(step, item, target(index), lookout, end)?;
    }
    step.wake();
    Ok(())
}

fn has_end(item: &Waiting) -> bool {
    matches!(item, Waiting::Queued { .. } | Waiting::Failed { .. })
}

fn put_one(
    step: &Step<'_>,
    item: &Waiting,
    target: &TakeInTarget,
    lookout: &mut Lookout,
    end: End,
) -> Result<(), StoreError> {
    let TakeInTarget { lock, once } = target;
    let text = |identity: &Option<Identity>| identity.as_ref().map(Identity::encode);
    match item {
        Waiting::Queued { queue, payload, identity } => {
            if *once && stands(step, lookout, queue, payload)? {
                return Ok(());
            }
            if let Some((key, ttl_s)) = lock {
                locks::take_queue_lock_if_free(step, key, *ttl_s)?;
            }
            enqueue::make_known(step, queue)?;
            let identity = text(identity);
            match end {
                // The batch does not tell when its jobs came.
                End::Head => enqueue::give_back(step, queue, payload, identity.as_deref(), None)?,
                End::Tail => enqueue::push_tail(step, queue, payload, identity.as_deref())?,
            }
        }
        Waiting::Delayed { second, payload, identity } => {
            let view = PayloadView::parse(payload).ok();
            let queue = view.as_ref().and_then(|view| view.queue.as_deref()).map(QueueName::as_stored);
            if *once && stands(step, lookout, &queue.unwrap_or_else(|| QueueName::as_stored("")), payload)? {
                return Ok(());
            }
            delayed::insert(step, *second, payload, text(identity).as_deref())?;
        }
        Waiting::Failed { record } if end == End::Head => verdict::fail_first(step, record)?,
        Waiting::Failed { record } => verdict::fail(step, record)?,
        Waiting::Periodic(entry) => take_entry(step, entry)?,
        Waiting::Fired { id, last_s } => {
            if !step.finds("SELECT 1 FROM schedules WHERE id = ?1", [id])? {
                let sql = "INSERT INTO schedules (id, last_s) VALUES (?1, ?2)";
                step.change("schedules", sql, params![id, last_s])?;
            }
        }
        Waiting::Counted { processed, failed } => {
            verdict::add(step, "processed", *processed)?;
            verdict::add(step, "failed", *failed)?;
        }
    }
    Ok(())
}

/// Is a copy of this job queued or delayed?
fn stands(step: &Step<'_>, lookout: &mut Lookout, queue: &QueueName, payload: &Bytes) -> Result<bool, StoreError> {
    Ok(delayed::stands(step, payload)? || lookout.is_queued(step, queue, std::slice::from_ref(payload))?)
}

/// Takes a periodic entry in. One that exists stays as it is, but becomes stopped if the other is; then of the two seconds for
/// which it ran last the later one counts.
fn take_entry(step: &Step<'_>, entry: &PeriodicEntry) -> Result<(), StoreError> {
    let PeriodicEntry { task, queue, due_s, every_s, stopped, last_s, asked } = entry;
    step.change(
        "periodic",
        "INSERT INTO periodic (task, queue, due_s, every_s, stopped, last_s, asked) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
         ON CONFLICT (task) DO UPDATE SET stopped = max(stopped, excluded.stopped), \
         last_s = CASE WHEN excluded.stopped \
         THEN max(coalesce(last_s, excluded.last_s), coalesce(excluded.last_s, last_s)) ELSE last_s END",
        params![task.as_str(), queue.as_str(), due_s, stored(*every_s), stopped, last_s, asked],
    )
}
