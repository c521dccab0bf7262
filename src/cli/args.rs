//! The command line as people write it: a contract, kept or extended without breaking it.
//!
//! Longer than 400 lines because it is one declaration: the whole command line at a glance.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use super::value::{self, TimeArg};
use crate::job::Args;

const EXAMPLES: &str = "\
Examples:
  windlass run                  the daemon: scheduler and worker pool
  windlass check                is everything right?
  windlass enqueue sendMail --args '{\"to\":\"ann\"}'
  windlass failed retry --all

Times are RFC 3339 (2026-11-24T03:26:18Z), milliseconds (1795490778000) or @seconds (@1795490778).
Exit codes: 0 done, 1 failure, 64 usage or configuration, 69 store unavailable.";

/// Background jobs, Resque-compatible: a daemon, and the commands around it. Without a command: run.
#[derive(Debug, Parser)]
#[command(name = "windlass", version, after_help = EXAMPLES, max_term_width = 120)]
pub struct Cli {
    /// The configuration: else $WINDLASS_CONFIG, ./config/tasks.toml or /etc/windlass/tasks.toml
    #[arg(long, global = true, display_order = 900, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The store, whatever the configuration says: sqlite:PATH, redis://HOST:PORT/DB, redis+unix://PATH
    #[arg(long, global = true, display_order = 900, value_name = "URL")]
    pub store: Option<String>,
    /// Answer with one JSON document
    #[arg(long, global = true, display_order = 900)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon until a signal drains it
    #[command(after_help = "Examples:\n  windlass run\n  windlass run --queues critical,'mail_*' --min 2 --max 8\n  \
                            windlass run --min 0 --max 0            a scheduler without workers")]
    Run(RunArgs),
    /// Have a job run, now or later
    #[command(after_help = "Examples:\n  windlass enqueue sendMail --args '{\"to\":\"ann\"}'\n  \
                            windlass enqueue add --arg 1 --arg 2\n  \
                            windlass enqueue report --in 10m\n  \
                            windlass enqueue report --at 2026-12-24T18:00:00Z --suppress-duplicate\n  \
                            windlass enqueue RubyJob --foreign --queue ruby --args '[1]'\n  \
                            printf '%s\\n' '{\"task\":\"add\",\"args\":[1,2]}' | windlass enqueue --bulk -\n\n\
                            A job that a plugin of its task refuses is no error: the exit code is 0, and the answer\n\
                            names the plugin. With --bulk every line is checked first; if one is wrong, nothing is\n\
                            enqueued.")]
    Enqueue(EnqueueArgs),
    /// Run a task here and now, without a store, and show its output
    #[command(after_help = "Example:\n  windlass perform sendMail --args '{\"to\":\"ann\"}'\n\n\
                            The task's output goes to stderr, its outcome to stdout. Exit code 1 if it failed.")]
    Perform(PerformArgs),
    /// The tasks, as their files define them
    #[command(after_help = "Examples:\n  windlass tasks\n  windlass tasks show sendMail")]
    Tasks {
        /// Which.
        #[command(subcommand)]
        verb: Option<TasksVerb>,
    },
    /// Check the configuration and all tasks, without running anything
    #[command(after_help = "Tells every problem of every file, and what was understood. Exit code 64 if there is one.")]
    Check,
    /// Queues: their lengths, their jobs
    #[command(after_help = "Examples:\n  windlass queues\n  windlass queues show mail --start 0 --stop 9\n  \
                            windlass queues delete mail --yes")]
    Queues {
        /// What with them.
        #[command(subcommand)]
        verb: Option<QueuesVerb>,
    },
    /// Delayed jobs: when which are due
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  windlass delayed\n  windlass delayed --at @1795490778\n  windlass delayed timestamps\n  \
                      windlass delayed find add --queue math --args '[1,2]'\n  \
                      windlass delayed delete add --queue math --args '[1,2]'"
    )]
    Delayed {
        /// What with them.
        #[command(subcommand)]
        verb: Option<DelayedVerb>,
        /// Without a verb: list them.
        #[command(flatten)]
        list: DelayedListArgs,
    },
    /// Failed jobs: look, remove, retry
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  windlass failed\n  windlass failed show 3f9a01c2d4e5\n  windlass failed show -1\n  \
                      windlass failed retry 3f9a01c2d4e5\n  windlass failed retry --task sendMail\n  \
                      windlass failed remove --all --yes\n\n\
                      A failed job goes by its id, or by its position, which moves when others are removed."
    )]
    Failed {
        /// What with them.
        #[command(subcommand)]
        verb: Option<FailedVerb>,
        /// Without a verb: list them.
        #[command(flatten)]
        list: FailedListArgs,
    },
    /// Workers, everybody's: what they do
    #[command(after_help = "Examples:\n  windlass workers\n  windlass workers show web-1-windlass:4711+1\n  \
                            windlass workers force-clean web-1-windlass:4711+1 --yes")]
    Workers {
        /// What with them.
        #[command(subcommand)]
        verb: Option<WorkersVerb>,
    },
    /// Locks that plugins hold
    #[command(after_help = "Examples:\n  windlass locks\n  windlass locks delete 'lock:add:math:[1,2]'")]
    Locks {
        /// What with them.
        #[command(subcommand)]
        verb: Option<LocksVerb>,
    },
    /// How many jobs were done and failed
    Stats,
    /// Who leads: which scheduler moves delayed jobs
    #[command(after_help = "Example, for a cron of your own that should run on one host:\n  \
                            windlass leader --check && ./nightly")]
    Leader(LeaderArgs),
}

