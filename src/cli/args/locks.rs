//! What follows `locks`.

use clap::Subcommand;

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
