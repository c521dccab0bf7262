//! Applies the folder, environment, user and limits of a task to a command.

use std::sync::Arc;

use crate::process::Command;
use crate::process::SpawnError;
use crate::task::handler_spec::ProcessSettings;

/// Must be called before the variables of the job are set, so that the task's environment cannot shadow them.
///
/// # Errors
/// Names a file with variables that cannot be read, or that somebody may change who is not trusted.
pub(super) fn apply(command: &mut Command, settings: &ProcessSettings) -> Result<(), SpawnError> {
    command.cwd(&settings.cwd).changed_by(settings.trusted.clone());
    if let Some(confines) = &settings.confines {
        command.confine(Arc::clone(confines));
    }
    if settings.env_clear {
        command.env_clear();
    }
    // A later one replaces an earlier one of the same name.
    for (sources, env) in
        [(&settings.inherited.env_sources, &settings.inherited.env), (&settings.env_sources, &settings.env)]
    {
        for source in sources {
            let variables = settings.env_files.read(source).map_err(|error| match error.is_shortage() {
                true => SpawnError::short(command.program(), format!("failed to {error}")),
                false => SpawnError::Environment(error.to_string()),
            })?;
            for (name, value) in variables {
                command.env(name, value);
            }
        }
        for (name, value) in env {
            command.env(name, value);
        }
    }
    Ok(())
}
