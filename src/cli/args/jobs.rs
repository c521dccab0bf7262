//! What follows `jobs`.

use clap::{Args as ClapArgs, Subcommand};

use super::job::JobArgs;

/// `jobs ...`.
#[derive(Debug, Subcommand)]
pub enum JobsVerb {
    /// Delete jobs from a queue, by their arguments or all of a task
    Delete(JobsDeleteArgs),
}

/// `jobs delete`.
#[derive(Debug, ClapArgs)]
pub struct JobsDeleteArgs {
    /// The task
    pub task: String,
    /// The queue; left out: the task's own
    #[arg(long, value_name = "Q")]
    pub queue: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "described at its type; a comment here would become help text")]
    pub args: JobArgs,
    /// Whatever the arguments are
    #[arg(long, conflicts_with_all = ["args", "arg", "count"])]
    pub any_args: bool,
    /// At most so many, from the head; negative: from the tail; 0: all
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub count: i64,
    /// With --any-args: the first position that is looked at
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, requires = "any_args")]
    pub start: i64,
    /// With --any-args: the last one
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true, requires = "any_args")]
    pub stop: i64,
}
