//! What follows `periodic`.

use clap::Subcommand;

/// `periodic ...`.
#[derive(Debug, Subcommand)]
pub enum PeriodicVerb {
    /// All of them: when they are due, what state they are in
    List,
    /// Start one that was stopped, and see to it that its job is somewhere
    Start {
        /// The task
        task: String,
    },
    /// Stop one until it is started: over restarts, on all instances
    Stop {
        /// The task
        task: String,
    },
    /// Run one now, once more than its schedule says
    Run {
        /// The task
        task: String,
    },
}
