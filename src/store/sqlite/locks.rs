//! Locks of plugins: a value and an end. The clock tells whether the end has passed, and a lock whose job is on record is
//! held beyond it.
//!
//! QueueLock's value is a unix second, JobLock's `<unix second>:<claim token>`, as on Redis.

use rusqlite::{OptionalExtension, params};

use super::number::{count, stored};
use super::step::Step;
use super::value::{opt_int, text};
use crate::job::{ClaimToken, LockKey};
use crate::store::error::StoreError;
use crate::store::instance::LockRenewal;

/// How many locks that ran out are removed in one step.
const SWEPT: i64 = 1000;

/// How a JobLock was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was free.
    New,
    /// This claim held it before.
    Before,
    /// Another holds it.
    No,
}

/// A lock's columns: its text, and whether the task chose it.
fn columns(key: &LockKey) -> (&str, bool) {
    (key.as_str(), matches!(key, LockKey::Verbatim(_)))
}

/// The condition under which a row of `locks` is held at the time `?3`: until it expires, and for a JobLock as long as
/// the job whose claim it carries is on record. Its instance renews such a lock for as long as the job runs, so one
/// that ran out nevertheless means that the clock was set forward, and the job still has it.
macro_rules! is_held {
    () => {
        "(expires_ms IS NULL OR expires_ms > ?3 \
          OR EXISTS (SELECT 1 FROM working WHERE claim = substr(value, instr(value, ':') + 1)))"
    };
}
pub(super) use is_held;

/// A lock's value, while it is held.
pub(super) fn value(step: &Step<'_>, key: &LockKey) -> Result<Option<String>, StoreError> {
    let (key, verbatim) = columns(key);
    let mut select = step.sql(concat!("SELECT value FROM locks WHERE key = ?1 AND verbatim = ?2 AND ", is_held!()))?;
    Ok(select.query_row(params![key, verbatim, step.now_ms], |row| Ok(text(row.get_ref(0)?))).optional()?)
}

/// The claim token in a JobLock's value.
pub(super) fn owner(value: &str) -> Option<&str> {
    value.split_once(':').map(|(_, owner)| owner)
}

fn set(step: &Step<'_>, key: &LockKey, value: &str, ttl_s: u64) -> Result<(), StoreError> {
    let (key, verbatim) = columns(key);
    let expires_ms = step.now_ms.saturating_add(stored(ttl_s).saturating_mul(1000));
    let sql = "INSERT OR REPLACE INTO locks (key, verbatim, value, expires_ms, taken_ms) VALUES (?1, ?2, ?3, ?4, ?5)";
    step.change("locks", sql, params![key, verbatim, value, expires_ms, step.now_ms])
}

/// Shortens a lock that was taken in the future to its length from now. The clock was set back since, and the lock would
/// be held for that much too long.
fn cut(step: &Step<'_>, key: &LockKey) -> Result<(), StoreError> {
    let (text_key, verbatim) = columns(key);
    let ahead: Option<(String, i64)> = step
        .sql("SELECT value, expires_ms - taken_ms FROM locks WHERE key = ?1 AND verbatim = ?2 AND taken_ms > ?3")?
        .query_row(params![text_key, verbatim, step.now_ms], |row| {
            Ok((text(row.get_ref(0)?), opt_int(row.get_ref(1)?).unwrap_or(0)))
        })
        .optional()?;
    let Some((value, length_ms)) = ahead else { return Ok(()) };
    let ttl_s = count(length_ms.div_euclid(1000));
    match owner(&value) {
        Some(claim) => set_job_lock(step, key, &ClaimToken::as_stored(claim), ttl_s),
        None if value.parse::<i64>().is_ok() => take_queue_lock(step, key, ttl_s),
        // The value of another program.
        None => set(step, key, &value, ttl_s),
    }
}

