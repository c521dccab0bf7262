//! What can go wrong with a store, by what a caller can do about it.

/// A store's failure. The messages read after "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached, or the reply was lost: whether the step was taken is unknown.
    /// Worth repeating after a while; steps of a lane may be repeated as they are.
    #[error("reach the store: {0}")]
    Unavailable(String),
    /// The store has no room (Redis' `maxmemory`, a full disk or `max_page_count`): nothing was
    /// changed. Worth repeating after somebody made room.
    #[error("write to the store, which is full: {0}")]
    Full(String),
    /// The store is not one we can work with: too old, a command or a right is missing, the
    /// schema is of a newer version.
    #[error("use this store: {0}")]
    Unsupported(String),
    /// This user of the store lacks rights, or the store lacks commands, without which nothing is claimed or promoted.
    /// No job, queue or key is to blame.
    #[error("use this store: {0}")]
    MissingRights(String),
    /// A key or row holds something that it should not; nothing was changed.
    #[error("read {place}: {reason}")]
    Corrupt {
        /// The key, or the table and row.
        place: String,
        /// What was found instead of what was expected.
        reason: String,
    },
    /// A mistake of ours: the engine refused the call.
    #[error("call the store rightly: {0}")]
    Misuse(String),
}

impl StoreError {
    /// May the same call succeed later without anybody correcting it?
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Full(_))
    }
}
