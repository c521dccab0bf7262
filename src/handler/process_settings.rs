//! Applies the folder, environment, user and limits of a task to a command.

use std::sync::Arc;

use crate::process::Command;
use crate::task::handler_spec::ProcessSettings;

/// Must be called before the variables of the job are set, so that the task's environment cannot shadow them.
pub(super) fn apply(command: &mut Command, settings: &ProcessSettings) {
    command.cwd(&settings.cwd).changed_by(settings.trusted.clone());
    if let Some(confines) = &settings.confines {
        command.confine(Arc::clone(confines));
    }
    if settings.env_clear {
        command.env_clear();
    }
    for (name, value) in &settings.env {
        command.env(name, value);
    }
}
