//! What Retry keeps between attempts.

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

use super::number::stored;
use super::step::Step;
use super::value::bytes;
use crate::store::delayed::FailedAttempts;
use crate::store::effect::{Retry, RetryKeys};
use crate::store::error::StoreError;
use crate::store::listed::LISTED_BYTES;

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
    let before = before.as_deref().and_then(attempts);
    let n = before.map_or(0, |before| before.saturating_add(1));
    let left = retry.attempts.saturating_sub(n).saturating_sub(1);
    if left == 0 {
        forget(step, &retry.keys)?;
        return Ok(Attempt::Last);
    }
    let expires_ms = step.now_ms.saturating_add(stored(retry.kept_s()).saturating_mul(1000));
    for (key, value) in [(&retry.keys.counter, n.to_string().as_bytes()), (&retry.keys.failure, &retry.last_error[..])]
    {
        let sql = "INSERT OR REPLACE INTO retries (key, value, expires_ms) VALUES (?1, ?2, ?3)";
        step.change("retries", sql, params![key, value, expires_ms])?;
    }
    let nth = usize::try_from(n).ok().and_then(|n| retry.delays_ms.get(n)).or(retry.delays_ms.last());
    Ok(Attempt::Repeated { left, delay_ms: nth.copied().unwrap_or(0) })
}

/// The attempts that a counter tells of; what is no whole number, or is below zero, tells of none.
fn attempts(value: &[u8]) -> Option<u32> {
    let is_whole = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    is_whole.then(|| std::str::from_utf8(value).ok()?.parse().ok()).map(|number| number.unwrap_or(u32::MAX))
}

/// What is kept of a job, for people.
pub(super) fn read(step: &Step<'_>, keys: &RetryKeys) -> Result<Option<FailedAttempts>, StoreError> {
    let mut select =
        step.sql("SELECT value FROM retries WHERE key = ?1 AND expires_ms > ?2 AND octet_length(value) <= ?3")?;
    let mut value = |key: &str| {
        let these = params![key, step.now_ms, stored(LISTED_BYTES)];
        select.query_row(these, |row| Ok(bytes(row.get_ref(0)?))).optional()
    };
    let (counter, failure) = (value(&keys.counter)?, value(&keys.failure)?);
    Ok(FailedAttempts::read(counter.as_deref(), failure.map(Bytes::from)))
}

/// Does a job wait for its next attempt?
pub(super) fn stand(step: &Step<'_>, keys: &RetryKeys) -> Result<bool, StoreError> {
    step.finds("SELECT 1 FROM retries WHERE key = ?1 AND expires_ms > ?2", params![keys.counter, step.now_ms])
}

/// Forgets attempts.
pub(super) fn forget(step: &Step<'_>, keys: &RetryKeys) -> Result<(), StoreError> {
    let these = params![keys.counter, keys.failure];
    let stands = || step.finds("SELECT 1 FROM retries WHERE key IN (?1, ?2)", these);
    step.change_up_to(2, "retries", "DELETE FROM retries WHERE key IN (?1, ?2)", these, stands).map(drop)
}

/// Forgets the attempts of a job, if these bytes are one.
pub(super) fn forget_job(step: &Step<'_>, payload: &[u8]) -> Result<(), StoreError> {
    RetryKeys::of_job(payload).map_or(Ok(()), |keys| forget(step, &keys))
}

/// Removes what has expired, some at a time.
pub(super) fn sweep(step: &Step<'_>) -> Result<(), StoreError> {
    let sql = "DELETE FROM retries WHERE key IN (SELECT key FROM retries WHERE expires_ms <= ?1 LIMIT ?2)";
    step.sweep(sql, [step.now_ms, SWEPT])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_whole_number_tells_of_no_attempts() {
        assert_eq!(["0", "7", "007"].map(|value| attempts(value.as_bytes())), [Some(0), Some(7), Some(7)]);
        for value in ["", "-1", "-7", "+1", "1.5", "1e3", " 1", "x", "\u{ff11}"] {
            assert_eq!(attempts(value.as_bytes()), None, "{value}");
        }
        assert_eq!(attempts(b"99999999999999999999999999"), Some(u32::MAX));
        assert_eq!(attempts(b"\xff"), None);
    }
}
