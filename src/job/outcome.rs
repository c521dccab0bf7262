//! How a run of a job ended.

use std::time::Duration;

use super::failure::Failure;

/// How a handler's run ended. A job's failure is data, never an `Err`.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The job is done. The result, if the handler kept one, is any text.
    Success {
        /// What the handler returned, if anything was asked for.
        result: Option<String>,
    },
    /// The job failed: it goes to the failed list (or to its retry).
    Failure(Failure),
    /// The handler asks to be called again after this delay.
    Later {
        /// How long to wait before the next run.
        delay: Duration,
    },
    /// The run was stopped from outside before it ended: its `on_crash` policy decides.
    Interrupted,
}
