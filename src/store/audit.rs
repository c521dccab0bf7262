//! What people changed, for those who ask later who did it: the last entries, in the order in which they were written.

use bytes::Bytes;

use super::role::{Admin, arrow};

/// How many entries are kept.
pub const KEPT: usize = 10_000;

/// Adds an entry, and removes those beyond [`KEPT`].
#[derive(Debug, Clone)]
pub struct KeepAudit {
    /// The entry: JSON, whose length the caller bounds.
    pub entry: Bytes,
}

arrow!(KeepAudit, "keep_audit", Once -> (); Admin);

/// Entries, the newest first; what was written meanwhile moves the others on.
#[derive(Debug, Clone, Copy)]
pub struct ReadAudit {
    /// How many are passed over.
    pub skip: usize,
    /// How many are read at most. The caller bounds it.
    pub limit: usize,
}

arrow!(ReadAudit, "read_audit", Reads -> Vec<Bytes>; Admin);
