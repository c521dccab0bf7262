//! How a run of a job ended.

use std::time::Duration;

use super::failure::Failure;

/// How a handler's run ended. A job's failure is data, never an `Err`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The job is done. The result, if there is one, is any text.
    Success {
        /// What the handler returned, if the task stores a result.
        result: Option<String>,
    },
    /// The job failed: it goes to the failed list (or to its retry).
    Failure(Failure),
    /// The handler postpones the job by this delay.
    Later {
        /// How long to wait before the next run.
        delay: Duration,
        /// The last lines of its output, if they are known.
        tail: Vec<String>,
    },
    /// The run was stopped from outside before it ended. The `on_crash` policy decides what follows.
    Interrupted,
    /// The same, of a program whose last words are known: they are told if it was stopped because it took too long.
    Stopped {
        /// The last lines of its output.
        tail: Vec<String>,
    },
    /// Somebody cancelled it, and it had not succeeded by then. The job fails, and is not run again.
    Cancelled {
        /// Who did, for people to read.
        by: String,
        /// The last lines of its output, if they are known.
        tail: Vec<String>,
    },
    /// The process of the run died. It may have served other runs, so the cause is unknown. The `on_crash` policy
    /// decides what follows; if it is `fail`, the record has this failure.
    Crashed(Failure),
    /// It could not begin, because this machine is short of a resource: file descriptors, processes, memory. The text says
    /// of which. Nothing of the job was done, so that it is given back uncounted.
    NotStarted(String),
    /// It waited, and the lease of its instance may have run out meanwhile: another instance may run it, so that it did not
    /// begin here. Nothing of the job was done, so that it is given back uncounted if it is still ours.
    ClaimDoubted,
    /// It could not begin, because its program could not be started: it is missing for a moment, or for good. Nothing of
    /// the job was done, so that it is put off uncounted; if that lasts, it fails with this.
    Unstarted {
        /// The failure that it is then.
        failure: Failure,
        /// No run of its task begins earlier.
        wait: Duration,
    },
}

impl Outcome {
    /// The program could not be started.
    #[must_use]
    pub fn unstarted(failure: Failure) -> Self {
        Self::Unstarted { failure, wait: Duration::ZERO }
    }

    /// Was the run cut off before it ended, or never began?
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        matches!(
            self,
            Self::Interrupted
                | Self::Stopped { .. }
                | Self::Cancelled { .. }
                | Self::Crashed(_)
                | Self::NotStarted(_)
                | Self::ClaimDoubted
                | Self::Unstarted { .. }
        )
    }
}
