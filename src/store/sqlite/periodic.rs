//! Periodic tasks: the next tick, and the repair of entries whose job is missing.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, params};

use super::engine::SqliteStore;
use super::number::stored;
use super::search::{self, Lookout};
use super::step::Step;
use super::value::{self, number, text};
use super::whereabouts::{Found, find, is_put_off, is_running, waits_for_attempt};
use super::{cadence, delayed, enqueue, locks};
use crate::job::{LockKey, QueueName, TaskName};
use crate::store::arrow::Perform;
use crate::store::effect::{HALTED_S, Next, Occurrence, Tick, early_s};
use crate::store::error::StoreError;
use crate::store::periodic::{MOST_ENTRIES, Periodic, PeriodicEntry, Purpose, Reconcile, Reconciled, many_entries};

impl Perform<Periodic> for SqliteStore {
    async fn perform(&self, arrow: Periodic) -> Result<(Vec<PeriodicEntry>, Vec<bool>), StoreError> {
        self.reader.call(move |step| periodic(step, &arrow.job_locks, &arrow.tasks)).await
    }
}

impl Perform<Reconcile> for SqliteStore {
    async fn perform(&self, arrow: Reconcile) -> Result<Reconciled, StoreError> {
        let arrow = Arc::new(arrow);
        loop {
            let arrow = Arc::clone(&arrow);
            let step = move |step: &Step<'_>, lookout: &mut Lookout| reconcile(step, &arrow, lookout);
            if let Some(reconciled) = search::searching(&self.writer, &self.reader, step).await? {
                return Ok(reconciled);
            }
        }
    }
}

/// Writes the next tick, unless the task is stopped or one stands already.
pub(super) fn tick(step: &Step<'_>, tick: &Tick) -> Result<(), StoreError> {
    let entry = entry(step, &tick.task)?;
    let is_stopped = entry.as_ref().is_some_and(|entry| entry.stopped);
    if tick.halt || is_stopped && tick.next.every_s() == 0 {
        let ran_s = entry.as_ref().and_then(|entry| ran_s(step, entry)).filter(|_| tick.next.every_s() == 0);
        match entry.filter(|_| !tick.halt) {
            None => write_ran(step, tick, (HALTED_S, ran_s))?,
            Some(entry) if ran_s != entry.last_s => write_ran(step, tick, (entry.due_s, ran_s))?,
            Some(_) => {}
        }
        return Ok(());
    }
    if is_stopped || stands(step, tick)? {
        return Ok(());
    }
    let last_s = entry.map(|entry| entry.due_s).filter(|due_s| *due_s != HALTED_S);
    let Some(Occurrence { due_s, second }) = cadence::next_due(&tick.next, last_s, step.now_ms) else {
        // An entry whose tick has run must not look overdue, or that tick would be restored and run again.
        return match last_s.filter(|last_s| *last_s > step.now_s()) {
            // The clock was set back, and what ran is remembered until the next one is known.
            Some(last_s) => write_ran(step, tick, (last_s, Some(last_s))),
            None => forget(step, &tick.task),
        };
    };
    write_ran(step, tick, (due_s, last_s.filter(|_| tick.next.every_s() == 0)))?;
    // After a gap other programs may run the ticks, and their copy of the next one is found among the delayed jobs.
    if second.saturating_mul(1000) > step.now_ms
        || !last_s.is_some_and(|last_s| cadence::follows(&tick.next, last_s, due_s))
    {
        return delayed::insert(step, second, &tick.payload, None);
    }
    // As promotion does.
    if let Some((key, ttl_s)) = &tick.lock {
        locks::take_queue_lock_if_free(step, key, *ttl_s)?;
    }
    enqueue::make_known(step, &tick.queue)?;
    enqueue::push_tail(step, &tick.queue, &tick.payload, None)
}

/// Does a tick of these bytes stand? What waits to run again counts as one, unless ticks go on beside it.
fn stands(step: &Step<'_>, tick: &Tick) -> Result<bool, StoreError> {
    match tick.beside {
        true => Ok(delayed::earliest_tick(step, &tick.payload)?.is_some()),
        false => delayed::stands(step, &tick.payload),
    }
}

/// For which second it ran last when a run of it ends. What lies ahead did not run: people asked for that run.
fn ran_s(step: &Step<'_>, entry: &PeriodicEntry) -> Option<i64> {
    let has_come = |due_s: &i64| *due_s > 0 && *due_s <= step.now_s().saturating_add(early_s(entry.every_s));
    Some(entry.due_s).filter(|due_s| *due_s != HALTED_S).filter(has_come).or(entry.last_s)
}

