//! Moves between stores, at the source: sets aside, lets go and puts back; and who a store is.

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, params};

use super::effect::{at_least, ignored};
use super::engine::SqliteStore;
use super::number::{count, stored};
use super::room::{Room, STEP_BYTES};
use super::step::Step;
use super::value::{AnyValue, bytes, number, opt_int, opt_text, text};
use super::{inspect, lease, periodic};
use crate::job::{Identity, QueueName};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::instance::InstanceRecord;
use crate::store::moving::{
    Aside, Batch, BatchId, Identify, LastAside, LetGo, ReadAside, RenewSource, SetAside, StoreIdentity, Target, Waiting,
};
use crate::store::periodic::PeriodicEntry;
use crate::store::stored::Second;
use crate::store::unreadable::{PassedOver, RecordKind};

impl Perform<Identify> for SqliteStore {
    async fn perform(&self, arrow: Identify) -> Result<StoreIdentity, StoreError> {
        self.writer.call(move |step| identify(step, &arrow)).await
    }
}

impl Perform<SetAside> for SqliteStore {
    async fn perform(&self, arrow: SetAside) -> Result<Option<Batch>, StoreError> {
        let (fresh, token) = (InstanceRecord::new_id(), InstanceRecord::new_id());
        self.writer.call(move |step| set_aside(step, &fresh, &token, &arrow)).await
    }
}

impl Perform<ReadAside> for SqliteStore {
    async fn perform(&self, _: ReadAside) -> Result<Option<Aside>, StoreError> {
        self.reader.call(read_aside).await
    }
}

impl Perform<LetGo> for SqliteStore {
    async fn perform(&self, arrow: LetGo) -> Result<(), StoreError> {
        self.writer.call(move |step| drop_batch(step, &arrow.id)).await.map(drop)
    }
}

impl Perform<RenewSource> for SqliteStore {
    async fn perform(&self, arrow: RenewSource) -> Result<bool, StoreError> {
        self.writer.call(move |step| renew_source(step, &arrow)).await
    }
}

/// The condition for rows of `outbox` that some version of Windlass set aside. What another program put there stays.
macro_rules! is_ours {
    () => {
        "kind IN ('Q', 'D', 'F', 'P', 'C', 'S')"
    };
}

/// The condition under which the batch of this source, number and token is set aside.
macro_rules! stands {
    () => {
        concat!(
            "EXISTS (SELECT 1 FROM moving WHERE id = ?1 AND number = ?2 AND token IS ?3) ",
            "AND EXISTS (SELECT 1 FROM outbox WHERE ",
            is_ours!(),
            ")"
        )
    };
}

/// The store's own id, made if it has none, its mark, and the batch that it set aside last.
fn identify(step: &Step<'_>, arrow: &Identify) -> Result<StoreIdentity, StoreError> {
    let Identify { fresh, mark } = arrow;
    step.sweep("DELETE FROM itself WHERE typeof(value) <> 'text'", [])?;
    step.changed("INSERT OR IGNORE INTO itself (name, value) VALUES ('id', ?1)", [fresh])?;
    if let Some(mark) = mark {
        step.change("itself", "INSERT OR REPLACE INTO itself (name, value) VALUES ('mark', ?1)", [mark])?;
    }
    let mut select = step.sql("SELECT value FROM itself WHERE name = ?1")?;
    let mut read = |name: &str| select.query_row([name], |row| Ok(text(row.get_ref(0)?))).optional();
    let (id, mark) = (read("id")?.ok_or_else(|| ignored("itself"))?, read("mark")?);
    let last = step
        .sql("SELECT number, target, address FROM moving")?
        .query_row([], |row| Ok((number(row.get_ref(0)?), read_target(row, 1)?)))
        .optional()?
        .and_then(|(number, target)| Some(LastAside { number, target: target? }));
    Ok(StoreIdentity { id, mark, last })
}