/// `run`.
#[derive(Debug, Default, ClapArgs)]
pub struct RunArgs {
    /// Queues to work on, in order of priority; globs and !exclusions too
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub queues: Option<Vec<String>>,
    /// Fewest processors
    #[arg(long, value_name = "N")]
    pub min: Option<usize>,
    /// Most processors
    #[arg(long, value_name = "N")]
    pub max: Option<usize>,
    /// Run a scheduler too?
    #[arg(long, value_name = "true|false")]
    pub scheduler: Option<bool>,
}

/// The arguments of a job.
#[derive(Debug, Default, ClapArgs)]
pub struct JobArgs {
    /// All arguments as JSON; anything but an array is one argument
    #[arg(long, value_name = "JSON", value_parser = value::args, allow_hyphen_values = true, conflicts_with = "arg")]
    args: Option<Args>,
    /// One argument as JSON; may be repeated
    #[arg(long, value_name = "JSON", value_parser = value::arg, allow_hyphen_values = true)]
    arg: Vec<String>,
}

impl JobArgs {
    /// The arguments, if anything was said about them.
    #[must_use]
    pub fn get(&self) -> Option<Args> {
        match &self.args {
            Some(args) => Some(args.clone()),
            None if self.arg.is_empty() => None,
            // Each was checked when it was read.
            None => Args::from_json(&format!("[{}]", self.arg.join(","))).ok(),
        }
    }
}

/// `enqueue`.
#[derive(Debug, ClapArgs)]
pub struct EnqueueArgs {
    /// The task
    #[arg(required_unless_present = "bulk")]
    pub task: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "described at its type; a comment here would become help text")]
    pub args: JobArgs,
    /// Another queue than the task's own
    #[arg(long, value_name = "Q")]
    pub queue: Option<String>,
    /// Not before this time
    #[arg(long, value_name = "TIME", value_parser = value::time, conflicts_with_all = ["delay", "front"])]
    pub at: Option<TimeArg>,
    /// Not before so much time has passed: 90s, 10m, 1h 30m, or milliseconds
    #[arg(long = "in", id = "delay", value_name = "DURATION", value_parser = value::delay, conflicts_with = "front")]
    pub delay: Option<i64>,
    /// To the head of the queue
    #[arg(long)]
    pub front: bool,
    /// If the same job is already due at this second, that is no error
    #[arg(long)]
    pub suppress_duplicate: bool,
    /// The task need not be defined here
    #[arg(long)]
    pub foreign: bool,
    /// Jobs from a file (- for stdin), one a line: {"task","args","queue","at"}
    #[arg(long, value_name = "FILE", conflicts_with_all = ["task", "args", "arg", "queue", "at", "delay"])]
    pub bulk: Option<PathBuf>,
}

/// `perform`.
#[derive(Debug, ClapArgs)]
pub struct PerformArgs {
    /// The task
    pub task: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "described at its type; a comment here would become help text")]
    pub args: JobArgs,
}

/// `tasks ...`.
#[derive(Debug, Subcommand)]
pub enum TasksVerb {
    /// All of them
    List,
    /// One of them
    Show {
        /// Its name
        name: String,
    },
}

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

/// `delayed`, `delayed list`.
#[derive(Debug, ClapArgs)]
pub struct DelayedListArgs {
    /// Only those due at this time
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub at: Option<TimeArg>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
}

