//! What follows `store`.

use clap::{Args as ClapArgs, Subcommand};

/// `store ...`.
#[derive(Debug, Subcommand)]
pub enum StoreVerb {
    /// Move everything that waits in one store to another: queues, delayed, failed and periodic
    #[command(after_help = "Example:\n  windlass store copy sqlite:windlass.db redis://localhost:6379\n\n\
                            Stop the daemons of the first store before. It is emptied, so that no job runs twice.\n\
                            Broken off, the same command goes on: nothing is lost, nothing doubled.")]
    Copy(CopyArgs),
}

/// `store copy`.
#[derive(Debug, ClapArgs)]
pub struct CopyArgs {
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
