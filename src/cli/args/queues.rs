//! What follows `queues`.

use clap::Subcommand;

/// `queues ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum QueuesVerb {
    /// All of them and their lengths
    List,
    /// A queue's jobs, the next to run first
    Show {
        /// The queue
        queue: String,
        /// The first position; negative ones count from the end
        #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
        start: i64,
        /// The last position
        #[arg(long, value_name = "N", default_value_t = 99, allow_negative_numbers = true)]
        stop: i64,
    },
    /// Claim nothing more from a queue, on any machine; what runs goes on, and jobs may still be enqueued
    Pause {
        /// The queue
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        queue: Option<String>,
        /// All queues; on Redis this stops Ruby's workers too
        #[arg(long)]
        all: bool,
    },
    /// Claim from a queue again
    Resume {
        /// The queue
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        queue: Option<String>,
        /// All queues, but for those that are paused by themselves
        #[arg(long)]
        all: bool,
    },
    /// Delete a queue with its jobs; its pause stays
    Delete {
        /// The queue
        queue: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}
