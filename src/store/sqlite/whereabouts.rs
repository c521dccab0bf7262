//! Where the job of a periodic task is: delayed, on its queue or running; and whether it waits to run again.

use super::search::Lookout;
use super::step::Step;
use super::value::bytes;
use super::{delayed, retries};
use crate::store::error::StoreError;
use crate::store::periodic::Reconcile;

/// Where a periodic task's job was found.
pub(super) enum Found {
    /// Delayed until this second.
    Delayed(i64),
    /// On its queue.
    Queued,
    /// Running.
    Running,
}

/// Is a run of this task on record? A payload that another program wrote anew counts. One with other arguments does not,
/// because it was enqueued separately.
pub(super) fn is_running(step: &Step<'_>, reconcile: &Reconcile) -> Result<bool, StoreError> {
    let mut select = step.sql("SELECT payload FROM working")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if reconcile.is_of(&bytes(row.get_ref(0)?)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Does the present run wait for its next attempt? Another program puts off a job without an identity: of that only Retry's keys
/// tell. What its run put off otherwise has no such keys ([`is_put_off`]).
pub(super) fn waits_for_attempt(step: &Step<'_>, reconcile: &Reconcile) -> Result<bool, StoreError> {
    for keys in &reconcile.attempts {
        if retries::stand(step, keys)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Was the task's job put off until this second by its run, by Retry, a JobLock, a crash or its handler?
/// What has begun is not asked about where ticks go on beside it.
pub(super) fn is_put_off(step: &Step<'_>, reconcile: &Reconcile, second: i64) -> Result<bool, StoreError> {
    for form in &reconcile.forms {
        if delayed::is_put_off(step, second, form, reconcile.tick.beside)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Searches for a task's job in all its forms.
pub(super) fn find(step: &Step<'_>, reconcile: &Reconcile, lookout: &mut Lookout) -> Result<Option<Found>, StoreError> {
    let mut earliest = None;
    for form in &reconcile.forms {
        let second = match reconcile.tick.beside {
            true => delayed::earliest_tick(step, form)?,
            false => delayed::earliest_of(step, form)?,
        };
        earliest = earliest.into_iter().chain(second).min();
    }
    if let Some(second) = earliest {
        return Ok(Some(Found::Delayed(second)));
    }
    if lookout.is_queued(step, &reconcile.tick.queue, &reconcile.forms)? {
        return Ok(Some(Found::Queued));
    }
    Ok(is_running(step, reconcile)?.then_some(Found::Running))
}
