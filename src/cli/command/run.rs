//! `run`: the daemon.

use std::process::ExitCode;

use crate::cli::args::RunArgs;
use crate::cli::context::CommandContext;
use crate::cli::exit::CliError;
use crate::daemon::options::{RunError, RunOptions};
use crate::daemon::run::run as daemon;

/// Runs the daemon until a signal drains it.
///
/// # Errors
/// Says why the daemon does not start.
pub(crate) fn run(context: &CommandContext, args: RunArgs) -> Result<ExitCode, CliError> {
    let RunArgs { queues, min, max, scheduler } = args;
    let options = RunOptions {
        sources: context.sources().clone(),
        queues,
        min,
        max,
        scheduler,
        extensions: context.extensions(),
    };
    daemon(&options).map_err(|error| match error {
        RunError::Configuration(problems) => CliError::Problems(problems),
        RunError::Store(error) => match context.config() {
            Ok(loaded) => CliError::Store { url: loaded.config.store.url.to_string(), error },
            Err(_) => CliError::Interrupted { message: format!("failed to {error}"), error },
        },
        RunError::System { .. } => CliError::Failed(error.to_string()),
    })
}
