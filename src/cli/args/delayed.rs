//! What follows `delayed`.

use clap::{Args as ClapArgs, Subcommand};

use super::job::JobArgs;
use crate::cli::value::{self, TimeArg};

/// `delayed`, `delayed list`.
#[derive(Debug, ClapArgs)]
pub(crate) struct DelayedListArgs {
    /// Only those due at this time
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub at: Option<TimeArg>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
}

/// A delayed job, by its content.
#[derive(Debug, ClapArgs)]
pub(crate) struct DelayedJobArgs {
    /// The task
    pub task: String,
    /// Its queue; left out: the task's own
    #[arg(long, value_name = "Q")]
    pub queue: Option<String>,
    #[command(flatten)]
    pub args: JobArgs,
}

/// `delayed ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum DelayedVerb {
    /// The jobs, the first due first
    List(DelayedListArgs),
    /// The times at which jobs are due
    Timestamps,
    /// When a job is due
    Find(DelayedJobArgs),
    /// Delete a job, wherever it is due
    Delete(DelayedJobArgs),
}
