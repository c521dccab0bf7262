//! What people changed, for those who ask later who did it: the last entries, in the order in which they were written.

use bytes::Bytes;

use super::role::{Admin, arrow};

/// How many entries are kept.
pub const KEPT: usize = 10_000;

/// How many bytes of an entry are read. No entry that is written has more; what is longer was written by somebody else, and
/// of that the beginning is enough.
pub const ENTRY_BYTES: usize = 128 * 1024;

/// Adds an entry, and removes those beyond [`KEPT`].
#[derive(Debug, Clone)]
pub struct KeepAudit {
    /// The entry: JSON, which the caller keeps within [`ENTRY_BYTES`].
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

arrow!(ReadAudit, "read_audit", Reads -> Vec<KeptEntry>; Admin);

/// An entry, or its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEntry {
    /// Its bytes, at most [`ENTRY_BYTES`] of them.
    pub bytes: Bytes,
    /// How many bytes it has.
    pub length: u64,
}