/// Sets the next batch aside, or returns the one that is. `fresh` becomes this store's id if it has none, `token` names a
/// new batch.
fn set_aside(step: &Step<'_>, fresh: &str, token: &str, arrow: &SetAside) -> Result<Option<Batch>, StoreError> {
    let SetAside { limit, target } = arrow;
    let standing = step.sql(concat!("SELECT 1 FROM outbox WHERE ", is_ours!()))?.exists([])?;
    if !standing {
        let limit = stored(*limit);
        let taken = queued(step, limit)? || late(step, limit)? || failures(step, limit)? || entries(step, arrow.limit)?;
        if !taken && !counters(step)? {
            return Ok(None);
        }
    }
    // If another program changed the name or the number, a new name begins.
    step.sweep(
        "DELETE FROM moving WHERE typeof(id) <> 'text' OR typeof(number) <> 'integer' \
         OR number NOT BETWEEN 0 AND 9007199254740992 OR id <> (SELECT min(id) FROM moving)",
        [],
    )?;
    if !standing || !step.sql("SELECT 1 FROM moving")?.exists([])? {
        // The birth mark is older: a file that falls back to a copy from before its first move has the same name again.
        let born = lease::birth(step)?.filter(|mark| !mark.is_empty());
        let name = born.as_deref().unwrap_or(fresh);
        step.change(
            "moving",
            "INSERT INTO moving (id, number, token, target, address) \
             SELECT coalesce((SELECT id FROM moving), ?1), 1, ?2, ?3, ?4 ON CONFLICT (id) DO UPDATE SET \
             number = number + 1, token = excluded.token, target = excluded.target, address = excluded.address",
            params![name, token, target.id, target.address],
        )?;
    }
    let (id, target) = step.sql("SELECT id, number, token, target, address FROM moving")?.query_row([], |row| {
        let number = number(row.get_ref(1)?);
        let id = BatchId { source: text(row.get_ref(0)?), number, token: opt_text(row.get_ref(2)?) };
        Ok((id, read_target(row, 3)?))
    })?;
    // What another program changed to no text has the text under which the batch is known from now on.
    let known = params![id.source, id.token];
    step.change_up_to(
        1,
        "moving",
        "UPDATE moving SET id = ?1, token = ?2 WHERE id IS NOT ?1 OR token IS NOT ?2",
        known,
        || step.finds("SELECT 1 FROM moving WHERE id IS NOT ?1 OR token IS NOT ?2", known),
    )?;
    let mut select =
        step.sql(concat!("SELECT kind, name, identity, bytes FROM outbox WHERE ", is_ours!(), " ORDER BY place"))?;
    let mut rows = select.query([])?;
    let (mut items, mut passed) = (Vec::new(), PassedOver::new(RecordKind::SetAside));
    while let Some(row) = rows.next()? {
        items.extend(read(row, &mut passed)?);
    }
    step.findings().passed_over(&passed, "the table outbox");
    Ok(Some(Batch { id, target, items }))
}

