//! Files that somebody told us to read: what they may be, how much of them is read, and who may
//! change them. This room knows nothing of what
//! they hold.

pub mod bounded;
mod members;
pub mod trust;
