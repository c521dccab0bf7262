//! What a command works with inside a transaction.

use std::cell::{Cell, RefCell};

use rusqlite::{CachedStatement, Connection};

use super::counts::QueueCounts;
use super::terms::Terms;
use crate::store::error::StoreError;
use crate::store::findings::Findings;

/// The statements whose plans were looked at.
#[cfg(debug_assertions)]
pub(super) type Explained = RefCell<std::collections::HashSet<&'static str>>;

/// What a command works with inside a transaction.
pub(super) struct Step<'a> {
    pub(super) conn: &'a Connection,
    /// The time, milliseconds since the Unix epoch.
    pub(super) now_ms: i64,
    pub(super) after: &'a After,
    /// What this process has seen of leaderships.
    pub(super) terms: &'a Terms,
    pub(super) findings: &'a Findings,
    /// What came to queues and left them so far.
    pub(super) counts: RefCell<QueueCounts>,
    /// The statements whose plans were looked at.
    #[cfg(debug_assertions)]
    pub(super) explained: &'a Explained,
}

impl<'a> Step<'a> {
    /// A statement, parsed once per connection.
    pub(super) fn sql(&self, sql: &'static str) -> Result<CachedStatement<'a>, StoreError> {
        #[cfg(debug_assertions)]
        if self.explained.borrow_mut().insert(sql) {
            super::plan::assert_bounded(self.conn, sql)?;
        }
        Ok(self.conn.prepare_cached(sql)?)
    }

    /// Runs a part of the command. If the file refuses it for good, the part alone is undone, and the inner result says why.
    ///
    /// # Errors
    /// Any other failure, which undoes the command; a refusal too if it ended the transaction.
    pub(super) fn part<T>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<Result<T, StoreError>, StoreError> {
        let execute = |sql| self.conn.prepare_cached(sql)?.execute([]);
        let counts = self.counts.borrow().clone();
        execute("SAVEPOINT part")?;
        match work() {
            Ok(done) => {
                execute("RELEASE part")?;
                Ok(Ok(done))
            }
            Err(refused @ StoreError::Barred { .. }) if !self.is_lost() => {
                execute("ROLLBACK TO part")?;
                execute("RELEASE part")?;
                self.counts.replace(counts);
                Ok(Err(refused))
            }
            Err(error) => Err(error),
        }
    }

    /// Has an error ended the transaction, as RAISE(ROLLBACK) does?
    pub(super) fn is_lost(&self) -> bool {
        self.conn.is_autocommit()
    }

    /// The time in whole seconds.
    pub(super) fn now_s(&self) -> i64 {
        self.now_ms.div_euclid(1000)
    }

    /// Where to report what is wrong in the file but is no error of a call.
    pub(super) fn findings(&self) -> &Findings {
        self.findings
    }

    /// Notifies the wakers after the commit.
    pub(super) fn wake(&self) {
        self.after.wake.set(true);
    }

    /// Copies the log into the file after the commit, because this process ends.
    pub(super) fn shorten_log(&self) {
        self.after.shorten_log.set(true);
    }
}

/// What the commands of a transaction ask for after the commit.
#[derive(Default)]
pub(super) struct After {
    pub(super) wake: Cell<bool>,
    pub(super) shorten_log: Cell<bool>,
}
