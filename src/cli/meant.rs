//! What people probably meant who typed a word of another tool, or arguments that are no JSON.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::text::shell::word;

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
        ErrorKind::UnknownArgument => with_args(line, said(ContextKind::InvalidArg)?),
        _ => None,
    }
}

/// The line with the words that follow its task as `--args`; what else was typed stays. `refused` is the first of these words.
fn with_args(line: &[OsString], refused: &str) -> Option<String> {
    let words: Vec<&str> = line.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
    let verb = words.iter().position(|word| matches!(*word, "enqueue" | "perform"))?;
    // Behind the verb stands the task, which may be the same word.
    let first = words.iter().enumerate().skip(verb + 2).find(|(_, word)| **word == refused)?.0;
    let says_args = |word: &&str| ["--args", "--arg", "--bulk"].contains(&word.split('=').next().unwrap_or_default());
    if refused.starts_with('-') || words.iter().any(says_args) {
        return None;
    }
    let after = words.get(first..)?;
    let end = after.iter().position(|word| word.starts_with('-')).unwrap_or(after.len());
    let (plain, rest) = after.split_at(end);
    let Some(args) = as_json(plain) else { return Some(QUOTES.to_owned()) };
    let typed = |words: &[&str]| words.iter().map(|text| word(text)).collect::<Vec<_>>();
    let args = [String::from("--args"), word(&args)];
    let all = typed(words.get(1..first)?).into_iter().chain(args).chain(typed(rest)).collect::<Vec<_>>();
    Some(format!("arguments are JSON: windlass {}", all.join(" ")))
}

/// What to do about JSON of which a shell took the quotes, if it cannot be told what it was.
const QUOTES: &str = "arguments are JSON, and a shell takes quotes and braces for its own: put single quotes around all of it, \
                      as in --args '{\"name\":\"Ada\"}', or write it to a file and give --args @FILE";

/// JSON as it is, `name=Ada` as an object, other words as a list. `None` for what was JSON and is none any more.
fn as_json(words: &[&str]) -> Option<String> {
    if words.iter().all(|word| pair(word).is_some()) {
        return Some(object(words));
    }
    let json = |text: &&str| serde_json::from_str::<serde_json::Value>(text).ok();
    if let [text] = words
        && text.starts_with(['{', '['])
    {
        return json(text).map(|_| (*text).to_owned()).or_else(|| repaired(text));
    }
    let joined = words.join(" ");
    if joined.starts_with(['{', '[']) && joined.ends_with(['}', ']']) && !words.iter().all(|word| json(word).is_some())
    {
        return json(&joined.as_str()).map(|_| joined.clone()).or_else(|| repaired(&joined));
    }
    let values = words.iter().map(|text| {
        let value = json(text).filter(|value| !value.is_string());
        let is_broken = value.is_none() && text.starts_with(['{', '[']);
        (!is_broken).then(|| value.unwrap_or_else(|| (*text).into()))
    });
    values.collect::<Option<Vec<_>>>().map(|values| serde_json::Value::Array(values).to_string())
}

/// `{to:ada,n:2}`, of which a shell took the quotes, as the object that it was. Only where nothing else can be meant.
#[must_use]
pub(super) fn repaired(text: &str) -> Option<String> {
    let inside = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let members: Vec<String> = inside
        .split(',')
        .map(|member| {
            let (name, value) = member.split_once(':')?;
            let (name, value) = (name.trim(), value.trim());
            let is_plain = !value.is_empty() && !value.contains(['{', '}', '[', ']', '"', '\'', '\\']);
            is_plain.then(|| format!("{name}={value}"))
        })
        .collect::<Option<_>>()?;
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    members.iter().all(|member| pair(member).is_some()).then(|| object(&members))
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
        for (line, said) in [
            ("perform hello a.png b=", r#"perform hello --args '["a.png","b="]'"#),
            (r#"enqueue hello {"to":"ada"}"#, r#"enqueue hello --args '{"to":"ada"}'"#),
            (r#"enqueue hello {"to": "ada"}"#, r#"enqueue hello --args '{"to": "ada"}'"#),
            (r#"enqueue hello ["a",1]"#, r#"enqueue hello --args '["a",1]'"#),
            (r#"enqueue hello {"to":1} {"to":2}"#, r#"enqueue hello --args '[{"to":1},{"to":2}]'"#),
            ("enqueue hello {to:ada@x.org,n:2}", r#"enqueue hello --args '{"to":"ada@x.org","n":2}'"#),
            ("enqueue hello 5 true x", "enqueue hello --args '[5,true,\"x\"]'"),
            ("enqueue hello hello", "enqueue hello --args '[\"hello\"]'"),
            ("enqueue hello name=it's", r#"enqueue hello --args '{"name":"it'\''s"}'"#),
            (
                "--store sqlite:a.db enqueue --queue q hello n=1",
                r#"--store sqlite:a.db enqueue --queue q hello --args '{"n":1}'"#,
            ),
            ("enqueue hello n=1 --in 5m", r#"enqueue hello --args '{"n":1}' --in 5m"#),
        ] {
            assert_eq!(of(&format!("windlass {line}")), Some(format!("arguments are JSON: windlass {said}")), "{line}");
        }
        for broken in ["{to:{a:1}}", "{to: ada", "[{x"] {
            assert_eq!(of(&format!("windlass enqueue hello {broken}")).as_deref(), Some(QUOTES), "{broken}");
        }
        assert_eq!(of("windlass enqueue hello --nonsense"), None);
        assert_eq!(of("windlass queues show a b"), None);
    }
}
