//! What follows `failed`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::job::JobArgs;
use crate::admin::filter::Filter;
use crate::cli::value::{self, Since};

/// `failed`, `failed list`.
#[derive(Debug, ClapArgs)]
pub(crate) struct FailedListArgs {
    #[command(flatten)]
    pub filter: FailedFilterArgs,
    /// Show at most N
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value::limit)]
    pub limit: usize,
    /// Count failures of one kind together: same task, same error but for numbers, ids and quoted parts
    #[arg(long, conflicts_with_all = ["start", "stop"])]
    pub group: bool,
    /// Oldest first, from this position; the oldest job is at 0, negative positions count from the end
    #[arg(long, value_name = "N", allow_negative_numbers = true, conflicts_with_all = ["filter", "of_task", "of_queue", "error", "since", "limit"])]
    pub start: Option<i64>,
    /// The last position
    #[arg(long, value_name = "N", allow_negative_numbers = true, conflicts_with_all = ["filter", "of_task", "of_queue", "error", "since", "limit"])]
    pub stop: Option<i64>,
}

/// Which failed jobs.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct FailedFilterArgs {
    /// Only jobs that match: 'task:resize error:"no space" -queue:img* args.to.city:Berlin after:-2h'
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true, value_parser = value::filter)]
    pub filter: Option<Filter>,
    /// Only jobs of this task
    #[arg(long = "task", id = "of_task", value_name = "T")]
    pub task: Option<String>,
    /// Only jobs from this queue
    #[arg(long = "queue", id = "of_queue", value_name = "Q")]
    pub queue: Option<String>,
    /// Only jobs whose error or last lines of stderr hold this text, in upper or lower case
    #[arg(long, value_name = "TEXT", value_parser = value::part)]
    pub error: Option<String>,
    /// Only jobs that failed since this time, or in this time: 2h, 1day, "today 08:00", 2026-11-24T03:26:18Z
    #[arg(long, value_name = "TIME", value_parser = value::since, allow_hyphen_values = true)]
    pub since: Option<Since>,
}

/// `failed groups`.
#[derive(Debug, ClapArgs)]
pub(crate) struct FailedGroupsArgs {
    #[command(flatten)]
    pub filter: FailedFilterArgs,
    /// Look at the newest N
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = value::scan)]
    pub scan: u64,
    /// Show at most N groups
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value::limit)]
    pub limit: usize,
}

/// How all that match are changed.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct FailedBulkArgs {
    /// Only tell how many match
    #[arg(long, conflicts_with_all = ["addresses", "yes"])]
    pub dry_run: bool,
    /// Do nothing unless so many match, or up to a twentieth more or fewer
    #[arg(long, value_name = "N", conflicts_with = "addresses")]
    pub expect: Option<u64>,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
}

/// `failed ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum FailedVerb {
    /// List failed jobs, newest first
    #[command(
        after_help = "Examples:\n  windlass failed list --filter 'task:sendMail after:-2h'\n  windlass failed list --start 0 --stop 9     # the ten oldest"
    )]
    List(FailedListArgs),
    /// Count failures of one kind together: same task, same error but for numbers, ids and quoted parts
    #[command(after_help = "Example:\n  windlass failed groups --filter after:-1day")]
    Groups(FailedGroupsArgs),
    /// Show how many failed jobs there are, or how many match
    #[command(after_help = "Examples:\n  windlass failed count\n  windlass failed count --filter task:sendMail")]
    Count {
        #[command(flatten)]
        filter: FailedFilterArgs,
    },
    /// Show a failed job with its backtrace
    #[command(
        after_help = "Examples:\n  windlass failed show 3f9a01c2d4e5\n  windlass failed show -1     # the newest"
    )]
    Show {
        /// Its id or position in the list, or the job's id
        #[arg(value_name = "ID", allow_negative_numbers = true)]
        address: String,
    },
    /// Print all that match, whole, one JSON document a line, newest first
    #[command(after_help = "Each line has the record itself, so that windlass failed import can put it back.\n\n\
                            Example:\n  windlass failed export --filter task:sendMail > failed.ndjson")]
    Export {
        #[command(flatten)]
        filter: FailedFilterArgs,
    },
    /// Put failed jobs back on the list that an export holds; those that are there already are left out
    #[command(
        after_help = "The records are put at the end of the list as they were, so that ids, attempts and dates stay. Nothing runs \
                            until it is retried. All lines are checked first.\n\nExamples:\n  \
                            windlass failed import failed.ndjson\n  \
                            zcat failed.ndjson.gz | windlass failed import -"
    )]
    Import {
        /// What windlass failed export has written (- for stdin)
        file: PathBuf,
    },
    /// Remove failed jobs: some, all that match, or all
    #[command(
        after_help = "Examples:\n  windlass failed remove 3f9a01c2d4e5\n  windlass failed remove --task sendMail --error timeout\n  windlass failed remove --all --yes"
    )]
    Remove {
        /// Their ids or positions in the list, or the ids of jobs
        #[arg(value_name = "ID", allow_negative_numbers = true, required_unless_present_any = ["all", "filter", "of_task", "of_queue", "error", "since"])]
        addresses: Vec<String>,
        /// Remove all failed jobs
        #[arg(long, conflicts_with_all = ["addresses", "filter", "of_task", "of_queue", "error", "since"])]
        all: bool,
        #[command(flatten)]
        filter: FailedFilterArgs,
        #[command(flatten)]
        bulk: FailedBulkArgs,
    },
    /// Retry the jobs of workers that vanished or were removed; does not ask, because none of them has run to its end
    #[command(after_help = "Example:\n  windlass failed retry-stuck")]
    RetryStuck,
    /// Put failed jobs back on their queues: some, all that match, all of a task, or all
    #[command(
        after_help = "Jobs that are not named by their ids are counted first, and the command asks; in scripts say --yes.\n\n\
                            Examples:\n  windlass failed retry 0a1b2c3d4e5f --args '[{\"to\":\"ada@example.org\"}]'\n  \
                            windlass failed retry --filter 'error:\"no space\" after:-2h' --dry-run"
    )]
    Retry(FailedRetryArgs),
}

/// `failed retry`.
#[derive(Debug, ClapArgs)]
pub(crate) struct FailedRetryArgs {
    /// Their ids or positions in the list, or the ids of jobs
    #[arg(value_name = "ID", allow_negative_numbers = true, required_unless_present_any = ["all", "filter", "task", "unknown"])]
    pub addresses: Vec<String>,
    /// Retry all failed jobs
    #[arg(long, conflicts_with_all = ["addresses", "filter", "task"])]
    pub all: bool,
    /// Retry all that match
    #[arg(long, value_name = "FILTER", allow_hyphen_values = true, value_parser = value::filter, conflicts_with = "addresses")]
    pub filter: Option<Filter>,
    /// Retry all failed jobs of this task
    #[arg(long, value_name = "T", conflicts_with = "addresses")]
    pub task: Option<String>,
    /// Retry all that failed because no task had their name
    #[arg(long, conflicts_with_all = ["addresses", "all"])]
    pub unknown: bool,
    /// The queue of jobs that are named; of others that for jobs whose record and payload name none
    #[arg(long, value_name = "Q")]
    pub queue: Option<String>,
    #[command(flatten)]
    pub args: JobArgs,
    #[command(flatten)]
    pub bulk: FailedBulkArgs,
}
