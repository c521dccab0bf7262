//! Reads `[run]` of a task: exactly one handler, with its options.

pub(super) mod argv;
mod clients;
mod code;
mod exec;
mod frameworks;
pub(super) mod http;
mod interpreters;
mod launchers;
mod machines;
mod media;
mod process_settings;
mod rpc;
pub(super) mod secret;
mod shell_syntax;
mod tools;
mod variables;
mod wrappers;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::program::Missing;
use crate::config::element::crash_policy;
use crate::config::element::duration::{self, Unit};
use crate::config::error::{Problem, closest};
use crate::config::reader::{Table, Value};
use crate::file::trust::Owners;
use crate::task::handler_spec::{BuiltinSpec, HandlerSpec, RetryLater};

/// All handlers, and the keys that belong to each.
const HANDLERS: [(&str, &[&[&str]]); 4] = [
    ("exec", &[&process_settings::KEYS, &exec::KEYS]),
    ("rpc", &[&process_settings::KEYS, &rpc::KEYS]),
    ("http", &[&http::KEYS]),
    ("builtin", &[]),
];

/// Keys of the task. TOML takes them as keys of `[run]` if they are written below it.
const OF_TASK: [&str; 12] = [
    "name",
    "description",
    "queue",
    "frequency",
    "schedule",
    "plugins",
    "timeout",
    "on_crash",
    "max_redeliveries",
    "keep_runs",
    "keep_results",
    "ping",
];

/// What is known about the task when its handler is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct HandlerContext<'a> {
    /// The folder of the task file.
    pub(super) folder: &'a Path,
    /// Is the task periodic?
    pub(super) periodic: bool,
    /// The names of all builtins.
    pub(super) builtins: &'a [&'a str],
    /// The task file.
    pub(super) source: &'a Path,
    /// Warnings of secrets that others can read.
    pub(super) exposed: &'a RefCell<Vec<String>>,
    /// Secrets that could not be read here.
    pub(super) unavailable: &'a RefCell<Vec<Problem>>,
    /// What is missing at the moment.
    pub(super) missing: &'a Missing,
    /// Who may change programs; `None`: anybody.
    pub(super) trusted: Option<&'a Arc<Owners>>,
}

/// Every key of `[run]`, once. A task that has such a key outside of `[run]` is refused with a hint.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    let all =
        HANDLERS.iter().flat_map(|(name, keys)| std::iter::once(*name).chain(keys.iter().copied().flatten().copied()));
    all.collect::<BTreeSet<_>>().into_iter()
}

/// Reads the handler. The caller must discard it if a problem was reported meanwhile.
pub(super) fn read(mut run: Table<'_>, context: HandlerContext<'_>, warnings: &mut Vec<String>) -> Option<HandlerSpec> {
    for key in OF_TASK {
        run.refuse(key, "belongs to the task: write it above [run]");
    }
    let written: Vec<_> = HANDLERS.iter().filter(|(name, _)| run.has(name)).collect();
    let handler = if let [(name, keys)] = written[..] {
        refuse_keys_of_others(&mut run, keys);
        let value = run.take(name)?;
        match *name {
            "exec" => exec::read(&value, &mut run, context, warnings).map(HandlerSpec::Exec),
            "rpc" => rpc::read(&value, &mut run, context, warnings).map(HandlerSpec::Rpc),
            "http" => http::read(&value, &mut run, context).map(HandlerSpec::Http),
            _ => read_builtin(&value, context.builtins).map(HandlerSpec::Builtin),
        }
    } else {
        let found: Vec<_> = written.iter().map(|(name, _)| *name).collect();
        if !found.is_empty() {
            run.report(format!("expected exactly one handler (found {})", found.join(" and ")));
        } else {
            run.report(
                "expected a handler: exec = [\"PROGRAM\", \"ARGUMENT\"], rpc = [\"PROGRAM\"], http = \"https://HOST/PATH\" \
                 or builtin = \"NAME\" (missing)",
            );
        }
        // The keys of the handler were not read, but they are not unknown keys.
        keys().for_each(|key| drop(run.take(key)));
        None
    };
    run.finish();
    handler
}

/// Checks those of these keys that may stand in `[defaults]`.
pub(super) fn read_defaults(table: &mut Table<'_>, context: HandlerContext<'_>, warnings: &mut Vec<String>) {
    process_settings::read(table, context, warnings);
    read_retry_later(table);
    exec::read_output(table);
}

fn refuse_keys_of_others(run: &mut Table<'_>, own: &[&[&str]]) {
    let among = |key: &str, keys: &[&[&str]]| keys.iter().any(|keys| keys.contains(&key));
    for key in keys().filter(|key| !among(key, own)) {
        let owners: Vec<_> = HANDLERS.iter().filter(|(_, keys)| among(key, keys)).map(|(name, _)| *name).collect();
        if !owners.is_empty() {
            run.refuse(key, &format!("goes with {} only", owners.join(" and ")));
        }
    }
}

/// Reads `builtin = "..."`.
fn read_builtin(value: &Value<'_>, builtins: &[&str]) -> Option<BuiltinSpec> {
    let name = value.string()?;
    if !builtins.contains(&name) {
        let what = format!("a builtin: {}", builtins.join(", "));
        value.expected_one_of(&what, closest(name, builtins.iter().copied()));
        return None;
    }
    Some(BuiltinSpec { name: name.to_owned() })
}

/// Reads `retry_later` and `retry_later_limit`.
fn read_retry_later(run: &mut Table<'_>) -> RetryLater {
    let shortest = Duration::from_millis(1);
    let delay = run.take("retry_later").and_then(|value| duration::read(&value, Unit::Milliseconds, shortest));
    let limit = run.take("retry_later_limit").and_then(|value| crash_policy::read_redeliveries(&value));
    let default = RetryLater::default();
    RetryLater { delay: delay.unwrap_or(default.delay), limit: limit.unwrap_or(default.limit) }
}
