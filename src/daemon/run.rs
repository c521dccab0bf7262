//! `windlass run`: the parent and the daemon proper.

use std::process::ExitCode;
use std::sync::Arc;

use super::assemble::assemble;
use super::extensions::Extensions;
use super::{lifecycle, supervisor};
use crate::config::error::Problems;
use crate::config::load::Sources;

/// What the command line says.
#[derive(Debug, Clone, Default)]
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
    /// What the program adds.
    pub extensions: Arc<Extensions>,
}

/// Why a daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Configuration or tasks are wrong.
    #[error("{0}")]
    Configuration(#[from] Problems),
    /// The store is not one we can work with.
    #[error("failed to {0}")]
    Store(#[from] crate::store::StoreError),
    /// The system refused something.
    #[error("failed to {doing}: {error}")]
    System {
        /// What was to be done.
        doing: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Runs the daemon until a signal drains it.
///
/// Called twice over: the process that the user started becomes the small parent, which starts
/// this again as the daemon proper and outlives it only to clean up.
///
/// # Errors
/// Says why the daemon does not start.
pub fn run(options: &RunOptions) -> Result<ExitCode, RunError> {
    if !supervisor::is_supervised() {
        return Ok(supervisor::supervise());
    }
    lifecycle::run(assemble(options)?)
}