/// A delayed job, by its content.
#[derive(Debug, ClapArgs)]
pub struct DelayedJobArgs {
    /// The task
    pub task: String,
    /// Its queue; left out: the task's own
    #[arg(long, value_name = "Q")]
    pub queue: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "described at its type; a comment here would become help text")]
    pub args: JobArgs,
}

/// `delayed ...`.
#[derive(Debug, Subcommand)]
pub enum DelayedVerb {
    /// The jobs, the first due first
    List(DelayedListArgs),
    /// The times at which jobs are due
    Timestamps,
    /// When a job is due
    Find(DelayedJobArgs),
    /// Delete a job, wherever it is due
    Delete(DelayedJobArgs),
}

/// `failed`, `failed list`.
#[derive(Debug, ClapArgs)]
pub struct FailedListArgs {
    /// The first position, the oldest is 0; negative ones count from the end
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub start: i64,
    /// The last position
    #[arg(long, value_name = "N", default_value_t = 99, allow_negative_numbers = true)]
    pub stop: i64,
}

/// `failed ...`.
#[derive(Debug, Subcommand)]
pub enum FailedVerb {
    /// The failed jobs, oldest first
    List(FailedListArgs),
    /// How many there are
    Count,
    /// One of them, with its backtrace
    Show {
        /// Its id or position
        #[arg(value_name = "ID", allow_negative_numbers = true)]
        address: String,
    },
    /// Remove one, or all
    Remove {
        /// Its id or position
        #[arg(value_name = "ID", allow_negative_numbers = true, required_unless_present = "all")]
        address: Option<String>,
        /// All of them
        #[arg(long, conflicts_with = "address")]
        all: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Put one back on its queue, or all, or all of a task
    Retry {
        /// Its id or position
        #[arg(value_name = "ID", allow_negative_numbers = true, required_unless_present_any = ["all", "task"])]
        address: Option<String>,
        /// All of them
        #[arg(long, conflicts_with_all = ["address", "task"])]
        all: bool,
        /// All of this task
        #[arg(long, value_name = "T", conflicts_with = "address")]
        task: Option<String>,
    },
}

/// `workers ...`.
#[derive(Debug, Subcommand)]
pub enum WorkersVerb {
    /// All of them and what they do
    List,
    /// One of them
    Show {
        /// Its name (host:pid+n) or id (host:pid+n:queues)
        name: String,
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

/// `locks ...`.
#[derive(Debug, Subcommand)]
pub enum LocksVerb {
    /// All of them
    List,
    /// Free one
    Delete {
        /// Its key, as the listing shows it
        name: String,
    },
}

/// `leader`.
#[derive(Debug, ClapArgs)]
pub struct LeaderArgs {
    /// Exit with 0 if the leader runs on this host, with 1 if not
    #[arg(long)]
    pub check: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("windlass").chain(line.split(' ').filter(|word| !word.is_empty())))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_means_run_and_a_noun_alone_means_list() {
        assert!(parse("--store sqlite:x").unwrap().command.is_none());
        assert!(matches!(parse("queues").unwrap().command, Some(Command::Queues { verb: None })));
        let failed = parse("failed --start -5 --stop -1 --json").unwrap();
        assert!(failed.json);
        assert!(
            matches!(failed.command, Some(Command::Failed { verb: None, list }) if (list.start, list.stop) == (-5, -1))
        );
    }

    #[test]
    fn arguments_are_json() {
        let args = |line: &str| match parse(line).map(|cli| cli.command) {
            Ok(Some(Command::Enqueue(enqueue))) => enqueue.args.get().map(|args| args.as_str().to_owned()),
            other => panic!("{other:?}"),
        };
        assert_eq!(args("enqueue t"), None);
        assert_eq!(args("enqueue t --args -5").as_deref(), Some("[-5]"));
        assert_eq!(args("enqueue t --arg [1] --arg {} --arg -1.0").as_deref(), Some("[[1],{},-1]"));
        for bad in ["enqueue t --args {bad", "enqueue t --arg 1,2", "enqueue t --args 1 --arg 1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for bad in [
            "enqueue",
            "enqueue t --bulk f",
            "enqueue t --at 0 --in 5",
            "enqueue t --front --in 5",
            "enqueue t --at noon",
            "failed retry",
            "failed retry 1 --all",
            "failed remove",
            "failed remove 0 --all",
            "perform",
            "nonsense",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("failed remove -1").is_ok());
        assert!(parse("enqueue --bulk - --front --foreign").is_ok());
    }
}
