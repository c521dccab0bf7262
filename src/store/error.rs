//! Errors of a store, divided by what a caller can do about them.

use std::time::Duration;

use super::server_state::ServerState;

/// How the reason begins if a key of another type stands in a place.
pub const WRONG_TYPE: &str = "WRONGTYPE: ";

/// An error of a store. The messages are written to follow "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The answer of the store was lost: it is unknown whether the step took effect. Trying again later may help;
    /// exchanges of a lane may be repeated unchanged.
    #[error("reach the store: {0}")]
    Unavailable(String),
    /// The store could not be reached: the step was not sent, so that nothing was changed. Trying again later may help.
    #[error("reach the store: {0}")]
    Unreached(String),
    /// The server answers, but takes no such step in its present state: nothing was changed. Trying again helps when the
    /// state has passed.
    #[error("use this store: {state} ({said})")]
    Refusing {
        /// What keeps the server from it, and what to do.
        state: ServerState,
        /// The server's own words.
        said: String,
    },
    /// The store has no room (Redis' `maxmemory`, a full disk or `max_page_count`): nothing was
    /// changed. Trying again helps when there is room again.
    #[error("write to the store, which is full: {0}")]
    Full(String),
    /// This store cannot be used: it is too old, a command or a right is missing, or its schema is newer.
    #[error("use this store: {0}")]
    Unsupported(String),
    /// The user of the store lacks rights, or the store lacks commands, that claiming and promotion need. The cause is not
    /// a job, a queue or a key.
    #[error("use this store: {0}")]
    MissingRights(String),
    /// The store refuses one key or row for good, whatever is done there: the user has no right to it, on a Cluster it
    /// stands in another slot than the other keys, a rule that somebody added to the database forbids it.
    #[error("use {place}: {reason}")]
    Barred {
        /// The key, or the table and row.
        place: String,
        /// Why it is refused, and what to do.
        reason: String,
    },
    /// A key or row has unexpected content; nothing was changed.
    #[error("read {place}: {reason}")]
    Corrupt {
        /// The key, or the table and row.
        place: String,
        /// What was found instead of what was expected.
        reason: String,
    },
    /// A bug in the caller: the engine refused the call.
    #[error("call the store rightly: {0}")]
    Misuse(String),
}

impl StoreError {
    /// May the same call succeed later without a correction?
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Full(_)) || self.is_passing()
    }

    /// Is it certain that the step changed nothing, although the same call may succeed later?
    #[must_use]
    pub fn changed_nothing(&self) -> bool {
        matches!(self, Self::Full(_)) || self.is_passing()
    }

    /// Did the store answer that it refuses the step? A step of one call has then changed nothing.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Unavailable(_) | Self::Misuse(_))
    }

    fn is_passing(&self) -> bool {
        matches!(self, Self::Unreached(_) | Self::Refusing { .. })
    }

    /// The longest wait before the same call is made again. A full store may get room at any moment, and one more
    /// refusal costs it little.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        Duration::from_secs(if matches!(self, Self::Full(_) | Self::Refusing { .. }) { 1 } else { 5 })
    }
}
