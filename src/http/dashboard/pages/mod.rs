//! The pages, one file each.

pub(in crate::http) mod failed;
pub(in crate::http) mod failed_job;
pub(in crate::http) mod operation;
pub(in crate::http) mod overview;
pub(in crate::http) mod queue;
pub(in crate::http) mod queues;