/// The target in two columns from this one on.
fn read_target(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Target>> {
    let pair = opt_text(row.get_ref(column)?).zip(opt_text(row.get_ref(column + 1)?));
    Ok(pair.map(|(id, address)| Target { id, address }))
}

/// How many items are set aside, and for whom.
fn read_aside(step: &Step<'_>) -> Result<Option<Aside>, StoreError> {
    let items: i64 =
        step.sql(concat!("SELECT count(*) FROM outbox WHERE ", is_ours!()))?.query_row([], |row| row.get(0))?;
    if items == 0 {
        return Ok(None);
    }
    let mut select = step.sql("SELECT target, address FROM moving")?;
    let target = select.query_row([], |row| read_target(row, 0)).optional()?;
    Ok(Some(Aside { items: count(items), target: target.flatten() }))
}

/// Forgets the batch if it is set aside. Returns whether it was.
pub(super) fn drop_batch(step: &Step<'_>, id: &BatchId) -> Result<bool, StoreError> {
    let delete = concat!("DELETE FROM outbox WHERE ", is_ours!(), " AND ", stands!());
    let this = params![id.source, stored(id.number), id.token];
    let stands = || step.finds(concat!("SELECT 1 WHERE ", stands!()), this);
    Ok(step.change_up_to(usize::MAX, "outbox", delete, this, stands)? > 0)
}

/// Gives the source a new id, if this batch is set aside.
fn renew_source(step: &Step<'_>, arrow: &RenewSource) -> Result<bool, StoreError> {
    let RenewSource { id, fresh } = arrow;
    step.change_up_to(
        1,
        "moving",
        concat!("UPDATE moving SET id = ?4 WHERE id = ?1 AND ", stands!()),
        params![id.source, stored(id.number), id.token, fresh],
        || step.finds(concat!("SELECT 1 WHERE ", stands!()), params![id.source, stored(id.number), id.token]),
    )?;
    let renewed = params![fresh, stored(id.number), id.token];
    Ok(step.sql(concat!("SELECT 1 WHERE ", stands!()))?.exists(renewed)?)
}

/// How many bytes a row has, in the first column, and what else of it is wanted.
fn sized<T>(row: &Row<'_>, wanted: T) -> rusqlite::Result<(usize, T)> {
    Ok((usize::try_from(opt_int(row.get_ref(0)?).unwrap_or(0)).unwrap_or(0), wanted))
}

/// The first jobs of the first queues that have any, as many as one step holds.
fn queued(step: &Step<'_>, limit: i64) -> Result<bool, StoreError> {
    let mut select =
        step.sql("SELECT octet_length(payload), queue, position FROM jobs ORDER BY queue, position LIMIT ?1")?;
    let found = Room::new(STEP_BYTES).fill(&mut select.query([limit])?, |row| {
        // What no text names is no queue that is counted.
        if let Ok(name) = row.get_ref(1)?.as_str() {
            step.count_departed(&QueueName::as_stored(name), 1);
        }
        sized(row, (row.get::<_, AnyValue>(1)?, row.get::<_, AnyValue>(2)?))
    })?;
    let Some((queue, position)) = found.last() else { return Ok(false) };
    let these = params![queue, position];
    let set_aside = step.changed(
        "INSERT INTO outbox (kind, name, identity, bytes) SELECT 'Q', queue, identity, payload FROM jobs \
         WHERE (queue, position) <= (?1, ?2) ORDER BY queue, position",
        these,
    )?;
    let removed = step.changed("DELETE FROM jobs WHERE (queue, position) <= (?1, ?2)", these)?;
    all_moved(found.len(), "jobs", set_aside, removed)?;
    Ok(true)
}

/// The first jobs of the earliest second, as many as one step holds. One that is no whole number is set aside as a number.
fn late(step: &Step<'_>, limit: i64) -> Result<bool, StoreError> {
    let second: AnyValue = step.sql("SELECT min(second) FROM delayed")?.query_row([], |row| row.get(0))?;
    if second == AnyValue::Null {
        return Ok(false);
    }
    let mut select =
        step.sql("SELECT octet_length(payload), place FROM delayed WHERE second = ?1 ORDER BY place LIMIT ?2")?;
    let found = Room::new(STEP_BYTES)
        .fill(&mut select.query(params![second, limit])?, |row| sized(row, row.get::<_, AnyValue>(1)?))?;
    let last = found.last();
    let these = params![second, last];
    let set_aside = step.changed(
        "INSERT INTO outbox (kind, name, identity, bytes) SELECT 'D', CAST(second AS INTEGER), identity, payload \
         FROM delayed WHERE second = ?1 AND place <= ?2 ORDER BY place",
        these,
    )?;
    let removed = step.changed("DELETE FROM delayed WHERE second = ?1 AND place <= ?2", these)?;
    all_moved(found.len(), "delayed", set_aside, removed)?;
    Ok(true)
}

/// The oldest failure records, as many as one step holds.
fn failures(step: &Step<'_>, limit: i64) -> Result<bool, StoreError> {
    let mut select = step.sql("SELECT octet_length(record), place FROM failed ORDER BY place LIMIT ?1")?;
    let found = Room::new(STEP_BYTES).fill(&mut select.query([limit])?, |row| sized(row, row.get::<_, i64>(1)?))?;
    let Some(last) = found.last() else { return Ok(false) };
    let insert =
        "INSERT INTO outbox (kind, name, bytes) SELECT 'F', '', record FROM failed WHERE place <= ?1 ORDER BY place";
    let set_aside = step.changed(insert, [last])?;
    let removed = step.changed("DELETE FROM failed WHERE place <= ?1", [last])?;
    all_moved(found.len(), "failed", set_aside, removed)?;
    Ok(true)
}

/// Were all of these rows of a table set aside, and removed there?
fn all_moved(rows: usize, table: &str, set_aside: usize, removed: usize) -> Result<(), StoreError> {
    at_least(rows, "outbox", set_aside)?;
    at_least(rows, table, removed)
}

/// The first periodic entries and last occurrences of schedules. One that is no second stays, because the other store could
/// not read it either.
fn entries(step: &Step<'_>, limit: usize) -> Result<bool, StoreError> {
    let entries = periodic::first_entries(step, limit)?;
    for entry in &entries {
        // In the place of an identity.
        let sql = "INSERT INTO outbox (kind, name, identity, bytes) VALUES ('P', ?1, ?2, ?3)";
        let (last, encoded) = (entry.last_of_stopped(), entry.encode());
        let item = params![entry.task.as_str(), last, encoded.as_bytes()];
        step.change("outbox", sql, item)?;
    }
    // They were read in this order.
    let these = "DELETE FROM periodic WHERE task IN (SELECT task FROM periodic ORDER BY task LIMIT ?1)";
    at_least(entries.len(), "periodic", step.changed(these, [stored(entries.len())])?)?;
    // As `stored::Second` reads it.
    macro_rules! is_second {
        () => {
            "(typeof(last_s) = 'integer' AND last_s BETWEEN -8640000000000 AND 8640000000000)"
        };
    }
    macro_rules! readable {
        ($what:literal) => {
            concat!($what, " FROM schedules WHERE ", is_second!())
        };
    }
    let first: i64 = stored(limit.saturating_sub(entries.len()));
    let readable: i64 = step
        .sql(concat!("SELECT count(*) FROM (", readable!("SELECT id"), " ORDER BY id LIMIT ?1)"))?
        .query_row([first], |row| row.get(0))?;
    let readable = usize::try_from(readable).unwrap_or(usize::MAX);
    let fired = step.changed(
        concat!(
            "INSERT INTO outbox (kind, name, bytes) ",
            readable!("SELECT 'C', id, CAST(CAST(last_s AS TEXT) AS BLOB)"),
            " ORDER BY id LIMIT ?1"
        ),
        [first],
    )?;
    at_least(readable, "outbox", fired)?;
    let sql = concat!("DELETE FROM schedules WHERE id IN (", readable!("SELECT id"), " ORDER BY id LIMIT ?1)");
    let removed = step.changed(sql, [first])?;
    at_least(readable, "schedules", removed)?;
    let mut passed = PassedOver::new(RecordKind::Occurrence);
    let mut left = step.sql(concat!("SELECT id FROM schedules WHERE NOT ", is_second!()))?;
    let mut rows = left.query([])?;
    while let Some(row) = rows.next()? {
        passed.add(&bytes(row.get_ref(0)?), "it is no second");
    }
    step.findings().passed_over(&passed, "the table schedules");
    Ok(!entries.is_empty() || fired > 0)
}

/// The counters, unless both are zero.
fn counters(step: &Step<'_>) -> Result<bool, StoreError> {
    let (processed, failed) = (inspect::counter(step, "processed")?, inspect::counter(step, "failed")?);
    step.changed("UPDATE stats SET value = 0 WHERE name IN ('processed', 'failed')", [])?;
    if processed == 0 && failed == 0 {
        return Ok(false);
    }
    if inspect::counter(step, "processed")? != 0 || inspect::counter(step, "failed")? != 0 {
        return Err(ignored("stats"));
    }
    let sql = "INSERT INTO outbox (kind, name, bytes) VALUES ('S', ?1, ?2)";
    step.change("outbox", sql, params![processed.to_string(), failed.to_string().as_bytes()])?;
    Ok(true)
}

/// Reads an item. A job or failure record is never passed over, whatever else its row holds.
fn read(row: &Row<'_>, passed: &mut PassedOver) -> Result<Option<Waiting>, StoreError> {
    let (kind, name) = (text(row.get_ref(0)?), text(row.get_ref(1)?));
    let beside = opt_text(row.get_ref(2)?);
    let identity = beside.as_deref().and_then(Identity::decode);
    let payload = Bytes::from(bytes(row.get_ref(3)?));
    let content = std::str::from_utf8(&payload).ok();
    let second = || content.and_then(|content| content.parse::<Second>().ok());
    let item = match kind.as_str() {
        "Q" => Some(Waiting::Queued { queue: QueueName::as_stored(&name), payload, identity }),
        // Without a second that can be read it is due at once.
        "D" => Some(Waiting::Delayed { second: name.parse().unwrap_or(0), payload, identity }),
        "F" => Some(Waiting::Failed { record: payload }),
        "P" => content
            .and_then(|content| PeriodicEntry::decode(&name, content))
            .map(|entry| Waiting::Periodic(entry.ran(beside.as_deref()))),
        "C" => second().map(|second| Waiting::Fired { id: name.clone(), last_s: second.get() }),
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
