//! What becomes of a job whose run was cut off.

use std::fmt;

use crate::config::reader::Value;

/// The policy for jobs whose worker crashed, or whose run was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCrash {
    /// Back to the head of its queue, counted as a redelivery.
    Requeue,
    /// To the failed list, with node-resque's stuck marker.
    Fail,
}

impl fmt::Display for OnCrash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requeue => "requeue",
            Self::Fail => "fail",
        })
    }
}

/// Reads a policy.
#[must_use]
pub fn read(value: &Value<'_>) -> Option<OnCrash> {
    value.one_of("\"requeue\" or \"fail\"", &[("requeue", OnCrash::Requeue), ("fail", OnCrash::Fail)])
}
