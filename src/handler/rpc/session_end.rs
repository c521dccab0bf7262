//! How a session ends, and what a child leaves.

use std::io;
use std::process::ExitStatus;

use super::pool_state::PerformRequest;
use crate::process::ShimWord;

/// Why a session ended.
#[derive(Debug, PartialEq)]
pub(super) enum SessionEnd {
    /// The child gets no more jobs.
    Leave,
    /// The process ended by itself.
    Exited,
    /// It must be killed because one of its jobs must end now.
    Kill,
    /// It wrote what is no message, or not the one that was expected.
    Broken(String),
    /// It closed a pipe, as a process does that ends.
    Closed(String),
    /// It did not become ready in time.
    Late,
}

impl SessionEnd {
    /// Did the child break the protocol?
    pub(super) fn is_protocol(&self) -> bool {
        matches!(self, Self::Broken(_) | Self::Closed(_))
    }
}

/// A child that has ended, and the jobs that it leaves.
pub(super) struct EndedChild {
    pub(super) status: io::Result<ExitStatus>,
    /// The last lines of its stderr.
    pub(super) tail: Vec<String>,
    /// Jobs that it saw and did not answer, whether they were asked to end, and where their output is kept.
    pub(super) unanswered: Vec<(PerformRequest, bool, Option<String>)>,
    /// Jobs whose requests it has not seen a byte of.
    pub(super) unseen: Vec<PerformRequest>,
    /// What its shim said, if it never began.
    pub(super) shim: Option<ShimWord>,
    /// Has it answered any job?
    pub(super) proven: bool,
}