/// Does this QueueLock refuse a job? A number that has passed does not, whatever its row's end.
pub(super) fn queue_lock_refuses(step: &Step<'_>, key: &LockKey) -> Result<bool, StoreError> {
    cut(step, key)?;
    let value = value(step, key)?;
    Ok(value.is_some_and(|value| value.parse::<i64>().map_or(true, |end| step.now_s() <= end)))
}

/// Takes a QueueLock, even from another holder.
pub(super) fn take_queue_lock(step: &Step<'_>, key: &LockKey, ttl_s: u64) -> Result<(), StoreError> {
    let end = step.now_s().saturating_add(stored(ttl_s)).saturating_add(1);
    set(step, key, &end.to_string(), ttl_s)
}

/// Takes a QueueLock for a job that goes to its queue anyway, if it is free.
pub(super) fn take_queue_lock_if_free(step: &Step<'_>, key: &LockKey, ttl_s: u64) -> Result<(), StoreError> {
    if queue_lock_refuses(step, key)? { Ok(()) } else { take_queue_lock(step, key, ttl_s) }
}

/// Takes a JobLock for a claim, if it is free.
pub(super) fn take_job_lock(
    step: &Step<'_>,
    key: &LockKey,
    claim: &ClaimToken,
    ttl_s: u64,
) -> Result<Taken, StoreError> {
    cut(step, key)?;
    match value(step, key)? {
        Some(value) if owner(&value) == Some(claim.as_str()) => Ok(Taken::Before),
        Some(_) => Ok(Taken::No),
        None => {
            set_job_lock(step, key, claim, ttl_s)?;
            Ok(Taken::New)
        }
    }
}

fn set_job_lock(step: &Step<'_>, key: &LockKey, claim: &ClaimToken, ttl_s: u64) -> Result<(), StoreError> {
    let end = step.now_s().saturating_add(stored(ttl_s));
    set(step, key, &format!("{end}:{claim}"), ttl_s)
}

/// What a renewal of a JobLock found.
pub(super) enum Renewed {
    /// It is held on.
    Yes,
    /// Another has it.
    Lost,
    /// It ended with its run, or somebody deleted it.
    Deleted,
}

/// Renews a JobLock.
pub(super) fn renew(step: &Step<'_>, renewal: &LockRenewal) -> Result<Renewed, StoreError> {
    let Some(value) = value(step, &renewal.key)? else { return Ok(Renewed::Deleted) };
    if owner(&value) != Some(renewal.claim.as_str()) {
        return Ok(Renewed::Lost);
    }
    set_job_lock(step, &renewal.key, &renewal.claim, renewal.ttl_s)?;
    Ok(Renewed::Yes)
}

/// Frees a lock, even of another holder.
pub(super) fn free(step: &Step<'_>, key: &LockKey) -> Result<(), StoreError> {
    let (key, verbatim) = columns(key);
    let these = params![key, verbatim];
    let stands = || step.finds("SELECT 1 FROM locks WHERE key = ?1 AND verbatim = ?2", these);
    step.change_up_to(1, "locks", "DELETE FROM locks WHERE key = ?1 AND verbatim = ?2", these, stands).map(drop)
}

/// Frees those of these locks that carry the claim's token.
pub(super) fn free_owned(step: &Step<'_>, keys: &[LockKey], claim: &ClaimToken) -> Result<(), StoreError> {
    for key in keys {
        if value(step, key)?.is_some_and(|value| owner(&value) == Some(claim.as_str())) {
            free(step, key)?;
        }
    }
    Ok(())
}

/// Removes a bounded number of locks that have run out. Keys that are made of arguments would pile up otherwise.
pub(super) fn sweep(step: &Step<'_>) -> Result<(), StoreError> {
    step.sweep(
        "DELETE FROM locks WHERE (key, verbatim) IN (SELECT key, verbatim FROM locks WHERE expires_ms <= ?1 \
         AND NOT EXISTS (SELECT 1 FROM working WHERE claim = substr(value, instr(value, ':') + 1)) LIMIT ?2)",
        params![step.now_ms, SWEPT],
    )
}
