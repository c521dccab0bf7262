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
    /// Remove a worker that is gone; its job becomes a failed one
    ForceClean {
        /// Its name (host:pid+n) or id (host:pid+n:queues)
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}
