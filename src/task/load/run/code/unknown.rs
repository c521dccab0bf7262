//! Judges programs whose options are not known here, and those that run another program by a command of theirs.

use super::{Danger, OFTEN_CODE, Template, Walk, find, has_placeholder, head, is_dash_c, is_name};
use crate::task::load::run::interpreters::{self, Interpreter};
use crate::task::load::run::{machines, wrappers};

/// Actions of `find` that run a program.
const FIND_RUNS: [&str; 4] = ["-exec", "-execdir", "-ok", "-okdir"];

impl Walk<'_> {
    /// What `find` runs for each file.
    pub(super) fn find(&mut self, from: usize, end: usize) {
        let mut at = from;
        while at < end {
            if FIND_RUNS.contains(&head(&self.argv[at])) {
                let over = |item: &Template| !has_placeholder(item) && matches!(head(item), ";" | "+");
                let stop = (at + 1..end).find(|at| over(&self.argv[*at])).unwrap_or(end);
                self.program(at + 1, stop);
                self.verdict.options_end_from = None;
                at = stop;
            }
            at += 1;
        }
    }

    /// A program that runs another one by its command `exec` or `run`, which takes its arguments like this.
    pub(super) fn by_command(&mut self, command: &Interpreter, from: usize, end: usize) {
        let runs = |at: &usize| !has_placeholder(&self.argv[*at]) && command.names.contains(&head(&self.argv[*at]));
        match (from..end).find(runs) {
            Some(at) => self.known(command, at, end),
            None => self.unknown(from, end),
        }
    }

    /// A program that runs another one in a container: one that runs already, or one of an image, which is code itself.
    pub(super) fn in_container(&mut self, program: &str, from: usize, end: usize) {
        let named = |at: &usize, row: &Interpreter| {
            !has_placeholder(&self.argv[*at]) && row.names.contains(&head(&self.argv[*at]))
        };
        let by_image = wrappers::BY_IMAGE.contains(&program);
        let row = machines::of_container(program);
        let command = (from..end).find(|at| named(at, &wrappers::OF_FILE));
        if let (Some(row), Some(at)) = (row, command) {
            self.options_before(row, from, at);
        }
        match command {
            Some(at) if by_image => self.known(&wrappers::OF_FILE, at, end),
            Some(at) if named(&at, &wrappers::OF_IMAGE) => self.known(&wrappers::OF_IMAGE, at, end),
            Some(at) => self.known(&wrappers::IN_CONTAINER, at, end),
            None => match row {
                Some(row) => {
                    // What stands behind two dashes is the program of a container: `kubectl create job NAME --image I -- PROGRAM`.
                    let dashes =
                        (from..end).find(|at| !has_placeholder(&self.argv[*at]) && head(&self.argv[*at]) == "--");
                    self.known(row, from - 1, dashes.unwrap_or(end));
                    if let Some(dashes) = dashes {
                        self.program(dashes + 1, end);
                    }
                }
                None => self.unknown(from, end),
            },
        }
    }

    /// The options before such a command.
    fn options_before(&mut self, row: &Interpreter, from: usize, command: usize) {
        let is_compose = |at: usize| !has_placeholder(&self.argv[at]) && head(&self.argv[at]) == "compose";
        let compose = (from..command).find(|at| is_compose(*at));
        let mut at = from;
        while at < command {
            let row = if compose.is_some_and(|compose| at > compose) { &machines::OF_COMPOSE } else { row };
            let is_option = head(&self.argv[at]).len() > 1 && head(&self.argv[at]).starts_with('-');
            at += if is_option { self.option(row, at, command).1 } else { 1 };
        }
    }

    /// A program that runs another one by a command of its own, behind two dashes if there are any.
    pub(super) fn by_dashes(&mut self, from: usize, end: usize) {
        let literal = |at: &usize| !has_placeholder(&self.argv[*at]);
        let is_command = |at: &usize| literal(at) && wrappers::BEFORE_DASHES.names.contains(&head(&self.argv[*at]));
        let Some(command) = (from..end).find(is_command) else { return self.unknown(from, end) };
        match (command..end).find(|at| literal(at) && head(&self.argv[*at]) == "--") {
            Some(dashes) => {
                for at in command + 1..dashes {
                    if matches!(head(&self.argv[at]).split('=').next(), Some("-c" | "--command")) {
                        self.literal(at, Danger::Code);
                        self.literal(at + 1, Danger::Code);
                    }
                }
                self.program(dashes + 1, end);
            }
            None => self.known(&wrappers::BEFORE_DASHES, command, end),
        }
    }

    /// `capsh` gives a shell what follows two dashes.
    pub(super) fn capsh(&mut self, from: usize, end: usize) {
        let is_shell = |at: &usize| !has_placeholder(&self.argv[*at]) && matches!(head(&self.argv[*at]), "--" | "==");
        let shell = (from..end).find(is_shell);
        for at in from..shell.unwrap_or(end) {
            if head(&self.argv[at]).starts_with("--sh") {
                self.literal(at, Danger::Program);
            }
        }
        if let Some(at) = shell {
            self.known(&interpreters::SHELL, at, end);
        }
    }

    /// A program that is not known: it may run a shell, or have an option that takes code.
    pub(super) fn unknown(&mut self, from: usize, end: usize) {
        for at in from..end {
            let (item, next) = (&self.argv[at], at + 1);
            let (text, filled) = (head(item), has_placeholder(item));
            if !filled && next < end && interpreters::is_shell(text) && is_dash_c(head(&self.argv[next])) {
                return self.program(at, end);
            }
            if !filled {
                self.perhaps(at, end);
            }
            let long = OFTEN_CODE.contains(&text.split('=').next().unwrap_or_default());
            if !filled && (long || is_dash_c(text)) {
                self.literal(next, Danger::Perhaps);
            } else if filled && long {
                self.add(at, Danger::Perhaps);
            }
        }
    }

    /// An argument of a program that is not known. If it is called as an interpreter with an option that takes code, the
    /// program may run it.
    fn perhaps(&mut self, at: usize, end: usize) {
        let Some(known) = find(head(&self.argv[at])).filter(|_| is_name(head(&self.argv[at]))) else { return };
        for option in at + 1..end {
            let (text, filled) = (head(&self.argv[option]), has_placeholder(&self.argv[option]));
            let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.starts_with('-')) else { return };
            if letters.contains(|letter| known.code.contains(letter)) {
                self.literal(option, Danger::Perhaps);
                if !filled && option + 1 < end {
                    self.literal(option + 1, Danger::Perhaps);
                }
                return;
            }
        }
    }
}
