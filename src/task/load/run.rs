//! Reads `[run]` of a task: exactly one handler, with what goes with it.

mod argv;
mod builtin;
mod exec;
mod http;
mod later;
mod place;
mod rpc;
mod secret;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use crate::config::error::Problem;
use crate::config::reader::Table;
use crate::task::handler_spec::HandlerSpec;

/// The handlers there are, and the keys that go with each.
const HANDLERS: [(&str, &[&[&str]]); 4] = [
    ("exec", &[&place::KEYS, &exec::KEYS]),
    ("rpc", &[&place::KEYS, &rpc::KEYS]),
    ("http", &[&http::KEYS]),
    ("builtin", &[]),
];

/// Keys of the task that land in `[run]` when they are written below it.
const OF_TASK: [&str; 9] =
    ["name", "description", "queue", "frequency", "schedule", "plugins", "timeout", "on_crash", "max_redeliveries"];

/// What is known about the task around the handler.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    /// The folder of the task file.
    pub(super) folder: &'a Path,
    /// Is the task periodic?
    pub(super) periodic: bool,
    /// The builtins there are.
    pub(super) builtins: &'a [&'a str],
    /// Secrets that cannot be had here.
    pub(super) absent: &'a RefCell<Vec<Problem>>,
}

/// Every key of `[run]`, once; written at the task itself, it is refused with a hint.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    let all =
        HANDLERS.iter().flat_map(|(name, keys)| std::iter::once(*name).chain(keys.iter().copied().flatten().copied()));
    all.collect::<BTreeSet<_>>().into_iter()
}

/// Reads the handler. It may be used only if no problem was reported meanwhile.
pub(super) fn read(mut run: Table<'_>, around: Around<'_>, warnings: &mut Vec<String>) -> Option<HandlerSpec> {
    for key in OF_TASK {
        run.refuse(key, "belongs to the task: write it above [run]");
    }
    let written: Vec<_> = HANDLERS.iter().filter(|(name, _)| run.has(name)).collect();
    let handler = if let [(name, keys)] = written[..] {
        refuse_keys_of_others(&mut run, keys);
        let value = run.take(name)?;
        match *name {
            "exec" => exec::read(&value, &mut run, around, warnings).map(HandlerSpec::Exec),
            "rpc" => rpc::read(&value, &mut run, around, warnings).map(HandlerSpec::Rpc),
            "http" => http::read(&value, &mut run, around).map(HandlerSpec::Http),
            _ => builtin::read(&value, around.builtins).map(HandlerSpec::Builtin),
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
        // Nobody read the keys of the handler, and they are not unknown for that.
        keys().for_each(|key| drop(run.take(key)));
        None
    };
    run.finish();
    handler
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
