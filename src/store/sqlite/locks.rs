//! Locks of plugins: a value and an end, judged by the clock.
//!
//! QueueLock's value is a unix second, JobLock's `<unix second>:<claim token>`, as on Redis.

use rusqlite::{OptionalExtension, params};

use super::commit::Step;
use super::number::stored;
use crate::job::{ClaimToken, LockKey};
use crate::store::error::StoreError;
use crate::store::instance::LockRenewal;

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

/// A lock's value, while it is held.
pub(super) fn value(step: &Step<'_>, key: &LockKey) -> Result<Option<String>, StoreError> {
    let (key, verbatim) = columns(key);
    let mut select = step
        .sql("SELECT value FROM locks WHERE key = ?1 AND verbatim = ?2 AND (expires_ms IS NULL OR expires_ms > ?3)")?;
    Ok(select.query_row(params![key, verbatim, step.now_ms], |row| row.get(0)).optional()?)
}

/// The claim token in a JobLock's value.
pub(super) fn owner(value: &str) -> Option<&str> {
    value.split_once(':').map(|(_, owner)| owner)
}

fn set(step: &Step<'_>, key: &LockKey, value: &str, ttl_s: u64) -> Result<(), StoreError> {
    let (key, verbatim) = columns(key);
    let expires_ms = step.now_ms.saturating_add(stored(ttl_s).saturating_mul(1000));
    step.sql("INSERT OR REPLACE INTO locks (key, verbatim, value, expires_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![key, verbatim, value, expires_ms])?;
    Ok(())
}

/// Does this QueueLock refuse a job? A number that has passed does not, whatever its row's end.
pub(super) fn queue_lock_refuses(step: &Step<'_>, key: &LockKey) -> Result<bool, StoreError> {
    let value = value(step, key)?;
    Ok(value.is_some_and(|value| value.parse::<i64>().map_or(true, |end| step.now_s() <= end)))
}

/// Takes a QueueLock, whoever holds it.
pub(super) fn take_queue_lock(step: &Step<'_>, key: &LockKey, ttl_s: u64) -> Result<(), StoreError> {
    let end = step.now_s().saturating_add(stored(ttl_s)).saturating_add(1);
    set(step, key, &end.to_string(), ttl_s)
}

/// Takes a JobLock for a claim, if it is free.
pub(super) fn take_job_lock(
    step: &Step<'_>,
    key: &LockKey,
    claim: &ClaimToken,
    ttl_s: u64,
) -> Result<Taken, StoreError> {
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

/// Holds a JobLock on; false if it ran out or another has it.
pub(super) fn renew(step: &Step<'_>, renewal: &LockRenewal) -> Result<bool, StoreError> {
    let value = value(step, &renewal.key)?;
    let ours = value.is_some_and(|value| owner(&value) == Some(renewal.claim.as_str()));
    if ours {
        set_job_lock(step, &renewal.key, &renewal.claim, renewal.ttl_s)?;
    }
    Ok(ours)
}

/// Frees a lock, whoever holds it.
pub(super) fn free(step: &Step<'_>, key: &LockKey) -> Result<(), StoreError> {
    let (key, verbatim) = columns(key);
    step.sql("DELETE FROM locks WHERE key = ?1 AND verbatim = ?2")?.execute(params![key, verbatim])?;
    Ok(())
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

/// Removes locks that have run out: nobody misses them, and keys made of arguments would pile up.
pub(super) fn sweep(step: &Step<'_>) -> Result<(), StoreError> {
    step.sql("DELETE FROM locks WHERE expires_ms <= ?1")?.execute([step.now_ms])?;
    Ok(())
}
