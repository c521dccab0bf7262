//! `windlass run`: the parent and the daemon proper.

use std::process::ExitCode;

use super::assemble::assemble;
use super::options::{RunError, RunOptions};
use super::{lifecycle, supervisor};
use crate::process::{inherited, status_slot};

/// Runs the daemon until a signal drains it.
///
/// It is called twice: the process that the user started becomes the small parent, which starts this program again as
/// the daemon proper, and cleans up after it.
///
/// # Errors
/// Says why the daemon does not start.
pub fn run(options: &RunOptions) -> Result<ExitCode, RunError> {
    if !supervisor::is_supervised() {
        return Ok(supervisor::supervise(&[], None));
    }
    // A program of the library may come here without a command line.
    inherited::keep_from_programs();
    status_slot::reserve();
    lifecycle::run(assemble(options)?)
}

/// Shows whether this program can take over from one that hands over in this format: it reads configuration and tasks as the
/// daemon does, and starts nothing.
///
/// # Errors
/// Says why it cannot.
pub fn rehearse(options: &RunOptions, format: u32) -> Result<ExitCode, RunError> {
    if format != supervisor::FORMAT {
        let text = format!(
            "this program takes over in format {}, and not in format {format}; restart instead",
            supervisor::FORMAT
        );
        return Err(RunError::Replace(text));
    }
    assemble(options)?;
    Ok(ExitCode::SUCCESS)
}
