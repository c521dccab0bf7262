//! What the command line takes, and that its examples are taken.

use clap::CommandFactory;

use super::*;
use crate::cli::value::ArgsSource;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("windlass").chain(line.split(' ').filter(|word| !word.is_empty())))
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn no_command_means_run_and_a_noun_alone_means_list() {
    assert!(parse("--store sqlite:x").unwrap().command.is_none());
    assert!(matches!(parse("queues").unwrap().command, Some(CliCommand::Queues { verb: None })));
    let failed = parse("failed --start -5 --stop -1 --json").unwrap();
    assert!(failed.json);
    assert!(
        matches!(failed.command, Some(CliCommand::Failed { verb: None, list }) if (list.start, list.stop) == (Some(-5), Some(-1)))
    );
}

#[test]
fn arguments_are_json() {
    let args = |line: &str| match parse(line).map(|cli| cli.command) {
        Ok(Some(CliCommand::Enqueue(enqueue))) => enqueue.args.get().map(|source| match source {
            ArgsSource::Json(args) => args.as_str().to_owned(),
            ArgsSource::File(file) => format!("in {}", file.display()),
        }),
        other => panic!("{other:?}"),
    };
    assert_eq!(args("enqueue t"), None);
    assert_eq!(args("enqueue t --args -5").as_deref(), Some("[-5]"));
    assert_eq!(args("enqueue t --args @a.json").as_deref(), Some("in a.json"));
    assert_eq!(args("enqueue t --args @-").as_deref(), Some("in -"));
    assert_eq!(args("enqueue t --arg [1] --arg {} --arg -1.0").as_deref(), Some("[[1],{},-1]"));
    for bad in ["enqueue t --args @", "enqueue t --args {bad", "enqueue t --arg 1,2", "enqueue t --args 1 --arg 1"] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn numbers_that_would_mean_nothing_or_everything_are_refused_with_words() {
    for (line, told) in [
        ("failed groups --scan 0", "from 1 on"),
        ("failed groups --limit 0", "from 1 on"),
        ("failed groups --scan=-1", "from 1 on"),
        ("failed groups --scan 99999999999999999999", "from 1 on"),
        ("tasks runs t --last 0", "from 1 on"),
        ("plan --hours 0", "1..=87600"),
        ("workers clean --older-than 0s", "would be removed"),
        ("workers clean --older-than 0", "would be removed"),
        ("workers clean --older-than=-5", "would be removed"),
        ("jobs cancel x --wait=-5", "from 0 on"),
    ] {
        let error = parse(line).unwrap_err().to_string();
        assert!(error.contains(told), "{line}: {error}");
    }
    for good in
        ["failed groups --scan 1", "failed remove --all --expect 0", "jobs cancel x --wait 0s", "enqueue t --in 0"]
    {
        assert!(parse(good).is_ok(), "{good}");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    for bad in [
        "enqueue",
        "enqueue t --bulk f",
        "enqueue t --at 0 --in 5s",
        "enqueue t --front --in 5s",
        "enqueue t --in 5",
        "workers clean --older-than 60",
        "jobs cancel x --wait 5",
        "failed remove --error=",
        "failed remove --filter=",
        "enqueue t --at noon",
        "enqueue t --zone UTC",
        "enqueue t --in 10m --zone UTC",
        "enqueue t --at 10:00 --zone Nowhere",
        "failed retry",
        "failed retry 1 --all",
        "failed remove",
        "failed remove 0 --all",
        "failed remove --all --task t",
        "failed --start 0 --task t",
        "failed --since soon",
        "failed --since 5",
        "failed --since=-5",
        "failed count --since 1795490778",
        "failed --filter after:-2",
        "delayed run",
        "delayed run t --task t",
        "delayed move --task t",
        "perform",
        "nonsense",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert!(parse("failed remove -1").is_ok());
    assert!(parse("failed remove -1 0 3f9a01c2d4e5").is_ok());
    assert!(parse("failed remove --task t --since 2h").is_ok());
    assert!(parse("failed --since 1795490778000").is_ok() && parse("failed --since @5").is_ok());
    assert!(parse("delayed run t --args [1]").is_ok());
    assert!(parse("delayed delete --at @1795490778").is_ok());
    assert!(parse("enqueue t --at 10:00 --zone Europe/Berlin").is_ok());
    assert!(parse("enqueue --bulk - --front --foreign").is_ok());
}

#[test]
fn a_limit_of_nothing_is_refused() {
    for listing in [
        "audit",
        "plan",
        "failed",
        "failed list",
        "failed groups",
        "queues list",
        "locks list",
        "periodic list",
        "workers list",
        "delayed list",
        "delayed timestamps",
        "jobs list",
        "jobs output",
    ] {
        for bad in ["0", "-1", "x"] {
            assert!(parse(&format!("{listing} --limit={bad}")).is_err(), "{listing} {bad}");
        }
        assert!(parse(&format!("{listing} --limit 1")).is_ok(), "{listing}");
    }
}

/// The commands of this program in a line of a shell, word by word; what cannot be a line is left out.
fn commands_in(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words, mut word) = (vec![], vec![], None::<String>);
    let mut letters = line.chars().peekable();
    let end = |commands: &mut Vec<Vec<String>>, words: &mut Vec<String>, word: &mut Option<String>| {
        words.extend(word.take());
        commands.push(std::mem::take(words));
    };
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => word.get_or_insert_default().extend(letters.by_ref().take_while(|letter| *letter != '\'')),
            '"' => {
                let text = word.get_or_insert_default();
                while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
                    text.push(if letter == '\\' { letters.next().unwrap_or(letter) } else { letter });
                }
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            '#' if word.is_none() => break,
            '|' | ';' | '&' | '(' | ')' => end(&mut commands, &mut words, &mut word),
            '>' | '<' => {
                end(&mut commands, &mut words, &mut word);
            }
            letter if letter.is_whitespace() => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    end(&mut commands, &mut words, &mut word);
    let is_ours = |word: &String| word == "windlass" || word.ends_with("/windlass");
    let of_ours = |words: Vec<String>| {
        let before = words
            .iter()
            .take_while(|word| word.contains('=') || ["sudo", "exec", "$"].contains(&word.as_str()))
            .count();
        words.get(before).is_some_and(is_ours).then(|| words.into_iter().skip(before).collect::<Vec<_>>())
    };
    commands.into_iter().filter_map(of_ours).collect()
}

/// What is wrong with a command that people are told to type.
fn mistake(words: &[String]) -> Option<String> {
    match Cli::try_parse_from(words) {
        Ok(_) => None,
        Err(error) if !error.use_stderr() => None,
        Err(error) => Some(format!("{}: {error}", words.join(" "))),
    }
}

#[test]
fn every_command_has_an_example_that_is_taken() {
    fn look(command: &clap::Command, path: &str, faults: &mut Vec<String>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: Vec<_> = help.lines().filter(|line| line.starts_with("  ")).flat_map(commands_in).collect();
        if examples.is_empty() {
            faults.push(format!("{path} has no example"));
        }
        let about_it = |words: &Vec<String>| words.join(" ").starts_with(path);
        if path != "windlass" && !examples.iter().any(about_it) {
            faults.push(format!("no example of {path} is about it: {examples:?}"));
        }
        faults.extend(examples.iter().filter_map(|words| mistake(words)));
        for one in command.get_subcommands().filter(|one| one.get_name() != "help" && !one.is_hide_set()) {
            look(one, &format!("{path} {}", one.get_name()), faults);
        }
    }
    let mut faults = Vec::new();
    look(&Cli::command(), "windlass", &mut faults);
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_command_in_the_documents_is_taken() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let documents = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents = documents.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let (mut faults, mut seen) = (Vec::new(), 0);
    for document in documents.chain([root.join("README.md")]) {
        let text = std::fs::read_to_string(&document).unwrap();
        let (mut is_shell, mut in_block) = (false, false);
        for line in text.lines() {
            if let Some(language) = line.trim_start().strip_prefix("```") {
                in_block = !in_block;
                is_shell = in_block && ["", "console", "sh", "bash", "crontab"].contains(&language.trim());
                continue;
            }
            // Capitals stand for what people fill in, and brackets for what may be left out.
            for words in
                commands_in(line).into_iter().filter(|_| is_shell && !line.contains(['[', '<']) && !line.contains("->"))
            {
                seen += 1;
                faults.extend(mistake(&words).map(|mistake| format!("{}: {mistake}", document.display())));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(seen > 20, "only {seen} commands were found");
}

#[test]
fn the_documents_have_every_exit_code() {
    use crate::cli::exit::Exit;
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let codes = |document: &str| {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        let table =
            text.split("xit code").find(|part| part.contains("| 64 |")).expect("a table of exit codes").to_owned();
        let code = |line: &str| line.strip_prefix("| ").and_then(|rest| rest.split(' ').next()?.parse::<u8>().ok());
        table.lines().filter_map(code).collect::<Vec<_>>()
    };
    let all: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
    for document in ["docs/cli.md", "README.md"] {
        assert_eq!(codes(document), all, "{document}");
    }
    let help = Cli::command().get_after_help().map(ToString::to_string).unwrap();
    let told = help.split("Exit codes: ").nth(1).unwrap();
    assert!(all.iter().all(|code| told.contains(&format!("{code} "))), "{told}");
}
