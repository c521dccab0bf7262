//! What follows `failed`.

use clap::{Args as ClapArgs, Subcommand};

/// `failed`, `failed list`.
#[derive(Debug, ClapArgs)]
pub(crate) struct FailedListArgs {
    /// The first position, the oldest is 0; negative ones count from the end
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub start: i64,
    /// The last position
    #[arg(long, value_name = "N", default_value_t = 99, allow_negative_numbers = true)]
    pub stop: i64,
}

/// `failed ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum FailedVerb {
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
    /// Put back what workers left behind that vanished or were cleaned away
    RetryStuck,
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
        /// Where jobs go whose record and payload name no queue
        #[arg(long, value_name = "Q")]
        queue: Option<String>,
    },
}