/// How many seconds ago a task was due by its entry; 0 without one, and if people asked for this run, as for every run of a task
/// that is stopped or has halted.
pub(super) fn lateness_s(step: &Step<'_>, tick: &Tick) -> Result<i64, StoreError> {
    let has_age = |entry: &PeriodicEntry| entry.due_s != HALTED_S && !entry.stopped && !entry.asked;
    let entry = entry(step, &tick.task)?.filter(has_age);
    Ok(entry.map_or(0, |entry| step.now_s().saturating_sub(entry.due_s)))
}

/// The second for which the present tick of a task is due, by its entry: `None` for a task without one, for one that is stopped
/// or has halted, because people asked for this run, and if the second lies ahead, because this run is no tick then.
pub(super) fn present_due_s(step: &Step<'_>, task: &TaskName) -> Result<Option<i64>, StoreError> {
    let entry = entry(step, task)?.filter(|entry| entry.due_s != HALTED_S && !entry.stopped);
    let is_here = |entry: &PeriodicEntry| entry.due_s <= step.now_s().saturating_add(early_s(entry.every_s));
    Ok(entry.filter(is_here).map(|entry| entry.due_s))
}

fn read(row: &Row<'_>) -> rusqlite::Result<PeriodicEntry> {
    Ok(PeriodicEntry {
        task: TaskName::as_stored(&text(row.get_ref(0)?)),
        queue: QueueName::as_stored(&text(row.get_ref(1)?)),
        due_s: value::second(row.get_ref(2)?).unwrap_or(0),
        every_s: value::period(row.get_ref(3)?),
        stopped: number(row.get_ref(4)?) != 0,
        last_s: value::second(row.get_ref(5)?),
        asked: number(row.get_ref(6)?) != 0,
    })
}

fn entry(step: &Step<'_>, task: &TaskName) -> Result<Option<PeriodicEntry>, StoreError> {
    let mut select =
        step.sql("SELECT task, queue, due_s, every_s, stopped, last_s, asked FROM periodic WHERE task = ?1")?;
    Ok(select.query_row([task.as_str()], read).optional()?)
}

/// Writes a task's entry; whether it is stopped and what ran last stay as they were.
fn write(step: &Step<'_>, tick: &Tick, due_s: i64) -> Result<(), StoreError> {
    step.change(
        "periodic",
        "INSERT INTO periodic (task, queue, due_s, every_s) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (task) DO UPDATE SET queue = excluded.queue, due_s = excluded.due_s, every_s = excluded.every_s, \
         asked = 0",
        params![tick.task.as_str(), tick.queue.as_str(), due_s, stored(tick.next.every_s())],
    )
}

/// People ask for the outstanding run.
fn ask(step: &Step<'_>, task: &TaskName) -> Result<(), StoreError> {
    let sql = "UPDATE periodic SET asked = 1 WHERE task = ?1";
    step.change_up_to(1, "periodic", sql, [task.as_str()], || Ok(entry(step, task)?.is_some())).map(drop)
}

/// The same, with the second for which the tick before was due.
fn write_ran(step: &Step<'_>, tick: &Tick, (due_s, last_s): (i64, Option<i64>)) -> Result<(), StoreError> {
    step.change(
        "periodic",
        "INSERT INTO periodic (task, queue, due_s, every_s, last_s) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (task) DO UPDATE SET queue = excluded.queue, due_s = excluded.due_s, every_s = excluded.every_s, \
         last_s = excluded.last_s, asked = 0",
        params![tick.task.as_str(), tick.queue.as_str(), due_s, stored(tick.next.every_s()), last_s],
    )
}

/// Removes a task's entry.
pub(super) fn forget(step: &Step<'_>, task: &TaskName) -> Result<(), StoreError> {
    let sql = "DELETE FROM periodic WHERE task = ?1";
    step.change_up_to(1, "periodic", sql, [task.as_str()], || Ok(entry(step, task)?.is_some())).map(drop)
}

/// All entries, and which of these locks are held.
pub(super) fn periodic(
    step: &Step<'_>,
    job_locks: &[LockKey],
    tasks: &[TaskName],
) -> Result<(Vec<PeriodicEntry>, Vec<bool>), StoreError> {
    let held = job_locks.iter().map(|key| Ok(locks::value(step, key)?.is_some()));
    let mut entries = first_entries(step, MOST_ENTRIES + 1)?;
    if entries.len() > MOST_ENTRIES {
        step.findings().tell("entries of periodic tasks", many_entries("the table periodic"));
        for task in tasks {
            entries.extend(entry(step, task)?);
        }
        entries.sort_by(|one, other| one.task.cmp(&other.task));
        entries.dedup_by(|one, other| one.task == other.task);
    }
    Ok((entries, held.collect::<Result<_, StoreError>>()?))
}

