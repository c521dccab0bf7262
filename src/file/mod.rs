//! Files that somebody told us to read: what they may be, and how much of them is read. This room knows nothing of what
//! they hold.

pub mod bounded;
