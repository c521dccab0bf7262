//! Periodic tasks: the next tick, and looking after entries whose job is nowhere.

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, params};

use super::commit::Step;
use super::number::{count, stored};
use super::{delayed, enqueue, locks};
use crate::job::{LockKey, QueueName, TaskName};
use crate::store::effect::{HALTED_S, Tick};
use crate::store::error::StoreError;
use crate::store::scheduling::{PeriodicEntry, Reconcile, Reconciled};

/// Writes the next tick, unless the task is stopped or one stands already.
pub(super) fn tick(step: &Step<'_>, tick: &Tick) -> Result<(), StoreError> {
    let entry = entry(step, &tick.task)?;
    if tick.halt {
        return write(step, tick, HALTED_S);
    }
    if entry.as_ref().is_some_and(|entry| entry.stopped) || delayed::stands(step, &tick.payload)? {
        return Ok(());
    }
    let due_s = match entry {
        Some(entry) if entry.due_s != HALTED_S => first_after(entry.due_s, tick.every_s, step.now_ms),
        _ => step.now_s().saturating_add(period(tick.every_s)),
    };
    write(step, tick, due_s)?;
    delayed::insert(step, due_s, &tick.payload, None)
}

fn period(every_s: u64) -> i64 {
    stored(every_s).max(1)
}

/// `due_s` plus the least number of periods, at least one, that leads beyond `now_ms`.
fn first_after(due_s: i64, every_s: u64, now_ms: i64) -> i64 {
    let every_s = period(every_s);
    let late_s = now_ms.div_euclid(1000).saturating_sub(due_s).max(0);
    due_s.saturating_add((late_s / every_s + 1).saturating_mul(every_s))
}

fn read(row: &Row<'_>) -> rusqlite::Result<PeriodicEntry> {
    Ok(PeriodicEntry {
        task: TaskName::as_stored(row.get_ref(0)?.as_str()?),
        queue: QueueName::as_stored(row.get_ref(1)?.as_str()?),
        due_s: row.get(2)?,
        every_s: count(row.get(3)?),
        stopped: row.get(4)?,
    })
}

fn entry(step: &Step<'_>, task: &TaskName) -> Result<Option<PeriodicEntry>, StoreError> {
    let mut select = step.sql("SELECT task, queue, due_s, every_s, stopped FROM periodic WHERE task = ?1")?;
    Ok(select.query_row([task.as_str()], read).optional()?)
}

/// Writes a task's entry; whether it is stopped stays as it was.
fn write(step: &Step<'_>, tick: &Tick, due_s: i64) -> Result<(), StoreError> {
    step.sql(
        "INSERT INTO periodic (task, queue, due_s, every_s) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (task) DO UPDATE SET queue = excluded.queue, due_s = excluded.due_s, every_s = excluded.every_s",
    )?
    .execute(params![tick.task.as_str(), tick.queue.as_str(), due_s, period(tick.every_s)])?;
    Ok(())
}

/// All entries, and which of these locks are held.
pub(super) fn periodic(step: &Step<'_>, job_locks: &[LockKey]) -> Result<(Vec<PeriodicEntry>, Vec<bool>), StoreError> {
    let entries = step
        .sql("SELECT task, queue, due_s, every_s, stopped FROM periodic ORDER BY task")?
        .query_map([], read)?
        .collect::<Result<_, _>>()?;
    let held = job_locks.iter().map(|key| Ok(locks::value(step, key)?.is_some()));
    Ok((entries, held.collect::<Result<_, StoreError>>()?))
}

/// Where a periodic task's job was found.
enum Found {
    /// Delayed until this second.
    Delayed(i64),
    /// On its queue, or running.
    Ready,
}

