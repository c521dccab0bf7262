//! What is done to all that match: counted first, asked for, and stopped by Ctrl-C between two steps.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::admin::brake::Brake;
use crate::cli::args::failed::FailedBulkArgs;
use crate::cli::exit::CliError;
use crate::cli::output::confirm;
use crate::text::count::counted;

/// The exit code of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Is so many what was expected, and does the person agree? False: only the number was asked for.
///
/// # Errors
/// If it was not expected, or there is no yes.
pub(super) fn agreed(what: &str, count: u64, bulk: &FailedBulkArgs) -> Result<bool, CliError> {
    if let Some(expected) = bulk.expect.filter(|expected| count.abs_diff(*expected) > expected / 20) {
        let found = counted(count, "job matches", "jobs match");
        return Err(CliError::Failed(format!("{found}, and {expected} were expected; nothing was changed")));
    }
    if bulk.dry_run {
        return Ok(false);
    }
    // A script asks for the same whether there is something today or not.
    if count > 0 || !io::stdin().is_terminal() {
        confirm(&format!("{what} {}?", counted(count, "failed job", "failed jobs")), bulk.yes)?;
    }
    Ok(true)
}

/// From now on Ctrl-C asks to stop; the second one ends the program.
///
/// # Errors
/// If the signal cannot be listened for.
pub(super) fn stopped_by_signal() -> Result<Brake, CliError> {
    let brake = Brake::default();
    let listen = || {
        flag::register_conditional_shutdown(SIGINT, INTERRUPTED, Arc::clone(&brake.flag()))?;
        flag::register(SIGINT, brake.flag())
    };
    listen().map_err(|error| CliError::Failed(format!("failed to listen for signals: {error}")))?;
    Ok(brake)
}

/// What is told if it was stopped.
///
/// # Errors
/// It was.
pub(super) fn unless_stopped(brake: &Brake, done: u64, word: &str) -> Result<(), CliError> {
    if brake.is_pulled() {
        let jobs = counted(done, "job was", "jobs were");
        return Err(CliError::Stopped(format!("stopped; {jobs} {word} until then, and the rest stays")));
    }
    Ok(())
}
