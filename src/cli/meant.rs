//! What people probably meant who typed a word of another tool, or arguments that are no JSON.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::text::shell::{command, word};

/// Words of other tools and of other minds, and what does that here.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (&["status", "info", "ps", "show", "overview"], "look at all: windlass details; at this machine: windlass health"),
    (&["list", "ls"], "what waits: windlass queues; what runs: windlass jobs list; what is defined: windlass tasks"),
    (&["start", "work", "worker", "daemon", "server", "serve", "scheduler", "up"], "start the daemon: windlass run"),
    (
        &["stop", "quit", "shutdown", "kill", "down"],
        "drain the daemon: systemctl stop windlass, or TERM to its process; end one run: windlass jobs cancel ID",
    ),
    (&["reload", "restart"], "read the files again: systemctl reload windlass, or HUP to the daemon"),
    (&["pause", "resume", "unpause"], "windlass queues pause QUEUE, windlass queues resume QUEUE"),
    (
        &["retry", "requeue", "rerun", "dead", "errors", "failures"],
        "windlass failed shows them, windlass failed retry ID retries one",
    ),
    (&["cancel", "abort"], "end a run: windlass jobs cancel ID"),
    (
        &["logs", "log", "tail", "output"],
        "the log is the daemon's stderr (journalctl -u windlass); what a job wrote: windlass jobs output ID",
    ),
    (
        &["cron", "crontab", "schedule", "schedules", "recurring", "timers"],
        "what runs by itself: windlass periodic; when it comes next: windlass plan",
    ),
    (
        &["scheduled", "later", "at"],
        "what is due later: windlass delayed; to enqueue for a time: windlass enqueue TASK --at TIME",
    ),
    (
        &["add", "push", "submit", "send", "job", "run-job", "exec"],
        "enqueue a job: windlass enqueue TASK --args JSON; run it here and now: windlass perform TASK",
    ),
    (
        &["init", "new", "create", "setup"],
        "write a first task: windlass generate task NAME; a configuration: windlass generate config",
    ),
    (
        &["test", "validate", "lint", "config", "configtest"],
        "check all files: windlass check; run a task here and now: windlass perform TASK",
    ),
    (
        &["delete", "remove", "rm", "clear", "purge", "flush"],
        "windlass queues delete QUEUE, windlass jobs delete TASK, windlass failed remove ID",
    ),
    (&["top", "monitor", "watch"], "look again and again: windlass queues --watch"),
    (&["why", "doctor", "diagnose", "debug"], "what needs attention: windlass explain"),
    (&["version"], "windlass --version"),
];

/// What to type instead of a line that was refused.
#[must_use]
pub(super) fn meant(line: &[OsString], error: &clap::Error) -> Option<String> {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let said = said(ContextKind::InvalidSubcommand)?.to_lowercase();
            ELSEWHERE.iter().find(|(words, _)| words.contains(&said.as_str())).map(|(_, here)| (*here).to_owned())
        }
        ErrorKind::UnknownArgument => {
            let verb = ["enqueue", "perform"].into_iter().find(|verb| line.iter().any(|word| word == verb))?;
            let words: Vec<&str> = line.iter().filter_map(|word| word.to_str()).collect();
            let first = words.iter().position(|word| *word == said(ContextKind::InvalidArg).unwrap_or_default())?;
            let after = words.get(first..)?;
            let task = words.get(first.checked_sub(1)?).filter(|task| !task.starts_with('-') && **task != verb)?;
            let is_plain = |word: &&str| !word.starts_with('-');
            let args = if after.iter().all(is_plain) { as_json(after)? } else { return None };
            Some(format!("arguments are JSON: {} --args {}", command(verb, &[task]), word(&args)))
        }
        _ => None,
    }
}

/// `name=Ada` as an object, other words as a list.
fn as_json(words: &[&str]) -> Option<String> {
    if words.iter().all(|word| pair(word).is_some()) {
        return Some(object(words));
    }
    serde_json::to_string(words).ok()
}

/// The object of several `name=value`.
#[must_use]
pub(super) fn object(pairs: &[&str]) -> String {
    let members = pairs.iter().filter_map(|text| pair(text));
    let members = members.map(|(name, value)| (name.to_owned(), value));
    serde_json::Value::Object(members.collect()).to_string()
}

/// `name=value`, where a number or a truth is one.
#[must_use]
pub(super) fn pair(text: &str) -> Option<(&str, serde_json::Value)> {
    let (name, value) = text.split_once('=')?;
    let is_name = !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || "_-".contains(letter));
    let value = match serde_json::from_str::<serde_json::Value>(value) {
        Ok(number @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_))) => number,
        _ => value.into(),
    };
    is_name.then_some((name, value))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;
    use crate::cli::args::Cli;

    fn of(line: &str) -> Option<String> {
        let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = Cli::try_parse_from(&line).expect_err("it must be refused");
        meant(&line, &error)
    }

    #[test]
    fn words_of_other_tools_are_answered() {
        assert_eq!(of("windlass retry 7").as_deref(), Some(ELSEWHERE[6].1));
        assert!(of("windlass STATUS").is_some_and(|said| said.contains("windlass details")));
        assert_eq!(of("windlass zebra"), None);
        let command = Cli::command();
        for word in ELSEWHERE.iter().flat_map(|(words, _)| *words) {
            assert!(command.find_subcommand(word).is_none(), "{word} is a command");
        }
    }

    #[test]
    fn arguments_that_are_no_json_are_written_as_json() {
        let said = "arguments are JSON: windlass enqueue hello --args '{\"name\":\"Ada\",\"n\":2}'";
        assert_eq!(of("windlass enqueue hello name=Ada n=2").as_deref(), Some(said));
        let said = "arguments are JSON: windlass perform hello --args '[\"a.png\",\"b=\"]'";
        assert_eq!(of("windlass perform hello a.png b=").as_deref(), Some(said));
        assert_eq!(of("windlass enqueue hello --nonsense"), None);
        assert_eq!(of("windlass queues show a b"), None);
    }
}
