//! The failed list, read part by part: a record may be as long as its writer likes, and a step holds few bytes.

use bytes::Bytes;

use super::role::{Admin, arrow};

/// Failure records that stand side by side, as many as one step holds: at most `most`, no more once they have
/// [`FAILED_READ_BYTES`], and at least one if one stands there. Anyone who needs more asks for the next.
#[derive(Debug, Clone, Copy)]
pub struct ReadFailed {
    /// Which.
    pub side: FailedSide,
    /// How many at most.
    pub most: usize,
}

arrow!(ReadFailed, "failed_part", Reads -> FailedPart; Admin);

/// After how many bytes of records a read of the failed list ends; the record with which it has them is the last.
pub const FAILED_READ_BYTES: usize = 1 << 20;

/// Which failure records are read, by positions from the oldest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedSide {
    /// Those from this position on, oldest first.
    From(i64),
    /// Those before this position, the newest first.
    Before(i64),
}

/// Some failure records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedPart {
    /// The position of the first of them. Before the end of a list that has become shorter it is that of its last record.
    pub position: i64,
    /// The records, in the order that was asked for.
    pub records: Vec<Bytes>,
}
