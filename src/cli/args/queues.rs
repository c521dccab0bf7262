//! What follows `queues`.

use clap::Subcommand;

/// `queues ...`.
#[derive(Debug, Subcommand)]
pub enum QueuesVerb {
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
    /// Delete a queue with its jobs
    Delete {
        /// The queue
        queue: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}
