//! What people look at and correct: the verbs behind every surface for people, one noun a file.
//!
//! Everything here reads what strangers wrote. A record that cannot be read is shown as what it
//! is and never stops a listing; bytes are taken back out of the store exactly as they stand.

pub mod api;
pub mod copy;
pub mod delayed;
pub mod error;
pub mod failed;
pub mod job_view;
pub mod jobs;
pub mod locks;
pub mod overview;
pub mod periodic;
pub mod plan;
pub mod queues;
pub mod tasks;
pub mod workers;

pub use api::TaskApi;
pub use error::AdminError;
