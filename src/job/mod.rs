//! The data of a job: names, payload, identity, outcome and failure record. No I/O, no imports from any other room.

pub mod beginning;
pub mod date;
pub mod digest;
pub mod distortion;
pub mod ecma;
pub mod failure;
pub mod finished_run;
pub mod first_queues;
pub mod identity;
pub mod kept_result;
pub mod last_words;
pub mod lock_key;
pub mod mend;
pub mod name;
pub mod outcome;
pub mod output_end;
pub mod own_keys;
pub mod payload;
pub mod queue_member;
pub mod retry_keys;
pub mod run_counts;
pub mod run_variables;
pub mod shown_run;
#[cfg(feature = "otel")]
pub mod trace;

pub use beginning::Beginning;
pub use failure::{Failure, FailureView};
pub use finished_run::{FinishedRun, RunOutcome};
pub use first_queues::FirstQueues;
pub use identity::{ClaimToken, Identity};
pub use kept_result::KeptResult;
pub use last_words::last_words;
pub use lock_key::LockKey;
pub use name::{NameError, QueueName, TaskName, WorkerName};
pub use outcome::Outcome;
pub use payload::{Args, BadPayload, PayloadView};
pub use retry_keys::RetryKeys;
pub use run_counts::{RunCounts, RunEnd};
pub use shown_run::{Progress, ShownRun};
