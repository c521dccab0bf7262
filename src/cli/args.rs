//! The arguments of the command line. They are a public contract: extend them without breaking it.
//!
//! This file has the commands; the arguments of each are in `args/`.

pub(super) mod failed;
pub(super) mod generate;
pub(super) mod job;
pub(super) mod shown;
pub(super) mod verbs;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(super) use failed::{FailedListArgs, FailedVerb};
pub(super) use generate::{CompletedShell, GenerateVerb};
pub(super) use job::{EnqueueArgs, NamedJobArgs, PerformArgs};
pub(super) use shown::ShownArgs;
#[cfg(feature = "web")]
pub(super) use verbs::DashboardArgs;
pub(super) use verbs::{
    AuditArgs, CheckArgs, DelayedListArgs, DelayedVerb, ExplainVerb, HistoryArgs, HistoryBy, HistoryWindow,
    JobsCancelArgs, JobsDeleteArgs, JobsListArgs, JobsOutputArgs, JobsResultArgs, JobsVerb, LISTED, LeaderArgs,
    LocksVerb, PeriodicVerb, PlanArgs, QueuesVerb, RunArgs, StoreVerb, TasksVerb, WorkersVerb,
};

const EXAMPLES: &str = "\
Examples:
  windlass run                  # the daemon: scheduler and worker pool
  windlass check                # validate the configuration and the tasks
  windlass enqueue sendMail --args '{\"to\":\"ann\"}'
  windlass failed retry --all

Times are RFC 3339 (2026-11-24T03:26:18Z), milliseconds (1795490778000), @seconds (@1795490778), or as clocks show them
here or in a --zone: \"tomorrow 10:00\", \"2026-12-24 08:00\", \"fri 9:30\", 18:00.
Exit codes: 0 done, 1 failure, 2 nothing to explain, 64 usage or configuration, 69 store unavailable, 74 done but not
written.";

