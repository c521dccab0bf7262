//! `[security]`: who may change what runs.

use std::path::Path;

use crate::config::error::Problem;
use crate::config::model::{SecurityConfig, User};
use crate::config::reader::{Table, Value};
use crate::file::trust::{Owners, Untrusted};

/// What a refusal ends with.
pub(crate) const OR_NOT_STRICT: &str =
    "; where modes cannot be set, strict_modes = false under [security] in the configuration";

pub(super) fn read(table: Option<Table<'_>>) -> SecurityConfig {
    let mut security = SecurityConfig { strict_modes: true, owners: Vec::new() };
    let Some(mut table) = table else { return security };
    if let Some(strict) = table.take("strict_modes").and_then(|value| value.boolean()) {
        security.strict_modes = strict;
    }
    if let Some(items) = table.take("owners").and_then(|value| value.list("a list of users")) {
        security.owners = items.iter().filter_map(user).collect();
    }
    table.finish();
    security
}

fn user(value: &Value<'_>) -> Option<User> {
    let name = value.string()?;
    match nix::unistd::User::from_name(name) {
        Ok(Some(user)) => return Some(User { name: user.name, uid: user.uid.as_raw() }),
        Ok(None) => value.expected("the name of a user of this system"),
        Err(error) => value.report(format!("the users of this system cannot be asked: {error}")),
    }
    None
}

/// A configuration that nobody named, of the working directory. It is none if somebody else put it there: who stands in a
/// stranger's folder does not mean to run the stranger's programs. Says why it is passed over.
pub(super) fn found_here(path: &Path) -> Result<(), String> {
    match Owners::with([]).judge(path) {
        Err(error @ Untrusted::Owner { .. }) => {
            let path = path.display();
            Err(format!(
                "{path} is passed over: {error}; or name it, --config {path}, if its [security] trusts that user"
            ))
        }
        _ => Ok(()),
    }
}

/// Judges a configuration that was read. It may itself switch the judgement off: who named it trusts it.
pub(super) fn judge(path: &Path, security: &SecurityConfig) -> Option<Problem> {
    let error = security.trusted()?.judge(path).err()?;
    Some(problem(&error))
}

/// What is told where it is not allowed.
pub(crate) fn problem(error: &Untrusted) -> Problem {
    Problem::of_source(error.path().display(), format!("{}{OR_NOT_STRICT}", error.message()))
}

/// The warning where everybody may change what runs.
pub(super) fn note(security: &SecurityConfig) -> Option<String> {
    (!security.strict_modes).then(|| {
        "security.strict_modes = false: who may change configuration, task files and programs is not checked".to_owned()
    })
}
