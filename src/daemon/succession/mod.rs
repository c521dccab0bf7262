//! How a daemon takes over from another one of this machine without a gap.
//!
//! ```text
//!   old:  works ............................ | claims nothing more, its jobs end, exits
//!   new:         starts, has old's sockets,  works: says "retire" to old
//! ```
//!
//! The new one is an instance of its own. Until it works, the old one does, whatever becomes of the new one. Each daemon has a
//! socket without a place in the file system, where the next one asks: for the sockets of `[http]`, and at last to retire.
//!
//! A job must not get those sockets, because it would see the tokens of those who connect. So the asker is one that the common
//! parent has given a token, which only memory holds, or a process that is no descendant of the daemon's parent.

mod offer;
mod pass;
mod predecessor;
mod wire;

pub(super) use offer::Offer;
pub(super) use pass::Pass;
pub(super) use predecessor::{Predecessor, predecessor};
