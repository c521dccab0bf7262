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
    /// The run was cut off by the death of a process that it may have shared with other runs, so that
    /// nobody knows whose doing it was: its `on_crash` policy decides, and where that says fail, this
    /// is what the record says.
    Crashed(Failure),
}

impl Outcome {
    /// Was the run cut off before it ended?
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        matches!(self, Self::Interrupted | Self::Crashed(_))
    }
}