/// Background jobs, Resque-compatible: a daemon, and the commands around it. Without a command: run.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, after_help = EXAMPLES, max_term_width = 120)]
pub(super) struct Cli {
    /// The configuration file. Without it: $WINDLASS_CONFIG, else ./config/tasks.toml, else
    /// /etc/windlass/config/tasks.toml, else /etc/windlass/tasks.toml
    #[arg(long, global = true, display_order = 900, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The store, instead of the configuration's: sqlite:PATH, redis://HOST:PORT/DB, rediss://HOST,
    /// redis+unix:///PATH, redis-sentinel://HOST,HOST/SERVICE, redis-cluster://HOST,HOST
    #[arg(long, global = true, display_order = 900, value_name = "URL")]
    pub store: Option<String>,
    /// Print one JSON document
    #[arg(long, global = true, display_order = 900)]
    pub json: bool,
    /// How results are shown.
    #[command(flatten)]
    pub shown: ShownArgs,
    /// The command; without one: run.
    #[command(subcommand)]
    pub command: Option<CliCommand>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum CliCommand {
    /// Run the daemon until a signal drains it
    #[command(after_help = "Examples:\n  windlass run\n  windlass run --queues critical,'mail_*' --min 2 --max 8\n  \
                            windlass run --min 0 --max 0            # a scheduler without workers")]
    Run(RunArgs),
    /// Enqueue a job, to run now or later
    #[command(after_help = "Examples:\n  windlass enqueue sendMail --args '{\"to\":\"ann\"}'\n  \
                            windlass enqueue add --arg 1 --arg 2\n  \
                            windlass enqueue report --in 10m\n  \
                            windlass enqueue report --at 2026-12-24T18:00:00Z --suppress-duplicate\n  \
                            windlass enqueue report --at \"tomorrow 10:00\" --zone Europe/Berlin\n  \
                            windlass enqueue import --args @rows.json\n  \
                            windlass enqueue RubyJob --foreign --queue ruby --args '[1]'\n  \
                            printf '%s\\n' '{\"task\":\"add\",\"args\":[1,2]}' | windlass enqueue --bulk -\n\n\
                            If a plugin of the task refuses the job, that is no error: the exit code is 0 (1 with\n\
                            --fail-if-refused), and the output names the plugin, and the lock with its end. With --bulk every line is checked first; if one is wrong,\n\
                            nothing is enqueued.")]
    Enqueue(EnqueueArgs),
    /// Serve the API, health and metrics beside any fleet, without a worker
    #[cfg(feature = "web")]
    #[command(after_help = "Examples:\n  windlass dashboard --store redis://127.0.0.1:6379\n  \
                            windlass dashboard --listen 127.0.0.1:8080 --read-only\n\n\
                            It listens at 127.0.0.1:7480 unless [http] in the configuration says otherwise, and ends with a signal.\n\
                            To let other machines in, set a token under [http].")]
    Dashboard(DashboardArgs),
    /// Run a task here and now, without a store, and show its output
    #[command(after_help = "Example:\n  windlass perform sendMail --args '{\"to\":\"ann\"}'\n\n\
                            The task's output goes to stderr, its outcome to stdout. Exit code 1 if it failed.")]
    Perform(PerformArgs),
    /// List the tasks, or show one
    #[command(after_help = "Examples:\n  windlass tasks\n  windlass tasks show sendMail")]
    Tasks {
        /// The verb; without one: list.
        #[command(subcommand)]
        verb: Option<TasksVerb>,
    },
    /// Check the configuration and all tasks, without running anything
    #[command(after_help = "Examples:\n  windlass check\n  windlass check --config /etc/windlass/tasks.toml\n\n\
                      Prints every problem of every file, and the settings in use. Exit code 64 if there is a problem \
                      with which a daemon would neither start nor reload.")]
    Check(CheckArgs),
    /// Write a task file or a configuration to start from
    #[command(after_help = "Examples:\n  windlass generate config\n  windlass generate task sendMail --queue mail\n  \
                            windlass generate task cleanUp --schedule '30 3 * * *'")]
    Generate {
        /// The verb.
        #[command(subcommand)]
        verb: GenerateVerb,
    },
    /// List queues; show, pause, resume or delete one
    #[command(after_help = "Examples:\n  windlass queues\n  windlass queues show mail --start 0 --stop 9\n  \
                            windlass queues delete mail --yes")]
    Queues {
        /// The verb; without one: list.
        #[command(subcommand)]
        verb: Option<QueuesVerb>,
    },
    /// List jobs that run; cancel them, show their output, delete queued ones
    #[command(after_help = "Examples:\n  windlass jobs\n  windlass jobs cancel 5c0b9a1e-0-17-3\n  \
                            windlass jobs delete add --queue math --args '[1,2]'\n  \
                            windlass jobs delete add --queue math --any-args")]
    Jobs {
        /// The verb; without one: list.
        #[command(subcommand)]
        verb: Option<JobsVerb>,
    },
    /// List delayed jobs; find them, run them now, move or delete them
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  windlass delayed\n  windlass delayed --at @1795490778\n  windlass delayed timestamps\n  \
                      windlass delayed find add --queue math --args '[1,2]'\n  \
                      windlass delayed delete add --queue math --args '[1,2]'\n  \
                      windlass delayed run --task add\n  \
                      windlass delayed move --task add --to \"tomorrow 10:00\""
    )]
    Delayed {
        /// The verb; without one: list.
        #[command(subcommand)]
        verb: Option<DelayedVerb>,
        /// The options of the list.
        #[command(flatten)]
        list: DelayedListArgs,
    },
    /// List periodic tasks; start, stop or run one
    #[command(after_help = "Examples:\n  windlass periodic\n  windlass periodic stop cleanUp\n  \
                            windlass periodic start cleanUp\n  windlass periodic run cleanUp\n\n\
                            A stopped task stays stopped on all instances and over restarts until it is started.")]
    Periodic {
        /// The verb; without one: list.
        #[command(subcommand)]
        verb: Option<PeriodicVerb>,
    },
    /// Show which jobs will run within the next hours
    #[command(after_help = "Examples:\n  windlass plan --hours 24\n  windlass plan --task report --json\n\n\
                            Shows runs of periodic tasks and schedules, and delayed jobs. Jobs that are already on a\n\
                            queue are not shown.")]
    Plan(PlanArgs),
    /// List failed jobs; show, retry or remove them
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  windlass failed\n  windlass failed show 3f9a01c2d4e5\n  windlass failed show -1\n  \
                      windlass failed retry 3f9a01c2d4e5\n  windlass failed retry --task sendMail\n  \
                      windlass failed --task sendMail --error timeout --since 2h\n  \
                      windlass failed remove --all --yes\n\n\
                      Name a failed job by its id, or by its position. Positions change when other jobs are removed."
    )]
    Failed {
        /// The verb; without one: list.
        #[command(subcommand)]
        verb: Option<FailedVerb>,
        /// The options of the list.
        #[command(flatten)]
        list: FailedListArgs,
    },
    /// Show who changed what: the last changes by commands and over HTTP, the newest first
    #[command(after_help = "Examples:\n  windlass audit\n  windlass audit --limit 1000 --json")]
    Audit(AuditArgs),
    /// List the workers of all programs; show or remove one
    #[command(after_help = "Examples:\n  windlass workers\n  windlass workers show web-1-windlass:4711+1\n  \
                            windlass workers force-clean web-1-windlass:4711+1 --yes")]
    Workers {
        /// The verb; without one: list.
        #[command(subcommand)]
        verb: Option<WorkersVerb>,
    },
    /// List the locks that plugins hold; free one
    #[command(after_help = "Examples:\n  windlass locks\n  windlass locks delete 'lock:add:math:[1,2]'")]
    Locks {
        /// The verb; without one: list.
        #[command(subcommand)]
        verb: Option<LocksVerb>,
    },
    /// Move all jobs from one store to another
    #[command(after_help = "Example:\n  windlass store copy sqlite:windlass.db redis://localhost:6379")]
    Store {
        /// The verb.
        #[command(subcommand)]
        verb: StoreVerb,
    },
    /// Show what ran: how jobs ended, and how long they took
    #[command(after_help = "Examples:\n  windlass history\n  windlass history --task sendMail --window 24h\n  \
                            windlass history --by task --window 30d --json\n\n\
                            Instances hand over what ran every few seconds. Times in which nothing ran are left out.")]
    History(HistoryArgs),
    /// Show how many jobs succeeded and failed
    #[command(after_help = "Examples:\n  windlass stats\n  windlass stats --json")]
    Stats,
    /// Show queues, workers, counters and the leader
    #[command(after_help = "Examples:\n  windlass details\n  windlass details --json")]
    Details,
    /// Show whether the instances on this machine work
    #[command(after_help = "Examples:\n  windlass health\n  windlass health --json\n\n\
                            Exit code 0 if there is an instance on this machine and each extends its lease, 1 if not, 69 if the\n\
                            store cannot be reached. Takes up to a lease ([store] lease, 15 s); mostly a third of it.")]
    Health,
    /// Tell why something does not run; without a subject, tell what needs attention
    #[command(
        after_help = "Examples:\n  windlass explain\n  windlass explain queue mail\n  windlass explain task resize\n  \
                            windlass explain job 5c0b9a1e-0-17-3\n  windlass explain job --task add --args '[1,2]'\n  \
                            windlass explain failed 0a1b2c3d4e5f\n  windlass explain schedule report/weekly\n\n\
                            It ends with 0 if nothing stands in the way, with 1 if something does, with 2 if there is no such \
                            thing."
    )]
    Explain {
        /// The subject.
        #[command(subcommand)]
        verb: Option<ExplainVerb>,
    },
    /// Print what a shell needs to complete commands and options
    #[command(after_help = "Examples:\n  windlass completions bash > /etc/bash_completion.d/windlass\n  \
                            windlass completions zsh > /usr/local/share/zsh/site-functions/_windlass\n  \
                            windlass completions fish > ~/.config/fish/completions/windlass.fish")]
    Completions {
        /// The shell
        shell: CompletedShell,
    },
    /// Write a manual page for each command into a folder
    #[command(after_help = "Example:\n  windlass man /usr/local/share/man/man1")]
    Man {
        /// The folder
        folder: PathBuf,
    },
    /// Show the leader: the scheduler that moves due jobs to their queues
    #[command(after_help = "Example of a cron job that should run on one host only:\n  \
                            windlass leader --check && ./nightly")]
    Leader(LeaderArgs),
}