/// The first entries, in the order of their tasks.
pub(super) fn first_entries(step: &Step<'_>, limit: usize) -> Result<Vec<PeriodicEntry>, StoreError> {
    Ok(step
        .sql("SELECT task, queue, due_s, every_s, stopped, last_s, asked FROM periodic ORDER BY task LIMIT ?1")?
        .query_map([stored(limit)], read)?
        .collect::<Result<_, _>>()?)
}

/// Compares a periodic task with its entry and repairs what differs. `None`: some of its delayed copies are gone, and there are
/// more than one step removes.
pub(super) fn reconcile(
    step: &Step<'_>,
    reconcile: &Reconcile,
    lookout: &mut Lookout,
) -> Result<Option<Reconciled>, StoreError> {
    let tick = &reconcile.tick;
    let entry = entry(step, &tick.task)?;
    if reconcile.purpose == Purpose::Run {
        return run_now(step, reconcile, lookout, entry.as_ref());
    }
    if entry.as_ref().is_some_and(|entry| entry.stopped) && reconcile.purpose != Purpose::Start {
        return Ok(Some(Reconciled::Fine));
    }
    // A halted task starts anew when an instance starts, and every task when a person starts it.
    let begins = |entry: &PeriodicEntry| match reconcile.purpose {
        Purpose::Start => true,
        Purpose::Boot => entry.due_s == HALTED_S,
        Purpose::Look | Purpose::Run => false,
    };
    let is_new = entry.is_none();
    let ran_s = entry.as_ref().and_then(|entry| entry.last_s);
    let Some(entry) = entry.filter(|entry| !begins(entry)) else {
        let found = find(step, reconcile, lookout)?;
        let go_on = "UPDATE periodic SET stopped = 0 WHERE task = ?1";
        step.change_up_to(1, "periodic", go_on, [tick.task.as_str()], || Ok(self::entry(step, &tick.task)?.is_some()))?;
        match found {
            Some(Found::Delayed(second)) => write(step, tick, second)?,
            // A run whose tick was written when it began writes no other, and the entry would look overdue at its end.
            Some(Found::Running) if is_new && matches!(tick.next, Next::At { .. }) => {}
            Some(Found::Queued | Found::Running) => write(step, tick, step.now_s())?,
            None => seed(step, reconcile, ran_s)?,
        }
        free_orphan(step, reconcile)?;
        let known = found.is_some() && reconcile.purpose == Purpose::Start;
        return Ok(Some(if known { Reconciled::Fine } else { Reconciled::Seeded }));
    };
    let has_run = entry.last_s == Some(entry.due_s);
    if reconcile.stale_due_s == Some(entry.due_s) && !waits_for_attempt(step, reconcile)? {
        let moves = match find(step, reconcile, lookout)? {
            // What its run put off, whichever way, is no tick: whatever the cadence is, it waits for as long as it was put off.
            Some(Found::Delayed(second)) => !is_put_off(step, reconcile, second)?,
            // It would be missed only when the clock is there again. One that ran has none.
            None => has_run || entry.due_s > step.now_s(),
            Some(Found::Queued | Found::Running) => false,
        };
        if moves {
            if !forget_delayed(step, reconcile, true)? {
                return Ok(None);
            }
            delay_next(step, tick, None)?;
            return Ok(Some(Reconciled::Moved));
        }
    }
    let unlocked = free_orphan(step, reconcile)?;
    let grace_s = stored(reconcile.grace_s);
    if entry.due_s.saturating_add(grace_s) < step.now_s() {
        match find(step, reconcile, lookout)? {
            // Another program wrote the tick, and it is accepted. A copy that is due earlier was left over, and does not
            // set the schedule back.
            Some(Found::Delayed(second)) if second > entry.due_s => write(step, tick, second)?,
            Some(Found::Delayed(_) | Found::Queued | Found::Running) => {}
            None if has_run => {}
            None => {
                push(step, reconcile)?;
                // The last tick that should have run, so that the schedule stays the same.
                let due_s = match &tick.next {
                    Next::Every { seconds } => cadence::last_due(entry.due_s, *seconds, step.now_s()),
                    Next::At { .. } => entry.due_s,
                };
                write(step, tick, due_s)?;
                if entry.asked {
                    ask(step, &tick.task)?;
                }
                return Ok(Some(Reconciled::Restored));
            }
        }
    }
    Ok(Some(if unlocked { Reconciled::Unlocked } else { Reconciled::Fine }))
}

