//! What follows each command, except for `enqueue`, `perform` and `generate`.
//!
//! Longer than 400 lines because the verbs of all nouns stand together, as help shows them.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::job::{JobArgs, NAMED_BY_ARGS, NamedJobArgs};
use crate::cli::value::{self, TimeArg};
use crate::task::zone::NamedZone;

/// How many entries a listing shows if nothing else is asked for.
pub(crate) const LISTED: usize = 1000;

/// Help of a command whose TASK names jobs by their arguments.
fn by_args(examples: &str) -> String {
    format!("{NAMED_BY_ARGS}\n\n{examples}")
}

/// `run`.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct RunArgs {
    /// Queues to work on, in order of priority; globs and !exclusions too
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub queues: Option<Vec<String>>,
    /// Fewest processors
    #[arg(long, value_name = "N")]
    pub min: Option<usize>,
    /// Most processors
    #[arg(long, value_name = "N")]
    pub max: Option<usize>,
    /// Does this instance run a scheduler?
    #[arg(long, value_name = "true|false")]
    pub scheduler: Option<bool>,
    /// Start without the tasks whose files have mistakes; their jobs wait
    #[arg(long)]
    pub skip_broken_tasks: bool,
    /// Take over from the daemon of this configuration that runs here, without a gap; its jobs end in their own time
    #[arg(long, value_name = "PID", num_args = 0..=1, require_equals = true)]
    pub replace: Option<Option<u32>>,
    /// Show whether this program can take over from one that runs, and start nothing
    #[arg(long, hide = true, value_name = "FORMAT")]
    pub rehearse: Option<u32>,
}

/// `check`.
#[derive(Debug, Default, ClapArgs)]
pub(crate) struct CheckArgs {
    /// As for a daemon that skips tasks whose files have mistakes
    #[arg(long)]
    pub skip_broken_tasks: bool,
}

/// `leader`.
#[derive(Debug, ClapArgs)]
pub(crate) struct LeaderArgs {
    /// Exit with 0 if the leader runs on this host, with 1 if not
    #[arg(long)]
    pub check: bool,
}

/// `dashboard`.
#[cfg(feature = "web")]
#[derive(Debug, ClapArgs)]
pub(crate) struct DashboardArgs {
    /// Where to listen: 127.0.0.1:8080, or unix:/run/windlass/http.sock
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<crate::config::element::listen::ListenAddress>,
    /// Change nothing, no matter who asks
    #[arg(long)]
    pub read_only: bool,
}

/// `plan`.
#[derive(Debug, ClapArgs)]
pub(crate) struct PlanArgs {
    /// How far to look ahead
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=87_600))]
    pub hours: u32,
    /// Only this task
    #[arg(long, value_name = "T")]
    pub task: Option<String>,
    /// Show at most N
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = value::limit)]
    pub limit: usize,
}

/// `history`.
#[derive(Debug, ClapArgs)]
pub(crate) struct HistoryArgs {
    /// Only this task
    #[arg(long, value_name = "T")]
    pub task: Option<String>,
    /// How far back to look
    #[arg(long, value_name = "WINDOW", default_value = "1h")]
    pub window: HistoryWindow,
    /// A line for each time, or for each task
    #[arg(long, value_name = "WHAT", default_value = "time")]
    pub by: HistoryBy,
}

/// How far back `history` looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HistoryWindow {
    /// Minute by minute
    #[value(name = "1h")]
    Hour,
    /// Hour by hour, as JSON every ten minutes
    #[value(name = "24h")]
    Day,
    /// Day by day, as JSON hour by hour
    #[value(name = "30d")]
    Month,
}

/// What has a line in `history`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HistoryBy {
    /// A minute, hour or day
    Time,
    /// A task
    Task,
}

/// `audit`.
#[derive(Debug, ClapArgs)]
pub(crate) struct AuditArgs {
    /// Show at most N
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value::limit)]
    pub limit: usize,
}

