//! What a line does not say that its command needs: in our words, with what else would do, and an example.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::args::Cli;

/// What stands for an argument that may be left out if something else is said: the words of the command, the argument as clap
/// writes it, what is needed.
const CHOICES: &[(&str, &str, &str)] = &[
    ("enqueue", "<TASK>", "a task, or a file of jobs (--bulk FILE)"),
    ("queues pause", "<QUEUE>", "a queue, or all of them (--all)"),
    ("queues resume", "<QUEUE>", "a queue, or all of them (--all)"),
    ("jobs cancel", "<ID>", "ids of jobs that run, or all of a task (--task T)"),
    ("jobs delete", "<TASK>", "a task with the arguments of its jobs (--args JSON), or with any (--any-args)"),
    ("delayed run", "<TASK>", DELAYED),
    ("delayed move", "<TASK>", DELAYED),
    ("delayed delete", "<TASK>", DELAYED),
    ("delayed find", "<TASK>", "a task with the arguments of its jobs (--args JSON), or with any (--any-args)"),
    ("explain job", "<ID>", "the id of a job, or its task and arguments (--task T --args JSON)"),
    (
        "failed remove",
        "<ID>",
        "ids of failed jobs, or what they match (--filter, --task, --queue, --error, --since), or all (--all)",
    ),
    ("failed retry", "<ID>", "ids of failed jobs, or what they match (--filter, --task, --unknown), or all (--all)"),
    ("store copy", "<TO>", "the store that is filled, or with --undo only the first one"),
];

const DELAYED: &str = "a task with the arguments of its jobs (TASK --args JSON, or TASK --any-args), or all jobs of a task \
                       (--task T), of a queue (--queue Q) or of a time (--at TIME)";

/// What is told of a line that lacks something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lacking {
    /// What it lacks.
    pub what: String,
    /// Lines that would do.
    pub examples: Vec<String>,
    /// Where there is more.
    pub more: String,
}

/// What this line lacks, if that is what is wrong with it.
#[must_use]
pub(super) fn lacking(line: &[OsString], error: &clap::Error) -> Option<Lacking> {
    let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(missing))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    else {
        return None;
    };
    let (mut command, mut named) = (Cli::command(), Vec::new());
    for word in line.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(verb) = command.find_subcommand(word).cloned() {
            named.push(verb.get_name().to_owned());
            command = verb;
        }
    }
    let verb = named.join(" ");
    let said = |argument: &String| {
        let choice = CHOICES.iter().find(|(of, name, _)| *of == verb && argument.starts_with(name));
        choice.map_or_else(|| argument.replace(['<', '>'], ""), |(_, _, needed)| (*needed).to_owned())
    };
    let what = format!("{verb} needs {}", missing.iter().map(said).collect::<Vec<_>>().join(", and "));
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let begin = format!("windlass {verb}");
    let examples =
        help.lines().map(str::trim_start).filter(|line| line.starts_with(&begin)).map(str::to_owned).collect();
    Some(Lacking { what, examples, more: format!("windlass {verb} --help") })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn of(line: &str) -> Option<Lacking> {
        let line: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = Cli::try_parse_from(&line).err()?;
        lacking(&line, &error)
    }

    #[test]
    fn a_line_that_lacks_something_is_told_what_would_do() {
        let told = of("windlass jobs cancel").unwrap();
        assert_eq!(told.what, "jobs cancel needs ids of jobs that run, or all of a task (--task T)");
        assert!(told.examples.iter().any(|line| line == "windlass jobs cancel 5c0b9a1e-0-17-3"), "{told:?}");
        assert_eq!(of("windlass delayed move --task add").unwrap().what, "delayed move needs --to TIME");
        assert_eq!(of("windlass --json queues show").unwrap().what, "queues show needs QUEUE");
        assert_eq!(of("windlass queues nonsense"), None);
    }

    #[test]
    fn every_command_has_examples_that_do_what_it_needs() {
        let mut root = Cli::command().disable_help_subcommand(true);
        root.build();
        let (mut left, mut seen) = (vec![(String::new(), root)], Vec::new());
        while let Some((words, command)) = left.pop() {
            let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
            left.extend(verbs.map(|verb| (format!("{words} {}", verb.get_name()), verb.clone())));
            let Some(told) = of(&format!("windlass{words}")) else { continue };
            assert!(!told.examples.is_empty(), "{words}: {told:?}");
            assert!(!told.what.contains('<'), "{told:?}");
            seen.push(words.trim_start().to_owned());
        }
        for (verb, ..) in CHOICES.iter().filter(|(verb, ..)| *verb != "store copy") {
            assert!(seen.iter().any(|words| words == verb), "{verb} can be said alone");
        }
    }
}