impl CliCommand {
    /// Does it only look, so that it can be repeated?
    pub(super) fn looks(&self) -> bool {
        let asks = matches!(
            self,
            Self::Run(_) | Self::Perform(_) | Self::Generate { .. } | Self::Store { .. } | Self::Check(_)
        ) || matches!(
            self,
            Self::Completions { .. }
                | Self::Man { .. }
                | Self::Jobs { verb: Some(JobsVerb::Output(_)) }
                | Self::Failed { verb: Some(FailedVerb::Export { .. }), .. }
        );
        !asks && !self.changes()
    }

    /// Does it what a daemon does, or starts its tasks?
    pub(super) fn acts_as_daemon(&self) -> bool {
        #[cfg(feature = "web")]
        if matches!(self, Self::Dashboard(_)) {
            return true;
        }
        matches!(self, Self::Run(_) | Self::Perform(_))
    }

    /// The tables of the configuration that it needs, besides the store and the tasks.
    pub(super) fn tables(&self) -> &'static [&'static str] {
        match self {
            Self::Jobs { verb: Some(JobsVerb::Output(_)) } => &["output"],
            _ => &[],
        }
    }

    /// Is it written down who did it? Jobs that are put in are not: they are no changes to what is there.
    pub(super) fn is_audited(&self) -> bool {
        self.changes() && !matches!(self, Self::Enqueue(_))
    }

    /// Does it change a store? A copy between stores tells its outcome itself.
    pub(super) fn changes(&self) -> bool {
        match self {
            Self::Enqueue(_) | Self::Jobs { verb: Some(JobsVerb::Delete(_) | JobsVerb::Cancel(_)) } => true,
            Self::Queues { verb } => {
                matches!(
                    verb,
                    Some(
                        QueuesVerb::Pause { .. }
                            | QueuesVerb::Resume { .. }
                            | QueuesVerb::Delete { .. }
                            | QueuesVerb::Rename { .. }
                    )
                )
            }
            Self::Delayed { verb, .. } => {
                matches!(verb, Some(DelayedVerb::Delete(_) | DelayedVerb::Run(_) | DelayedVerb::Move { .. }))
            }
            Self::Periodic { verb } => {
                matches!(verb, Some(PeriodicVerb::Start { .. } | PeriodicVerb::Stop { .. } | PeriodicVerb::Run { .. }))
            }
            Self::Failed { verb, .. } => {
                matches!(
                    verb,
                    Some(
                        FailedVerb::Remove { .. }
                            | FailedVerb::RetryStuck
                            | FailedVerb::Retry(_)
                            | FailedVerb::Import { .. }
                    )
                )
            }
            Self::Workers { verb } => {
                matches!(verb, Some(WorkersVerb::Clean { .. } | WorkersVerb::ForceClean { .. }))
            }
            Self::Locks { verb } => matches!(verb, Some(LocksVerb::Delete { .. })),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