/// `queues ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum QueuesVerb {
    /// List queues and their lengths
    #[command(after_help = "Examples:\n  windlass queues list\n  \
                            windlass queues list --limit 20 --json")]
    List {
        /// How many queues at most
        #[arg(long, value_name = "N", default_value_t = LISTED, value_parser = value::limit)]
        limit: usize,
    },
    /// Show the jobs of a queue, the next to run first
    #[command(after_help = "Examples:\n  windlass queues show mail\n  \
                            windlass queues show mail --start -10 --stop -1     # the last ten")]
    Show {
        /// The queue
        queue: String,
        /// The first position; negative positions count from the end
        #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
        start: i64,
        /// The last position
        #[arg(long, value_name = "N", default_value_t = 99, allow_negative_numbers = true)]
        stop: i64,
    },
    /// Stop claiming jobs from a queue, on all machines. Running jobs continue; jobs can still be enqueued
    #[command(after_help = "Examples:\n  windlass queues pause mail\n  \
                            windlass queues pause --all\n  \
                            windlass queues pause nightly --new         # before its first job")]
    Pause {
        /// The queue
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        queue: Option<String>,
        /// All queues; on Redis this also stops Ruby's workers
        #[arg(long)]
        all: bool,
        /// The queue may be one that does not exist so far: its first job waits
        #[arg(long, requires = "queue")]
        new: bool,
    },
    /// Claim from a queue again
    #[command(after_help = "Examples:\n  windlass queues resume mail\n  \
                            windlass queues resume --all")]
    Resume {
        /// The queue
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        queue: Option<String>,
        /// All queues, except those that were paused one by one
        #[arg(long)]
        all: bool,
    },
    /// Give a queue whose name is no text (UTF-8) one that is: its jobs, which nobody claims, go to the end of that queue
    #[command(after_help = "Example:\n  windlass queues rename $'caf\\351' café")]
    Rename {
        /// Its name, as windlass queues writes it
        #[arg(value_name = "QUEUE")]
        queue: std::ffi::OsString,
        /// The new name; a queue of this name may exist
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Delete a queue with its jobs; its pause stays
    #[command(after_help = "Example:\n  windlass queues delete mail")]
    Delete {
        /// The queue
        queue: String,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
}

/// `explain ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum ExplainVerb {
    /// Why the jobs of a queue are not claimed
    #[command(after_help = "Example:\n  windlass explain queue mail")]
    Queue {
        /// The queue
        queue: String,
    },
    /// How a task stands: who has it, what runs, what failed lately
    #[command(after_help = "Example:\n  windlass explain task resize")]
    Task {
        /// The task
        task: String,
    },
    /// Where a job is, and what it waits for
    #[command(after_help = "Examples:\n  windlass explain job 5c0b9a1e-0-17-3\n  \
                            windlass explain job --task add --args '[1,2]'")]
    Job {
        /// Its id, if it runs or has failed, or the claim of its run
        #[arg(required_unless_present = "of_task", conflicts_with_all = ["of_task", "args", "arg", "of_queue"])]
        id: Option<String>,
        /// The task of a job that its arguments name
        #[arg(long = "task", id = "of_task", value_name = "T")]
        task: Option<String>,
        /// The queue, if it is not the task's own
        #[arg(long = "queue", id = "of_queue", value_name = "Q")]
        queue: Option<String>,
        #[command(flatten)]
        args: JobArgs,
    },
    /// Why a job failed, and whether a retry would run
    #[command(after_help = "Examples:\n  windlass explain failed 0a1b2c3d4e5f\n  \
                            windlass explain failed -1     # the newest")]
    Failed {
        /// Its id or position in the list, or the job's id
        #[arg(value_name = "ID", allow_negative_numbers = true)]
        address: String,
    },
    /// Why a periodic task or a [[schedule]] does not run
    #[command(after_help = "Examples:\n  windlass explain schedule cleanUp\n  \
                            windlass explain schedule report/weekly")]
    Schedule {
        /// The task, or the id of a schedule
        name: String,
    },
}

/// `delayed`, `delayed list`.
#[derive(Debug, ClapArgs)]
pub(crate) struct DelayedListArgs {
    /// Only jobs that are due at this time
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub at: Option<TimeArg>,
    /// The zone of the clocks that --at is read from, if it is not the one here
    #[arg(long, value_name = "ZONE", value_parser = value::zone, requires = "at")]
    pub zone: Option<NamedZone>,
    /// Show at most N
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = value::limit)]
    pub limit: usize,
}

