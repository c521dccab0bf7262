//! The options of a daemon, and why it does not start.

use std::sync::Arc;

use super::extensions::Extensions;
use crate::config::error::Problems;
use crate::config::load::Sources;

/// The options of the command line.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RunOptions {
    /// Where the configuration comes from.
    pub sources: Sources,
    /// `--queues`.
    pub queues: Option<Vec<String>>,
    /// `--min`.
    pub min: Option<usize>,
    /// `--max`.
    pub max: Option<usize>,
    /// `--scheduler`.
    pub scheduler: Option<bool>,
    /// `--skip-broken-tasks`.
    pub skip_broken_tasks: bool,
    /// `--replace`.
    pub replace: Option<Replace>,
    /// What the program adds to the daemon.
    pub extensions: Arc<Extensions>,
}

/// Which daemon is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Replace {
    /// The one of the same configuration, if one runs here.
    Same,
    /// That of this process, or below this process.
    Pid(u32),
}

/// Why a daemon does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// Configuration or tasks are wrong.
    #[error("{0}")]
    Configuration(#[from] Problems),
    /// The store cannot be used.
    #[error("failed to {0}")]
    Store(#[from] crate::store::StoreError),
    /// An address of `[http]` cannot be had.
    #[cfg(feature = "web")]
    #[error("failed to {0}")]
    Listen(#[from] crate::http::BindError),
    /// It is not certain which daemon it replaces.
    #[error("{0}")]
    Replace(String),
    /// The system refused something.
    #[error("failed to {doing}: {error}")]
    System {
        /// What was to be done.
        doing: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
}
