//! Names of tasks in filters.

use super::error::AdminError;
use crate::client::request::nearest;
use crate::task::definition::Registry;

/// The error about a task that does not exist.
#[must_use]
pub fn not_found(registry: &Registry, name: &str) -> AdminError {
    let suggestion = nearest(name, registry.iter().map(|task| task.name.as_str()));
    AdminError::NotFound { what: "task", name: name.to_owned(), suggestion }
}

/// Is this task known? If not, a filter by its name that matched nothing names what does not exist. Jobs of other
/// programs have classes that no file here defines, so a filter that matched something is right.
///
/// # Errors
/// Fails for a task that does not exist.
pub fn expect_known(registry: &Registry, name: &str) -> Result<(), AdminError> {
    if registry.get(name).is_some() { Ok(()) } else { Err(not_found(registry, name)) }
}