/// `delayed ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum DelayedVerb {
    /// List delayed jobs, the first due first
    #[command(after_help = "Examples:\n  windlass delayed list --limit 20\n  \
                            windlass delayed list --at \"tomorrow 10:00\"")]
    List(DelayedListArgs),
    /// List the times at which jobs are due
    #[command(after_help = "Example:\n  windlass delayed timestamps")]
    Timestamps {
        /// How many times at most
        #[arg(long, value_name = "N", default_value_t = LISTED, value_parser = value::limit)]
        limit: usize,
    },
    /// Show when a job is due
    #[command(after_help = by_args("Examples:\n  windlass delayed find add --args '[1,2]'\n  \
                            windlass delayed find add --queue math --any-args"))]
    Find(NamedJobArgs),
    /// Run jobs now instead of at their time: they are due at once
    #[command(after_help = by_args("Examples:\n  windlass delayed run add --args '[1,2]'\n  \
                            windlass delayed run --task add\n  \
                            windlass delayed run --queue math --yes"))]
    Run(DelayedSelectArgs),
    /// Move jobs to another time
    #[command(after_help = by_args("Examples:\n  windlass delayed move --task add --to \"tomorrow 10:00\"\n  \
                            windlass delayed move --at @1795490778 --to 2026-12-01T08:00:00Z"))]
    Move {
        #[command(flatten)]
        select: DelayedSelectArgs,
        /// The new time; also as clocks show it: "tomorrow 10:00", "2026-12-24 08:00"
        #[arg(long, value_name = "TIME", value_parser = value::time)]
        to: TimeArg,
    },
    /// Delete a job at all times at which it is due, or all of a task, a queue or a time
    #[command(after_help = by_args("Examples:\n  windlass delayed delete add --args '[1,2]'\n  \
                            windlass delayed delete --task add --queue math"))]
    Delete(DelayedSelectArgs),
}

/// Which delayed jobs: a job by its arguments, or all that match.
#[derive(Debug, ClapArgs)]
pub(crate) struct DelayedSelectArgs {
    /// The task of a job that its arguments name
    #[arg(value_name = "TASK", required_unless_present_any = ["all_of", "at", "queue"])]
    pub task: Option<String>,
    /// All jobs of this task, with any arguments
    #[arg(long = "task", id = "all_of", value_name = "T", conflicts_with_all = ["task", "args", "arg"])]
    pub all_of: Option<String>,
    #[command(flatten)]
    pub args: JobArgs,
    /// With TASK: jobs with any arguments
    #[arg(long, conflicts_with_all = ["args", "arg", "all_of"])]
    pub any_args: bool,
    /// Only jobs of this queue; with TASK its queue, if it is not the task's own
    #[arg(long, value_name = "Q")]
    pub queue: Option<String>,
    /// Only those that are due at this time
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub at: Option<TimeArg>,
    /// The zone of the clocks that times are read from, if it is not the one here
    #[arg(long, value_name = "ZONE", value_parser = value::zone)]
    pub zone: Option<NamedZone>,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
}

/// `jobs ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsVerb {
    /// List the jobs that run now
    #[command(after_help = "Examples:\n  windlass jobs list\n  \
                            windlass jobs list --task resize")]
    List(JobsListArgs),
    /// End a run: TERM, after the grace KILL. Its job fails as cancelled and is not run again
    #[command(
        after_help = "Examples:\n  windlass jobs cancel 5c0b9a1e-0-17-3\n  windlass jobs cancel --task resize --running\n  \
                            windlass jobs cancel --task resize --yes"
    )]
    Cancel(JobsCancelArgs),
    /// Delete jobs from a queue, by their arguments or all of a task
    #[command(after_help = by_args("Examples:\n  windlass jobs delete add --args '[1,2]'\n  \
                            windlass jobs delete add --queue math --any-args"))]
    Delete(JobsDeleteArgs),
    /// Print what a job writes, on whichever machine it runs, or what is left of it; without ID list what this machine keeps
    #[command(
        after_help = "What a job has written is on this machine if its task has output = \"file\"; what a running job writes is \
                            shown by its instance; of failed jobs, and of runs that their task keeps (keep_runs), the last lines are \
                            left.\n\nThe ID is that of the job, its first 8 letters or more, the claim of a run, or the id of its \
                            failure.\n\nWith --follow a job that is run again is followed through all its attempts; the exit code is \
                            0 if the job is done at last, 1 if it failed.\n\nExamples:\n  windlass jobs list\n  \
                            windlass jobs output 5c0b9a1e-0-17-3 --follow"
    )]
    Output(JobsOutputArgs),
    /// Print what a job led to, if its task keeps that (keep_results) or it is tracked (enqueue --track)
    #[command(
        after_help = "The exit code is 0 if the job is done, that of its program if that failed, 1 if it failed otherwise or has not \
                            ended, 2 if nothing is known of it, 124 if it has not ended in time.\n\nExamples:\n  \
                            windlass jobs result track-5c0b9a1e77aa01ff --wait\n  windlass jobs result 5c0b9a1e-0-17-3 --wait=10m"
    )]
    Result(JobsResultArgs),
}

