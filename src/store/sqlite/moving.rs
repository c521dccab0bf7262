//! Moves between stores: set aside, take in, let go.

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, params};

use super::commit::Step;
use super::engine::SqliteStore;
use super::number::stored;
use super::search::{self, Lookout};
use super::value::{AnyValue, bytes, number, opt_text, text};
use super::{delayed, enqueue, inspect, locks, periodic, verdict};
use crate::job::{Identity, PayloadView, QueueName};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::instance::InstanceRecord;
use crate::store::moving::{Batch, LetGo, SetAside, TakeIn, TakeInTarget, Waiting};
use crate::store::periodic::PeriodicEntry;
use crate::store::unreadable::{PassedOver, RecordKind};

impl Perform<SetAside> for SqliteStore {
    async fn perform(&self, arrow: SetAside) -> Result<Option<Batch>, StoreError> {
        let fresh = InstanceRecord::new_id();
        self.writer.call(move |step| set_aside(step, &fresh, arrow.limit)).await
    }
}

impl Perform<TakeIn> for SqliteStore {
    async fn perform(&self, arrow: TakeIn) -> Result<bool, StoreError> {
        let step = move |step: &Step<'_>, lookout: &mut Lookout| take_in(step, &arrow.batch, &arrow.targets, lookout);
        search::searching(&self.writer, &self.reader, step).await
    }
}

impl Perform<LetGo> for SqliteStore {
    async fn perform(&self, arrow: LetGo) -> Result<(), StoreError> {
        self.writer.call(move |step| let_go(step, arrow.number)).await
    }
}

/// The condition for rows of `outbox` that some version of Windlass set aside. What another program put there stays.
macro_rules! is_ours {
    () => {
        "kind IN ('Q', 'D', 'F', 'P', 'C', 'S')"
    };
}

/// Sets the next batch aside, or returns the one that is. `fresh` becomes this store's id if it has none.
pub(super) fn set_aside(step: &Step<'_>, fresh: &str, limit: usize) -> Result<Option<Batch>, StoreError> {
    let standing = step.sql(concat!("SELECT 1 FROM outbox WHERE ", is_ours!()))?.exists([])?;
    if !standing {
        let limit = stored(limit);
        let taken = queued(step, limit)? || late(step, limit)? || failures(step, limit)? || entries(step)?;
        if !taken && !counters(step)? {
            return Ok(None);
        }
    }
    // If another program changed the name or the number, a new name begins.
    step.sql(
        "DELETE FROM moving WHERE typeof(id) <> 'text' OR typeof(number) <> 'integer' \
         OR number NOT BETWEEN 0 AND 9007199254740992",
    )?
    .execute([])?;
    if !standing || !step.sql("SELECT 1 FROM moving")?.exists([])? {
        step.sql(
            "INSERT INTO moving (id, number) SELECT coalesce((SELECT id FROM moving), ?1), 1 \
             ON CONFLICT (id) DO UPDATE SET number = number + 1",
        )?
        .execute([fresh])?;
    }
    let (source, number) = step
        .sql("SELECT id, number FROM moving")?
        .query_row([], |row| Ok((text(row.get_ref(0)?), number(row.get_ref(1)?))))?;
    let mut select =
        step.sql(concat!("SELECT kind, name, identity, bytes FROM outbox WHERE ", is_ours!(), " ORDER BY place"))?;
    let mut rows = select.query([])?;
    let (mut items, mut passed) = (Vec::new(), PassedOver::new(RecordKind::SetAside));
    while let Some(row) = rows.next()? {
        items.extend(read(row, &mut passed)?);
    }
    step.findings().passed_over(&passed, "the table outbox");
    Ok(Some(Batch { source, number, items }))
}

/// The first jobs of the first queue that has any.
fn queued(step: &Step<'_>, limit: i64) -> Result<bool, StoreError> {
    let first =
        step.sql("SELECT queue FROM jobs ORDER BY queue LIMIT 1")?.query_row([], |row| row.get(0)).optional()?;
    let Some(queue): Option<AnyValue> = first else { return Ok(false) };
    let last: AnyValue = step
        .sql(
            "SELECT max(position) FROM \
             (SELECT position FROM jobs WHERE queue = ?1 ORDER BY position LIMIT ?2)",
        )?
        .query_row(params![queue, limit], |row| row.get(0))?;
    step.sql(
        "INSERT INTO outbox (kind, name, identity, bytes) \
         SELECT 'Q', queue, identity, payload FROM jobs WHERE queue = ?1 AND position <= ?2 ORDER BY position",
    )?
    .execute(params![queue, last])?;
    step.sql("DELETE FROM jobs WHERE queue = ?1 AND position <= ?2")?.execute(params![queue, last])?;
    Ok(true)
}