/// Puts a task's job on its queue now, unless it is there or runs.
fn run_now(
    step: &Step<'_>,
    reconcile: &Reconcile,
    lookout: &mut Lookout,
    entry: Option<&PeriodicEntry>,
) -> Result<Option<Reconciled>, StoreError> {
    let found = find(step, reconcile, lookout)?;
    // `find` reports a delayed copy before one on the queue, so the queue is asked separately.
    let queued = lookout.is_queued(step, &reconcile.tick.queue, &reconcile.forms)?;
    let waits = matches!(found, Some(Found::Delayed(_)));
    if queued || found.is_some() && !waits {
        // It waits already or has begun: then its age does not end it.
        if entry.is_some_and(|entry| !entry.stopped && entry.due_s <= step.now_s()) {
            ask(step, &reconcile.tick.task)?;
        }
        return Ok(Some(if queued { Reconciled::Waits } else { Reconciled::Runs }));
    }
    if !forget_delayed(step, reconcile, reconcile.tick.beside)? {
        return Ok(None);
    }
    push(step, reconcile)?;
    free_orphan(step, reconcile)?;
    if entry.is_none_or(|entry| !entry.stopped) {
        // This run is an additional one: the tick that was moved stays due.
        let due_s = match (&reconcile.tick.next, entry) {
            (Next::Every { seconds }, Some(entry)) if waits && entry.due_s != HALTED_S => {
                entry.due_s.saturating_sub(cadence::period(*seconds))
            }
            _ => step.now_s(),
        };
        write(step, &reconcile.tick, due_s)?;
        ask(step, &reconcile.tick.task)?;
    }
    Ok(Some(Reconciled::Started))
}

/// Writes the first tick: a task with a calendar waits for its next occurrence, one with a frequency runs at once. What ran
/// already, up to `ran_s`, does not come again while a clock is behind it.
fn seed(step: &Step<'_>, reconcile: &Reconcile, ran_s: Option<i64>) -> Result<(), StoreError> {
    match &reconcile.tick.next {
        Next::Every { .. } => {
            push(step, reconcile)?;
            write(step, &reconcile.tick, step.now_s())
        }
        Next::At { .. } => delay_next(step, &reconcile.tick, ran_s.filter(|ran_s| *ran_s >= step.now_s())),
    }
}

/// Delays a task's job to its next due second from now, or after the one for which it ran if that lies ahead.
fn delay_next(step: &Step<'_>, tick: &Tick, ran_s: Option<i64>) -> Result<(), StoreError> {
    let Some(Occurrence { due_s, second }) = cadence::next_due(&tick.next, ran_s, step.now_ms) else {
        // What ran is remembered until the next one is known.
        return ran_s.map_or(Ok(()), |ran_s| write(step, tick, ran_s));
    };
    write(step, tick, due_s)?;
    delayed::insert(step, second, &tick.payload, None)
}

/// Removes the delayed copies, as far as one step does; of `ticks` only those that have not begun. Are there no others?
fn forget_delayed(step: &Step<'_>, reconcile: &Reconcile, ticks: bool) -> Result<bool, StoreError> {
    let remove = if ticks { delayed::remove_ticks } else { delayed::remove };
    for form in &reconcile.forms {
        if !remove(step, form, search::DELETED)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Puts the job on its queue and takes its QueueLock, even from another holder: no job of that holder is queued.
fn push(step: &Step<'_>, reconcile: &Reconcile) -> Result<(), StoreError> {
    let tick = &reconcile.tick;
    enqueue::make_known(step, &tick.queue)?;
    enqueue::push_tail(step, &tick.queue, &tick.payload, None)?;
    if let Some((key, ttl_s)) = &reconcile.queue_lock {
        locks::take_queue_lock(step, key, *ttl_s)?;
    }
    Ok(())
}

/// Frees the JobLock if no run of the task holds it; true if it was freed.
fn free_orphan(step: &Step<'_>, reconcile: &Reconcile) -> Result<bool, StoreError> {
    let Some(key) = &reconcile.job_lock else { return Ok(false) };
    let Some(value) = locks::value(step, key)? else { return Ok(false) };
    let owned = match locks::owner(&value) {
        Some(claim) => step.sql("SELECT 1 FROM working WHERE claim = ?1")?.exists([claim])?,
        None => is_running(step, reconcile)?,
    };
    if owned {
        return Ok(false);
    }
    locks::free(step, key)?;
    Ok(true)
}
