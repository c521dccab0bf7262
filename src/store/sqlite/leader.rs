//! Leaderships: which instance does what one instance should do.
//!
//! A leader renews its term by incrementing a counter. An instance that sees the counter unchanged for the length of the
//! term takes the leadership over, as with the leases of instances. The time of day decides nothing, because clocks can
//! be set.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use tokio::time::Instant;

use super::engine::SqliteStore;
use super::number::{count, stored};
use super::step::Step;
use super::value::{opt_int, text};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::scheduling::{Lead, Leader, Leadership, ReadRubyLeader, Resign};

impl Perform<Lead> for SqliteStore {
    async fn perform(&self, arrow: Lead) -> Result<bool, StoreError> {
        self.writer.call(move |step| lead(step, arrow.which, &arrow.owner, arrow.ttl_ms)).await
    }
}

impl Perform<Resign> for SqliteStore {
    async fn perform(&self, arrow: Resign) -> Result<(), StoreError> {
        self.writer.call(move |step| resign(step, arrow.which, &arrow.owner)).await
    }
}

impl Perform<Leader> for SqliteStore {
    async fn perform(&self, arrow: Leader) -> Result<Option<String>, StoreError> {
        self.reader.call(move |step| leader(step, arrow.which)).await
    }
}

impl Perform<ReadRubyLeader> for SqliteStore {
    /// Ruby's programs do not use the file.
    async fn perform(&self, _: ReadRubyLeader) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
}

fn name(which: Leadership) -> &'static str {
    match which {
        Leadership::Scheduler => "scheduler",
        Leadership::Duties => "duties",
    }
}

/// Who took a leadership last and has not resigned, whether or not its term has lapsed.
pub(super) fn holder(step: &Step<'_>, which: Leadership) -> Result<Option<String>, StoreError> {
    let mut select = step.sql("SELECT owner FROM leaders WHERE name = ?1")?;
    Ok(select.query_row([name(which)], |row| Ok(text(row.get_ref(0)?))).optional()?)
}

/// Who holds a leadership, to be shown to people. The clock decides here, because one look observes nothing. An end
/// further ahead than a whole term was written before the clock was set back, and counts as passed.
pub(super) fn leader(step: &Step<'_>, which: Leadership) -> Result<Option<String>, StoreError> {
    let mut select = step.sql(
        "SELECT owner FROM leaders WHERE name = ?1 AND expires_ms > ?2 \
         AND expires_ms <= ?2 + coalesce(ttl_ms, expires_ms)",
    )?;
    Ok(select.query_row(params![name(which), step.now_ms], |row| Ok(text(row.get_ref(0)?))).optional()?)
}

/// Takes a leadership that is free, or renews the owner's.
pub(super) fn lead(step: &Step<'_>, which: Leadership, owner: &str, ttl_ms: u64) -> Result<bool, StoreError> {
    let row: Option<(String, i64, Option<i64>)> = step
        .sql("SELECT owner, counter, ttl_ms FROM leaders WHERE name = ?1")?
        .query_row([name(which)], |row| {
            Ok((text(row.get_ref(0)?), opt_int(row.get_ref(1)?).unwrap_or(0), opt_int(row.get_ref(2)?)))
        })
        .optional()?;
    let counter = match row {
        Some((holder, counter, _)) if holder == owner => counter,
        Some((holder, counter, term_ms)) => {
            let term = Duration::from_millis(term_ms.map_or(ttl_ms, count));
            if !step.terms.lapsed(name(which), &holder, counter, term, Instant::now()) {
                return Ok(false);
            }
            counter
        }
        None => 0,
    };
    let expires_ms = step.now_ms.saturating_add(stored(ttl_ms));
    step.change(
        "leaders",
        "INSERT OR REPLACE INTO leaders (name, owner, expires_ms, counter, ttl_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![name(which), owner, expires_ms, counter.wrapping_add(1), stored(ttl_ms)],
    )?;
    Ok(true)
}

/// Gives a leadership back.
pub(super) fn resign(step: &Step<'_>, which: Leadership, owner: &str) -> Result<(), StoreError> {
    let these = [name(which), owner];
    let leads = || step.finds("SELECT 1 FROM leaders WHERE name = ?1 AND owner = ?2", these);
    if step.change_up_to(1, "leaders", "DELETE FROM leaders WHERE name = ?1 AND owner = ?2", these, leads)? > 0 {
        step.wake();
    }
    Ok(())
}
