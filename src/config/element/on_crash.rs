//! What becomes of a job whose run was cut off.

/// The policy for jobs whose worker crashed, or whose run was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCrash {
    /// Back to the head of its queue, counted as a redelivery.
    Requeue,
    /// To the failed list, with node-resque's stuck marker.
    Fail,
}
