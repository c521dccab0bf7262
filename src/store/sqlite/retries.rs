//! What Retry keeps between attempts.

use rusqlite::{OptionalExtension, params};

use super::commit::Step;
use super::number::stored;
use super::value::bytes;
use crate::store::effect::{Retry, RetryKeys};
use crate::store::error::StoreError;

/// How many expired rows are removed in one step.
const SWEPT: i64 = 1000;

/// What becomes of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It is repeated after this many milliseconds; so many attempts are left.
    Repeated { left: u32, delay_ms: u64 },
    /// It was the last one.
    Last,
}

/// Counts a failed attempt. The counter starts at -1, as node-resque's does.
pub(super) fn count(step: &Step<'_>, retry: &Retry) -> Result<Attempt, StoreError> {
    let before: Option<Vec<u8>> = step
        .sql("SELECT value FROM retries WHERE key = ?1 AND expires_ms > ?2")?
        .query_row(params![retry.keys.counter, step.now_ms], |row| Ok(bytes(row.get_ref(0)?)))
        .optional()?;
    let before = before.and_then(|value| std::str::from_utf8(&value).ok()?.parse::<u32>().ok());
    let n = before.map_or(0, |before| before.saturating_add(1));
    let left = retry.attempts.saturating_sub(n).saturating_sub(1);
    if left == 0 {
        forget(step, &retry.keys)?;
        return Ok(Attempt::Last);
    }
    let expires_ms = step.now_ms.saturating_add(stored(retry.kept_s()).saturating_mul(1000));
    let mut keep = step.sql("INSERT OR REPLACE INTO retries (key, value, expires_ms) VALUES (?1, ?2, ?3)")?;
    keep.execute(params![retry.keys.counter, n.to_string().as_bytes(), expires_ms])?;
    keep.execute(params![retry.keys.failure, &retry.last_error[..], expires_ms])?;
    let nth = usize::try_from(n).ok().and_then(|n| retry.delays_ms.get(n)).or(retry.delays_ms.last());
    Ok(Attempt::Repeated { left, delay_ms: nth.copied().unwrap_or(0) })
}

/// Forgets attempts.
pub(super) fn forget(step: &Step<'_>, keys: &RetryKeys) -> Result<(), StoreError> {
    step.sql("DELETE FROM retries WHERE key IN (?1, ?2)")?.execute(params![keys.counter, keys.failure])?;
    Ok(())
}

/// Forgets the attempts of a job, if these bytes are one.
pub(super) fn forget_job(step: &Step<'_>, payload: &[u8]) -> Result<(), StoreError> {
    RetryKeys::of_job(payload).map_or(Ok(()), |keys| forget(step, &keys))
}

/// Removes what has expired, some at a time.
pub(super) fn sweep(step: &Step<'_>) -> Result<(), StoreError> {
    step.sql("DELETE FROM retries WHERE key IN (SELECT key FROM retries WHERE expires_ms <= ?1 LIMIT ?2)")?
        .execute([step.now_ms, SWEPT])?;
    Ok(())
}
