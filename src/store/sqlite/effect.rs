//! Whether a statement did what it says.
//!
//! A trigger that another program added may end a statement without an error and without its effect (`RAISE(IGNORE)`). A job
//! would then be in two places or in none, and a lock, lease or counter would not be what its holder was told. So every
//! statement is run by one of these functions (`tests/house.rs`), which say who checks it. A statement without its effect is
//! an error that undoes the step. What only removes leftovers is not checked.

use rusqlite::{CachedStatement, Params};

pub(super) use super::error::{at_least, ignored};
use super::step::Step;
use crate::store::error::StoreError;

impl Step<'_> {
    /// Runs a statement that changes a row of this table in any case.
    ///
    /// # Errors
    /// Also if it changed none.
    pub(super) fn change(&self, table: &str, sql: &'static str, params: impl Params) -> Result<(), StoreError> {
        at_least(1, table, self.sql(sql)?.execute(params)?)
    }

    /// Runs a statement that changes rows of this table if there are any, and looks only if it changed none or fewer than
    /// `most`: then `left` must find no row that it should have changed. Returns how many it changed.
    ///
    /// # Errors
    /// Also if there is such a row.
    pub(super) fn change_up_to(
        &self,
        most: usize,
        table: &str,
        sql: &'static str,
        params: impl Params,
        left: impl FnOnce() -> Result<bool, StoreError>,
    ) -> Result<usize, StoreError> {
        let changed = self.sql(sql)?.execute(params)?;
        if changed < most && left()? { Err(ignored(table)) } else { Ok(changed) }
    }

    /// Runs a statement and returns how many rows it changed. The caller compares that with what it knows, does another thing
    /// if there were none, or reads what is there now.
    pub(super) fn changed(&self, sql: &'static str, params: impl Params) -> Result<usize, StoreError> {
        changed(&mut self.sql(sql)?, params)
    }

    /// Runs a statement that removes leftovers: no state depends on it, and what stays is met again.
    pub(super) fn sweep(&self, sql: &'static str, params: impl Params) -> Result<(), StoreError> {
        self.changed(sql, params).map(drop)
    }

    /// Does this query find a row?
    pub(super) fn finds(&self, sql: &'static str, params: impl Params) -> Result<bool, StoreError> {
        Ok(self.sql(sql)?.exists(params)?)
    }
}

/// As [`Step::changed`], for a statement that is run many times.
pub(super) fn changed(statement: &mut CachedStatement<'_>, params: impl Params) -> Result<usize, StoreError> {
    Ok(statement.execute(params)?)
}
