//! Files that somebody told us to read: what they may be, how much of them is read, who may change them, and with whose
//! rights. This room knows nothing of what they hold.

pub mod bounded;
pub mod data;
pub mod lacking;
mod members;
pub mod rights;
pub mod trust;
