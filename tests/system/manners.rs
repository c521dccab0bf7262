//! How results look on a terminal and in a pipe: widths, colours, times, `--watch`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::place::{Ended, Place};

/// What a command prints on a terminal of so many columns.
fn on_a_terminal(place: &Place, columns: u16, line: &str) -> String {
    let said = format!("stty cols {columns} rows 50; exec {} {line}", env!("CARGO_BIN_EXE_windlass"));
    let output = place.terminal(&said).env("NO_COLOR", "1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

fn filled() -> Place {
    let place = Place::new();
    let long = "x".repeat(200);
    for queue in ["mail", "a-queue-with-a-name-that-is-quite-long"] {
        place.run(&["enqueue", "add", "--queue", queue, "--arg", &format!("\"{long}\"")]).done();
        place.run(&["enqueue", "add", "--queue", queue, "--in", "2h", "--arg", &format!("\"{long}\"")]).done();
    }
    place
}

#[test]
fn a_table_fits_into_the_terminal_and_says_what_it_leaves_out() {
    let place = filled();
    for columns in [40, 80] {
        for line in
            ["queues", "delayed", "delayed timestamps", "tasks", "periodic", "plan", "stats", "queues show mail"]
        {
            let text = on_a_terminal(&place, columns, line);
            let too_long: Vec<_> = text.lines().filter(|line| line.chars().count() > usize::from(columns)).collect();
            let is_told = |line: &&&str| line.starts_with("left out: ") || !line.contains("  ");
            assert!(too_long.iter().all(|line| is_told(&line)), "{line} at {columns}: {text}");
        }
    }
    let delayed = on_a_terminal(&place, 40, "delayed");
    assert!(delayed.contains("left out: ") && delayed.contains("in 1h 5"), "{delayed}");
    let terminal = on_a_terminal(&place, 80, "delayed");
    assert!(terminal.starts_with("AT         QUEUE "), "the milliseconds say the same: {terminal}");
    let wide = on_a_terminal(&place, 80, "delayed --wide");
    assert!(wide.contains(&"x".repeat(200)) && !wide.contains("left out") && wide.contains(" UTC"), "{wide}");
    let utc = on_a_terminal(&place, 80, "delayed --utc");
    assert!(utc.contains(" UTC") && !utc.contains("in 1h"), "{utc}");
    // In a pipe it is as it was.
    let piped = place.run(&["delayed"]).done();
    assert!(piped.starts_with("AT ") && piped.contains("  MS  QUEUE "), "{piped}");
    assert!(piped.contains("Z  ") && !piped.contains("left out"), "{piped}");
}

#[test]
fn colours_are_where_they_are_wanted() {
    let place = filled();
    let said = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = place.command(args);
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        let output = command.envs(variables.iter().copied()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().contains('\u{1b}')
    };
    assert!(!said(&["queues"], &[]), "a pipe");
    assert!(said(&["queues"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!said(&["queues"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(said(&["queues", "--color", "always"], &[("NO_COLOR", "1")]));
    assert!(!said(&["queues", "--color=never"], &[("CLICOLOR_FORCE", "1")]));
    assert!(!said(&["queues", "--json", "--color", "always"], &[]), "a document has none");
}

#[test]
fn a_listing_is_repeated_until_nobody_reads_it() {
    let place = filled();
    let mut watching = place.command(&["queues", "--json", "--watch=100ms"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let first: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    place.run(&["enqueue", "add", "--queue", "third"]).done();
    let is_there = |line: &String| line.contains("\"third\"");
    assert!(!is_there(&first.to_string()));
    assert!(lines.by_ref().any(|line| is_there(&line.unwrap())));
    drop(lines);
    assert!(watching.wait().unwrap().success(), "a closed pipe ends it");
    for refused in [&["enqueue", "add", "--watch"][..], &["run", "--watch"], &["queues", "pause", "mail", "--watch"]] {
        let Ended { code, stderr, .. } = place.run(refused);
        assert!(code == 64 && stderr.contains("windlass queues --watch"), "{refused:?}: {stderr}");
    }
}

#[test]
fn a_word_that_is_no_text_is_told_with_what_to_type() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    let output = place.command(&["queues", "show"]).arg(name).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(r"windlass queues rename $'caf\351' NAME"), "{said}");
    let output = place.command(&["queues", "rename"]).arg(name).arg("caf").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("there is no queue"), "{said}");
    let Ended { code, stderr, .. } = place.run(&["queues", "rename", "mail", "post"]);
    assert!(code == 64 && stderr.contains("is text"), "{stderr}");
}

#[test]
fn an_empty_name_is_told_as_one() {
    let place = Place::new();
    for args in [
        &["enqueue", ""][..],
        &["enqueue", "add", "--queue", ""],
        &["queues", "pause", ""],
        &["queues", "delete", "", "--yes"],
        &["queues", "show", " "],
        &["tasks", "show", ""],
        &["jobs", "list", "--task", ""],
        &["delayed", "delete", "--task", "", "--yes"],
        &["failed", "--queue", ""],
        &["workers", "show", ""],
        &["periodic", "stop", ""],
        &["locks", "delete", ""],
        &["plan", "--task", ""],
    ] {
        let Ended { code, stderr, .. } = place.run(args);
        assert!(code != 0 && stderr.contains("is the shell variable set"), "{args:?}: {stderr}");
    }
}

#[test]
fn shells_take_the_completions_and_each_command_has_a_page() {
    let place = Place::without_store();
    for (shell, check) in [("bash", Some("-n")), ("zsh", None), ("fish", None)] {
        let script = place.run(&["completions", shell]).done();
        assert!(script.contains("force-clean") && script.contains("older-than"), "{shell}");
        if let Some(check) = check {
            place.write("script", &script);
            let taken = std::process::Command::new(shell).arg(check).arg("script").current_dir(place.path()).status();
            assert!(taken.unwrap().success());
        }
    }
    place.run(&["man", "pages"]).done();
    let page = |name: &str| std::fs::read_to_string(place.path().join("pages").join(name)).unwrap();
    assert!(page("windlass.1").contains("queues") && page("windlass-workers-clean.1").contains("older\\-than"));
}
