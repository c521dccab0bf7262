//! `[resque_overrides]`: the implementations, registered by name through the library, that replace built-in ones.

use super::error::Problem;
use super::reader::{Table, Value};

/// An implementation that the configuration selects.
#[derive(Debug, Clone, Eq)]
#[non_exhaustive]
pub struct Override {
    /// Its name.
    pub name: String,
    /// The location in the configuration, for messages.
    pub location: Problem,
}

/// The location does not count.
impl PartialEq for Override {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// All selected implementations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Overrides {
    /// A layer over the store.
    pub queue: Option<Override>,
    /// The runner of the processors.
    pub multi_worker: Option<Override>,
    /// The runner of the scheduler.
    pub scheduler: Option<Override>,
}

pub(super) fn read(mut table: Table<'_>) -> Overrides {
    let mut read = |key| table.take(key).and_then(|value| one(&value));
    let overrides =
        Overrides { queue: read("queue"), multi_worker: read("multi_worker"), scheduler: read("scheduler") };
    table.finish();
    overrides
}

fn one(value: &Value<'_>) -> Option<Override> {
    // TOML has no null: what ActionHero writes for "none" may have become any of these.
    if value.raw().as_bool() == Some(false) || matches!(value.raw().as_str(), Some("" | "null")) {
        return None;
    }
    let name = value.string()?.to_owned();
    Some(Override { name, location: value.problem("") })
}