/// `jobs result`.
#[derive(Debug, ClapArgs)]
pub(crate) struct JobsResultArgs {
    /// The job's id
    pub id: String,
    /// Wait until it has ended; at most for this long
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = value::wait)]
    pub wait: Option<Option<std::time::Duration>>,
}

/// `jobs`, `jobs list`.
#[derive(Debug, ClapArgs)]
pub(crate) struct JobsListArgs {
    /// Only jobs of this task
    #[arg(long, value_name = "T")]
    pub task: Option<String>,
    /// How many jobs at most
    #[arg(long, value_name = "N", default_value_t = LISTED, value_parser = value::limit)]
    pub limit: usize,
    /// Ask what their processes use: memory and processor time, which takes a few seconds
    #[arg(long)]
    pub usage: bool,
}

impl Default for JobsListArgs {
    fn default() -> Self {
        Self { task: None, limit: LISTED, usage: false }
    }
}

/// `jobs cancel`.
#[derive(Debug, ClapArgs)]
pub(crate) struct JobsCancelArgs {
    /// The ids of jobs that run, or claims of their runs
    #[arg(value_name = "ID", required_unless_present = "task", conflicts_with = "task")]
    pub ids: Vec<String>,
    /// All runs of this task; its jobs that are queued or delayed are deleted
    #[arg(long, value_name = "T")]
    pub task: Option<String>,
    /// With --task: only end runs, and leave what waits
    #[arg(long, requires = "task", conflicts_with = "queue")]
    pub running: bool,
    /// With --task: the queue whose waiting jobs are deleted, if it is not the task's own
    #[arg(long, value_name = "Q", requires = "task")]
    pub queue: Option<String>,
    /// For how long to wait until the runs have ended
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = value::wait)]
    pub wait: std::time::Duration,
    /// Do not wait until the runs have ended
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
    /// With --task: do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
}

/// `jobs output`.
#[derive(Debug, ClapArgs)]
pub(crate) struct JobsOutputArgs {
    /// The job's id
    pub id: Option<String>,
    /// Of which run; otherwise of the last
    #[arg(long, value_name = "CLAIM", requires = "id")]
    pub claim: Option<String>,
    /// Go on until the job has ended, through all its attempts
    #[arg(long, short, requires = "id")]
    pub follow: bool,
    /// How many runs are listed at most, the newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value::limit, conflicts_with = "id")]
    pub limit: usize,
}

/// `jobs delete`.
#[derive(Debug, ClapArgs)]
pub(crate) struct JobsDeleteArgs {
    #[command(flatten)]
    pub job: NamedJobArgs,
    /// With --any-args: do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
    /// Delete at most N, from the head; negative: from the tail; 0: all
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, conflicts_with = "any_args")]
    pub count: i64,
    /// With --any-args: the first position that is looked at
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true, requires = "any_args")]
    pub start: i64,
    /// With --any-args: the last position that is looked at
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true, requires = "any_args")]
    pub stop: i64,
}

/// `locks ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum LocksVerb {
    /// List the locks that are held
    #[command(after_help = "Example:\n  windlass locks list")]
    List {
        /// How many locks at most
        #[arg(long, value_name = "N", default_value_t = LISTED, value_parser = value::limit)]
        limit: usize,
    },
    /// Free a lock
    #[command(after_help = "Example:\n  windlass locks delete 'lock:add:math:[1,2]'")]
    Delete {
        /// The lock's key, as the listing shows it
        name: String,
    },
}

