//! What follows `enqueue` and `perform`, and how any command names a job: a task and its arguments.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::cli::value::{self, ArgsSource, TimeArg};
use crate::client::once::OnceKey;
use crate::job::Args;
use crate::task::zone::NamedZone;

/// The arguments of a job.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct JobArgs {
    /// All arguments as a JSON array; any other JSON value is the only argument. @FILE reads it from a file, @- from stdin
    #[arg(long, value_name = "JSON", value_parser = value::args, allow_hyphen_values = true, conflicts_with = "arg")]
    args: Option<ArgsSource>,
    /// One argument as JSON; may be repeated
    #[arg(long, value_name = "JSON", value_parser = value::arg, allow_hyphen_values = true)]
    arg: Vec<String>,
}

impl JobArgs {
    /// The arguments, or where they stand, if anything was said about them.
    #[must_use]
    pub(crate) fn get(&self) -> Option<ArgsSource> {
        match &self.args {
            Some(source) => Some(source.clone()),
            None if self.arg.is_empty() => None,
            // Each was checked when it was read.
            None => Args::from_json(&format!("[{}]", self.arg.join(","))).ok().map(ArgsSource::Json),
        }
    }
}

/// Jobs that exist, by their content.
#[derive(Debug, ClapArgs)]
pub(crate) struct NamedJobArgs {
    /// The task
    pub task: String,
    /// The queue, if it is not the task's own
    #[arg(long, value_name = "Q")]
    pub queue: Option<String>,
    #[command(flatten)]
    pub args: JobArgs,
    /// Jobs with any arguments
    #[arg(long, conflicts_with_all = ["args", "arg"])]
    pub any_args: bool,
}

/// What help says about them.
pub(crate) const NAMED_BY_ARGS: &str = "\
TASK names jobs by their arguments: --args or --arg, for jobs without any --args '[]', for jobs with whatever arguments\n\
--any-args.";

/// `enqueue`.
#[derive(Debug, ClapArgs)]
pub(crate) struct EnqueueArgs {
    /// The task
    #[arg(required_unless_present = "bulk")]
    pub task: Option<String>,
    #[command(flatten)]
    pub args: JobArgs,
    /// The queue, if it is not the task's own
    #[arg(long, value_name = "Q")]
    pub queue: Option<String>,
    /// Run it at this time, or as soon as possible afterwards. Also as clocks show it: "tomorrow 10:00", "2026-12-24 08:00"
    #[arg(long, value_name = "TIME", value_parser = value::time, conflicts_with_all = ["delay", "front"])]
    pub at: Option<TimeArg>,
    /// The zone of the clocks that --at is read from, if it is not the one here: Europe/Berlin
    #[arg(long, value_name = "ZONE", value_parser = value::zone, requires = "at", conflicts_with = "delay")]
    pub zone: Option<NamedZone>,
    /// Run it after this delay: 90s, 10m, 1h 30m
    #[arg(long = "in", id = "delay", value_name = "DURATION", value_parser = value::delay, allow_hyphen_values = true, conflicts_with = "front")]
    pub delay: Option<i64>,
    /// Put it at the head of the queue
    #[arg(long)]
    pub front: bool,
    /// Give it an id now, and keep for a week what it leads to: see windlass jobs result. Of equal jobs on a queue the first that
    /// runs takes the id
    #[arg(long, conflicts_with_all = ["at", "delay", "bulk", "once"])]
    pub track: bool,
    /// Wait until it has ended, print its output, and exit as it does; at most for this long. Tracks it
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = value::wait, conflicts_with_all = ["at", "delay", "bulk", "once"])]
    pub wait: Option<Option<std::time::Duration>>,
    /// Succeed if the same job is already due at the same second
    #[arg(long)]
    pub suppress_duplicate: bool,
    /// Exit with 1 if a plugin refuses the job
    #[arg(long)]
    pub fail_if_refused: bool,
    /// Enqueue it at most once under this key within 24 hours, however often the command is repeated
    #[arg(long, visible_alias = "idempotency-key", value_name = "KEY", value_parser = value::once)]
    pub once: Option<OnceKey>,
    /// Other workers know the task; it need not be defined here
    #[arg(long)]
    pub foreign: bool,
    /// Read jobs from a file (- for stdin), one per line: {"task","args","queue","at"}
    #[arg(long, value_name = "FILE", conflicts_with_all = ["task", "args", "arg", "queue", "at", "delay", "once"])]
    pub bulk: Option<PathBuf>,
}

/// `perform`.
#[derive(Debug, ClapArgs)]
pub(crate) struct PerformArgs {
    /// The task
    pub task: String,
    #[command(flatten)]
    pub args: JobArgs,
}