/// The first jobs of the earliest second. One that is no whole number is set aside as a number.
fn late(step: &Step<'_>, limit: i64) -> Result<bool, StoreError> {
    let second: AnyValue = step.sql("SELECT min(second) FROM delayed")?.query_row([], |row| row.get(0))?;
    if second == AnyValue::Null {
        return Ok(false);
    }
    let last: AnyValue = step
        .sql("SELECT max(place) FROM (SELECT place FROM delayed WHERE second = ?1 ORDER BY place LIMIT ?2)")?
        .query_row(params![second, limit], |row| row.get(0))?;
    step.sql(
        "INSERT INTO outbox (kind, name, identity, bytes) SELECT 'D', CAST(second AS INTEGER), identity, payload \
         FROM delayed WHERE second = ?1 AND place <= ?2 ORDER BY place",
    )?
    .execute(params![second, last])?;
    step.sql("DELETE FROM delayed WHERE second = ?1 AND place <= ?2")?.execute(params![second, last])?;
    Ok(true)
}

/// The oldest failure records.
fn failures(step: &Step<'_>, limit: i64) -> Result<bool, StoreError> {
    let last: Option<i64> = step
        .sql("SELECT max(place) FROM (SELECT place FROM failed ORDER BY place LIMIT ?1)")?
        .query_row([limit], |row| row.get(0))?;
    let Some(last) = last else { return Ok(false) };
    step.sql(
        "INSERT INTO outbox (kind, name, bytes) SELECT 'F', '', record FROM failed WHERE place <= ?1 ORDER BY place",
    )?
    .execute([last])?;
    step.sql("DELETE FROM failed WHERE place <= ?1")?.execute([last])?;
    Ok(true)
}

/// All periodic entries, and the last occurrences of schedules.
fn entries(step: &Step<'_>) -> Result<bool, StoreError> {
    let (entries, _) = periodic::periodic(step, &[])?;
    let mut insert = step.sql("INSERT INTO outbox (kind, name, bytes) VALUES ('P', ?1, ?2)")?;
    for entry in &entries {
        insert.execute(params![entry.task.as_str(), entry.encode().as_bytes()])?;
    }
    step.sql("DELETE FROM periodic")?.execute([])?;
    let fired = step
        .sql(
            "INSERT INTO outbox (kind, name, bytes) SELECT 'C', id, CAST(CAST(last_s AS TEXT) AS BLOB) FROM schedules \
             WHERE typeof(last_s) = 'integer'",
        )?
        .execute([])?;
    step.sql("DELETE FROM schedules")?.execute([])?;
    Ok(!entries.is_empty() || fired > 0)
}

/// The counters, unless both are zero.
fn counters(step: &Step<'_>) -> Result<bool, StoreError> {
    let (processed, failed) = (inspect::counter(step, "processed")?, inspect::counter(step, "failed")?);
    step.sql("UPDATE stats SET value = 0")?.execute([])?;
    if processed == 0 && failed == 0 {
        return Ok(false);
    }
    step.sql("INSERT INTO outbox (kind, name, bytes) VALUES ('S', ?1, ?2)")?
        .execute(params![processed.to_string(), failed.to_string().as_bytes()])?;
    Ok(true)
}

/// Reads an item. A job or failure record is never passed over, whatever else its row holds.
fn read(row: &Row<'_>, passed: &mut PassedOver) -> Result<Option<Waiting>, StoreError> {
    let (kind, name) = (text(row.get_ref(0)?), text(row.get_ref(1)?));
    let identity = opt_text(row.get_ref(2)?).as_deref().and_then(Identity::decode);
    let payload = Bytes::from(bytes(row.get_ref(3)?));
    let content = std::str::from_utf8(&payload).ok();
    let number = || content.and_then(|content| content.parse().ok());
    let item = match kind.as_str() {
        "Q" => Some(Waiting::Queued { queue: QueueName::as_stored(&name), payload, identity }),
        // Without a second that can be read it is due at once.
        "D" => Some(Waiting::Delayed { second: name.parse().unwrap_or(0), payload, identity }),
        "F" => Some(Waiting::Failed { record: payload }),
        "P" => content.and_then(|content| PeriodicEntry::decode(&name, content)).map(Waiting::Periodic),
        "C" => number().map(|last_s| Waiting::Fired { id: name.clone(), last_s }),
        _ => name
            .parse()
            .ok()
            .zip(content.and_then(|content| content.parse().ok()))
            .map(|(processed, failed)| Waiting::Counted { processed, failed }),
    };
    if item.is_none() {
        passed.add(format!("{kind} {name}").as_bytes(), "it does not hold what its kind says");
    }
    Ok(item)
}

