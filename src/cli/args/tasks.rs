//! What follows `tasks`.

use clap::Subcommand;

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
