//! What a configuration with mistakes still says for certain.
//!
//! A daemon never starts with one. A command may go on where no mistake can decide which store and which tasks are meant: who
//! looks at three in the morning is helped more by an answer than by the news that somebody wrote `timeuot`.

use crate::config::error::{Problem, closest};

/// The keys that decide which store and which tasks are meant, and who may change them.
const DECISIVE: [&str; 14] = [
    "store",
    "url",
    "namespace",
    "tls",
    "tasks_dir",
    "defaults",
    "security",
    "owners",
    "groups",
    "strict_modes",
    "resque_overrides",
    "redis",
    "connection_options",
    "database",
];

/// What all messages about keys that are not known begin with.
const UNKNOWN: &str = "unknown key";

/// Do these mistakes leave no doubt which store and which tasks are meant, nor about these tables? `named`: somebody named the store.
#[must_use]
pub(super) fn is_certain(problems: &[Problem], named: bool, tables: &[&str]) -> bool {
    let concerns = |problem: &Problem| problem.key.split('.').next().is_some_and(|table| tables.contains(&table));
    problems.iter().all(|problem| is_beside(problem, named) && !concerns(problem))
}

/// Does this mistake stand beside what decides?
fn is_beside(problem: &Problem, named: bool) -> bool {
    let Problem { file, key, message, suggestion, .. } = problem;
    if key.is_empty() {
        // The level of the log. Everything else without a key is about a whole file, or the address of a store.
        return file == "WINDLASS_LOG";
    }
    let (first, last) = (key.split('.').next().unwrap_or_default(), key.rsplit('.').next().unwrap_or_default());
    let decides = |word: &str| DECISIVE.iter().any(|known| plain(known) == plain(word));
    if decides(first) {
        return false;
    }
    if !message.starts_with(UNKNOWN) {
        return true;
    }
    // It may be one that decides: written wrongly, or in the wrong table.
    let meant = suggestion.as_deref();
    let may_decide = decides(last) || closest(last, DECISIVE).is_some() || meant.is_some_and(decides);
    !may_decide && (named || meant.is_some() || key.contains('.'))
}

/// A key without what its spellings differ by.
fn plain(key: &str) -> String {
    key.to_lowercase().replace(['_', '-'], "")
}
