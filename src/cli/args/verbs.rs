//! What follows `jobs`, `locks`, `periodic`, `store`, `tasks` and `workers`.

use clap::{Args as ClapArgs, Subcommand};

use super::job::JobArgs;

/// `jobs ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsVerb {
    /// Delete jobs from a queue, by their arguments or all of a task
    Delete(JobsDeleteArgs),
}

/// `jobs delete`.
#[derive(Debug, ClapArgs)]
pub(crate) struct JobsDeleteArgs {
    /// The task
    pub task: String,
    /// The queue; left out: the task's own
    #[arg(long, value_name = "Q")]
    pub queue: Option<String>,
    #[command(flatten)]
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

/// `locks ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum LocksVerb {
    /// All of them
    List,
    /// Free one
    Delete {
        /// Its key, as the listing shows it
        name: String,
    },
}

/// `periodic ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum PeriodicVerb {
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

/// `store ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreVerb {
    /// Move everything that waits in one store to another: queues, delayed, failed and periodic
    #[command(after_help = "Example:\n  windlass store copy sqlite:windlass.db redis://localhost:6379\n\n\
                            Stop the daemons of the first store before. It is emptied, so that no job runs twice.\n\
                            Broken off, the same command goes on: nothing is lost, nothing doubled.")]
    Copy(CopyArgs),
}

/// `store copy`.
#[derive(Debug, ClapArgs)]
pub(crate) struct CopyArgs {
    /// The store that is emptied
    pub from: String,
    /// The store that is filled
    pub to: String,
    /// The first store's namespace, if it is not the configuration's
    #[arg(long, value_name = "NS")]
    pub from_namespace: Option<String>,
    /// The other store's namespace, if it is not the configuration's
    #[arg(long, value_name = "NS")]
    pub to_namespace: Option<String>,
}

/// `tasks ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum TasksVerb {
    /// All of them
    List,
    /// One of them
    Show {
        /// Its name
        name: String,
    },
}

/// `workers ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkersVerb {
    /// All of them and what they do
    List,
    /// One of them
    Show {
        /// Its name (host:pid+n) or id (host:pid+n:queues)
        name: String,
    },
    /// Remove those that have worked on one job for too long; the jobs become failed ones
    Clean {
        /// For how long: 2h, 1day, or milliseconds
        #[arg(long, value_name = "DURATION", value_parser = crate::cli::value::delay)]
        older_than: i64,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Remove a worker that is gone; its job becomes a failed one
    ForceClean {
        /// Its name (host:pid+n) or id (host:pid+n:queues)
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}