/// Takes a batch in, once.
pub(super) fn take_in(
    step: &Step<'_>,
    batch: &Batch,
    targets: &[TakeInTarget],
    lookout: &mut Lookout,
) -> Result<bool, StoreError> {
    let newer = step
        .sql(
            "INSERT INTO moved (source, number) VALUES (?1, ?2) \
             ON CONFLICT (source) DO UPDATE SET number = excluded.number \
             WHERE number < excluded.number OR typeof(number) <> 'integer'",
        )?
        .execute(params![batch.source, stored(batch.number)])?;
    if newer == 0 {
        return Ok(false);
    }
    let plain = TakeInTarget::default();
    for (index, item) in batch.items.iter().enumerate() {
        let TakeInTarget { lock, once } = targets.get(index).unwrap_or(&plain);
        let text = |identity: &Option<Identity>| identity.as_ref().map(Identity::encode);
        match item {
            Waiting::Queued { queue, payload, identity } => {
                if *once && stands(step, lookout, queue, payload)? {
                    continue;
                }
                if let Some((key, ttl_s)) = lock
                    && !locks::queue_lock_refuses(step, key)?
                {
                    locks::take_queue_lock(step, key, *ttl_s)?;
                }
                enqueue::make_known(step, queue)?;
                enqueue::push_tail(step, queue, payload, text(identity).as_deref())?;
            }
            Waiting::Delayed { second, payload, identity } => {
                let view = PayloadView::parse(payload).ok();
                let queue = view.as_ref().and_then(|view| view.queue.as_deref()).map(QueueName::as_stored);
                if *once && stands(step, lookout, &queue.unwrap_or_else(|| QueueName::as_stored("")), payload)? {
                    continue;
                }
                delayed::insert(step, *second, payload, text(identity).as_deref())?;
            }
            Waiting::Failed { record } => verdict::fail(step, record)?,
            Waiting::Periodic(entry) => take_entry(step, entry)?,
            Waiting::Fired { id, last_s } => {
                let mut insert = step.sql("INSERT OR IGNORE INTO schedules (id, last_s) VALUES (?1, ?2)")?;
                insert.execute(params![id, last_s])?;
            }
            Waiting::Counted { processed, failed } => {
                let mut update = step.sql("UPDATE stats SET value = value + ?2 WHERE name = ?1")?;
                update.execute(params!["processed", stored(*processed)])?;
                update.execute(params!["failed", stored(*failed)])?;
            }
        }
    }
    step.wake();
    Ok(true)
}

/// Is a copy of this job queued or delayed?
fn stands(step: &Step<'_>, lookout: &mut Lookout, queue: &QueueName, payload: &Bytes) -> Result<bool, StoreError> {
    Ok(delayed::stands(step, payload)? || lookout.is_queued(step, queue, std::slice::from_ref(payload))?)
}

/// Takes a periodic entry in. One that exists stays as it is, but becomes stopped if the other is.
fn take_entry(step: &Step<'_>, entry: &PeriodicEntry) -> Result<(), StoreError> {
    let PeriodicEntry { task, queue, due_s, every_s, stopped } = entry;
    step.sql(
        "INSERT INTO periodic (task, queue, due_s, every_s, stopped) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (task) DO UPDATE SET stopped = max(stopped, excluded.stopped)",
    )?
    .execute(params![task.as_str(), queue.as_str(), due_s, stored(*every_s), stopped])?;
    Ok(())
}

/// Forgets the batch that is set aside.
pub(super) fn let_go(step: &Step<'_>, number: u64) -> Result<(), StoreError> {
    step.sql(concat!("DELETE FROM outbox WHERE ", is_ours!(), " AND EXISTS (SELECT 1 FROM moving WHERE number = ?1)"))?
        .execute([stored(number)])?;
    Ok(())
}
