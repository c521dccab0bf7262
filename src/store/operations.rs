//! How far operations on many failed jobs are, for those who ask another process than the one that has them, and for those who ask
//! when that one has died.
//!
//! Nothing depends on what stands here: an operation is carried out step by step, and each step is whole.

use bytes::Bytes;

use super::role::{Admin, arrow};

/// How long a record stands after it was written last, in seconds.
pub const KEPT_S: u64 = 86_400;

/// The longest record that is read, in bytes. Ours are shorter.
pub const LONGEST: usize = 32 << 10;

/// Writes how far an operation is.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct KeepOperation {
    /// Its id.
    pub id: String,
    /// A JSON object, which the caller keeps within [`LONGEST`].
    pub record: Bytes,
}

arrow!(KeepOperation, "keep_operation", Repeatable -> (); Admin);

/// How far an operation was when that was written last. `None`: nothing stands there that can be one.
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ReadOperation {
    /// Its id.
    pub id: String,
}

arrow!(ReadOperation, "read_operation", Reads -> Option<Bytes>; Admin);
