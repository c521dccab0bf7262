//! What happens to a job whose run was cut off, and the limit of such retries.

use std::fmt;

use crate::config::reader::Value;

/// The policy for jobs whose worker crashed, or whose run was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnCrash {
    /// The job returns to the head of its queue; this counts as a redelivery.
    Requeue,
    /// The job goes to the failed list, with node-resque's stuck marker.
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
pub fn read_on_crash(value: &Value<'_>) -> Option<OnCrash> {
    value.one_of("\"requeue\" or \"fail\"", &[("requeue", OnCrash::Requeue), ("fail", OnCrash::Fail)])
}

/// The largest limit. There is no "for ever", because a job that never succeeds needs attention.
const MAX_REDELIVERIES: u64 = 1_000_000;

/// Reads a limit of redeliveries or of "later".
#[must_use]
pub fn read_redeliveries(value: &Value<'_>) -> Option<u32> {
    value.whole_number(0..=MAX_REDELIVERIES).and_then(|number| u32::try_from(number).ok())
}
