//! What follows `workers`.

use clap::Subcommand;

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