/// Looks after one periodic task.
pub(super) fn reconcile(step: &Step<'_>, reconcile: &Reconcile) -> Result<Reconciled, StoreError> {
    let tick = &reconcile.tick;
    let entry = entry(step, &tick.task)?;
    // A task that halted begins anew when an instance starts.
    let Some(entry) = entry.filter(|entry| !(reconcile.boot && entry.due_s == HALTED_S && !entry.stopped)) else {
        match find(step, reconcile)? {
            Some(Found::Delayed(second)) => write(step, tick, second)?,
            Some(Found::Ready) => write(step, tick, step.now_s())?,
            None => {
                run(step, reconcile)?;
                write(step, tick, step.now_s())?;
            }
        }
        free_orphan(step, reconcile)?;
        return Ok(Reconciled::Seeded);
    };
    if entry.stopped {
        return Ok(Reconciled::Fine);
    }
    let unlocked = free_orphan(step, reconcile)?;
    let grace_s = stored(reconcile.grace_s);
    if entry.due_s.saturating_add(grace_s) <= step.now_s() {
        match find(step, reconcile)? {
            // Somebody else wrote the tick: accepted as it stands.
            Some(Found::Delayed(second)) => write(step, tick, second)?,
            Some(Found::Ready) => {}
            None => {
                run(step, reconcile)?;
                // The last tick that should have run: the schedule stays what it was.
                let every_s = period(tick.every_s);
                let next_s = first_after(entry.due_s, tick.every_s, step.now_ms);
                write(step, tick, next_s.saturating_sub(every_s))?;
                return Ok(Reconciled::Restored);
            }
        }
    }
    Ok(if unlocked { Reconciled::Unlocked } else { Reconciled::Fine })
}

/// Puts the job on its queue and makes its QueueLock say so: whoever held that held it for nothing.
fn run(step: &Step<'_>, reconcile: &Reconcile) -> Result<(), StoreError> {
    let tick = &reconcile.tick;
    enqueue::make_known(step, &tick.queue)?;
    enqueue::push_tail(step, &tick.queue, &tick.payload, None)?;
    if let Some((key, ttl_s)) = &reconcile.queue_lock {
        locks::take_queue_lock(step, key, *ttl_s)?;
    }
    Ok(())
}

/// Frees the JobLock if it is held while nobody works on it; true if it was freed.
fn free_orphan(step: &Step<'_>, reconcile: &Reconcile) -> Result<bool, StoreError> {
    let Some(key) = &reconcile.job_lock else { return Ok(false) };
    let Some(value) = locks::value(step, key)? else { return Ok(false) };
    let owned = match locks::owner(&value) {
        Some(claim) => step.sql("SELECT 1 FROM working WHERE claim = ?1")?.exists([claim])?,
        None => is_running(step, &reconcile.forms)?,
    };
    if owned {
        return Ok(false);
    }
    locks::free(step, key)?;
    Ok(true)
}

fn is_running(step: &Step<'_>, forms: &[Bytes]) -> Result<bool, StoreError> {
    let mut select = step.sql("SELECT 1 FROM working WHERE payload = ?1")?;
    for form in forms {
        if select.exists([&form[..]])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Searches a task's job in all its forms.
fn find(step: &Step<'_>, reconcile: &Reconcile) -> Result<Option<Found>, StoreError> {
    for form in &reconcile.forms {
        if let Some(second) = delayed::seconds(step, form)?.first() {
            return Ok(Some(Found::Delayed(*second)));
        }
    }
    let mut queued = step.sql("SELECT 1 FROM jobs WHERE queue = ?1 AND payload = ?2")?;
    for form in &reconcile.forms {
        if queued.exists(params![reconcile.tick.queue.as_str(), &form[..]])? {
            return Ok(Some(Found::Ready));
        }
    }
    Ok(is_running(step, &reconcile.forms)?.then_some(Found::Ready))
}

/// Forgets a task: its entry, and its delayed and queued copies.
pub(super) fn withdraw(step: &Step<'_>, task: &TaskName, queue: &QueueName, forms: &[Bytes]) -> Result<(), StoreError> {
    step.sql("DELETE FROM periodic WHERE task = ?1")?.execute([task.as_str()])?;
    let mut delete = step.sql("DELETE FROM jobs WHERE queue = ?1 AND payload = ?2")?;
    for form in forms {
        delayed::remove(step, form)?;
        delete.execute(params![queue.as_str(), &form[..]])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::first_after;

    #[test]
    fn the_next_tick_keeps_to_the_schedule() {
        assert_eq!(first_after(100, 10, 100_000), 110);
        assert_eq!(first_after(100, 10, 109_999), 110);
        assert_eq!(first_after(100, 10, 110_000), 120);
        assert_eq!(first_after(100, 10, 1_234_500), 1240);
        // A clock that was set back does not bring a second tick before the first.
        assert_eq!(first_after(100, 10, 50_000), 110);
        assert_eq!(first_after(i64::MAX - 1, u64::MAX, i64::MAX), i64::MAX);
    }
}