/// `periodic ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum PeriodicVerb {
    /// List periodic tasks and schedules, when they are due and their state
    #[command(after_help = "Example:\n  windlass periodic list")]
    List {
        /// How many tasks that are not defined here at most
        #[arg(long, value_name = "N", default_value_t = LISTED, value_parser = value::limit)]
        limit: usize,
    },
    /// Start a task that was stopped, and enqueue its job if it is missing; or a schedule, which goes on from now
    #[command(after_help = "Example:\n  windlass periodic start cleanUp")]
    Start {
        /// The task, or the id of a schedule
        task: String,
    },
    /// Stop a task or a schedule on all instances, also after restarts, until it is started
    #[command(after_help = "Examples:\n  windlass periodic stop cleanUp\n  \
                            windlass periodic stop report/weekly")]
    Stop {
        /// The task, or the id of a schedule
        task: String,
    },
    /// Run a task once now, or the job of a schedule, in addition to its schedule
    #[command(after_help = "Example:\n  windlass periodic run cleanUp")]
    Run {
        /// The task, or the id of a schedule
        task: String,
    },
}

/// `store ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreVerb {
    /// Move queued, delayed and failed jobs and the periodic tasks to another store
    #[command(after_help = "Example:\n  windlass store copy sqlite:windlass.db redis://localhost:6379\n\n\
                            First stop the daemons of the first store. It is emptied, so that no job runs twice.\n\
                            If the command is interrupted, repeat it: it continues where it stopped. Or put back\n\
                            what it had set aside:\n  windlass store copy --undo sqlite:windlass.db redis://localhost:6379")]
    Copy(CopyArgs),
}

/// `store copy`.
#[derive(Debug, ClapArgs)]
pub(crate) struct CopyArgs {
    /// The store that is emptied
    pub from: String,
    /// The store that is filled
    #[arg(required_unless_present = "undo")]
    pub to: Option<String>,
    /// The first store's namespace, if it is not the configuration's
    #[arg(long, value_name = "NS")]
    pub from_namespace: Option<String>,
    /// The other store's namespace, if it is not the configuration's
    #[arg(long, value_name = "NS")]
    pub to_namespace: Option<String>,
    /// Put back what an interrupted copy has set aside in the first store. Leave out the other store if it is lost
    #[arg(long)]
    pub undo: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
}

/// `tasks ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum TasksVerb {
    /// List the tasks
    #[command(after_help = "Example:\n  windlass tasks list")]
    List,
    /// Show a task
    #[command(after_help = "Example:\n  windlass tasks show sendMail")]
    Show {
        /// The task's name
        name: String,
    },
    /// Show the last finished runs of a task, the newest first
    #[command(after_help = "Examples:\n  windlass tasks runs cleanUp\n  \
                            windlass tasks runs cleanUp --last 5")]
    Runs {
        /// The task's name, or the id of a schedule
        name: String,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = value::limit)]
        last: usize,
    },
}

/// `workers ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkersVerb {
    /// List workers and their jobs
    #[command(after_help = "Example:\n  windlass workers list")]
    List {
        /// How many workers at most
        #[arg(long, value_name = "N", default_value_t = LISTED, value_parser = value::limit)]
        limit: usize,
    },
    /// Show a worker
    #[command(after_help = "Example:\n  windlass workers show web-1-windlass:4711+1")]
    Show {
        /// Its name (host:pid+n) or id (host:pid+n:queues)
        name: String,
    },
    /// Remove workers that have worked on one job for too long; their jobs fail
    #[command(after_help = "Example:\n  windlass workers clean --older-than 2h")]
    Clean {
        /// The age of a worker's job from which it is removed: 2h, 1day
        #[arg(long, value_name = "DURATION", value_parser = value::age)]
        older_than: i64,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Remove a worker that is gone; its job fails
    #[command(after_help = "Example:\n  windlass workers force-clean web-1-windlass:4711+1")]
    ForceClean {
        /// Its name (host:pid+n) or id (host:pid+n:queues)
        name: String,
        /// Do not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
}
