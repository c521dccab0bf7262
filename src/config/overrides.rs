//! `[resque_overrides]`: which implementations, registered by name with the library, take the place of ours.

use super::error::Problem;
use super::reader::{Table, Value};

/// An implementation that the configuration asks for.
#[derive(Debug, Clone, Eq)]
pub struct Override {
    /// Its name.
    pub name: String,
    /// Where it was asked for, for what may be wrong with it.
    pub location: Problem,
}

/// Where it is asked for makes no difference.
impl PartialEq for Override {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// All that it asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// A layer over the store.
    pub queue: Option<Override>,
    /// What runs the processors.
    pub multi_worker: Option<Override>,
    /// What runs the scheduler.
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
