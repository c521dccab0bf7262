//! Finds the placeholders that a program would take for code, and the item from which `--` ends its options.
//!
//! The values of placeholders come from strangers. An item that is code (`sh -c`), that names a program (`env`), or that is
//! read on another machine by a shell (`ssh`) must not hold any, because quoting it right is not possible here.

use super::interpreters::{self, Interpreter, Operands};
use super::{clients, frameworks, launchers, machines, media, tools, wrappers};
use crate::task::handler_spec::{Piece, Template};

/// What is wrong with an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Danger {
    /// The program takes the item for code.
    Code,
    /// The item names the program that runs.
    Program,
    /// The value decides which option it is.
    Option,
    /// The program takes its stdin, which is the job, for code.
    Stdin,
    /// The program takes its stdin, which is the job, for arguments.
    StdinArguments,
    /// A program that is not known may take the item for code.
    Perhaps,
    /// A value that begins with a plus is a command of the program.
    Plus,
    /// How a value begins decides whether it is a file or something else: options, a command, a script.
    Mark,
}

/// What an argv means.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The items that are dangerous, by their positions.
    pub(super) dangers: Vec<(usize, Danger)>,
    /// From which item on a literal `--` ends the options of the program that reads the placeholders. `None`: never.
    pub(super) options_end_from: Option<usize>,
}

/// Options that take code in most programs that have them.
const OFTEN_CODE: [&str; 5] = ["--eval", "--execute", "--exec", "--command", "--expression"];
/// Programs whose operands may be options even after `--`.
const NO_END: [&str; 7] = ["find", "gfind", "convert", "magick", "mogrify", "identify", "composite"];

/// Judges a program and its arguments.
pub(super) fn judge(argv: &[Template]) -> Verdict {
    let mut walk = Walk { argv, verdict: Verdict { dangers: Vec::new(), options_end_from: Some(1) } };
    for (position, item) in argv.iter().enumerate().skip(1) {
        if matches!(head(item), "-" | "--") && has_placeholder(item) {
            walk.add(position, Danger::Option);
        }
    }
    walk.program(0, argv.len());
    walk.verdict.dangers.sort_by_key(|(position, _)| *position);
    walk.verdict.dangers.dedup_by_key(|(position, _)| *position);
    walk.verdict
}

/// How a program takes its arguments, if it is a known one. `program` is a name or a path.
fn find(program: &str) -> Option<&'static Interpreter> {
    let (file, name) = (interpreters::file_name(program), interpreters::name(program));
    let name = if wrappers::is_loader(file) { wrappers::LOADER } else { name };
    let names = [name, file, interpreters::without_target(name)];
    let is_it = |known: &&Interpreter| known.names.iter().any(|called| names.contains(called));
    all().find(is_it).or_else(|| interpreters::of_build(file))
}

/// Every row of the table.
fn all() -> impl Iterator<Item = &'static Interpreter> {
    let first = interpreters::ALL.iter().chain(clients::ALL).chain(wrappers::ALL);
    first.chain(launchers::ALL).chain(tools::ALL).chain(media::ALL).chain(frameworks::ALL).chain(machines::ALL)
}

/// Is this literal item the name of a program that is known, wherever it stands? Many tools are called as something else,
/// too: users, containers, commands.
pub(super) fn is_name(text: &str) -> bool {
    let is_it = |known: &&Interpreter| known.names.iter().any(|called| *called == interpreters::name(text));
    let others = tools::ALL.iter().chain(media::ALL).chain(frameworks::ALL).chain(machines::ALL);
    find(text).is_some() && !others.into_iter().any(|known| is_it(&known))
}

/// The literal text at the beginning of an item.
fn head(item: &Template) -> &str {
    match item.pieces.iter().find(|piece| !matches!(piece, Piece::Text(text) if text.is_empty())) {
        Some(Piece::Text(text)) => text,
        _ => "",
    }
}

fn has_placeholder(item: &Template) -> bool {
    item.pieces.iter().any(|piece| !matches!(piece, Piece::Text(_)))
}

struct Walk<'a> {
    argv: &'a [Template],
    verdict: Verdict,
}

impl Walk<'_> {
    fn add(&mut self, position: usize, danger: Danger) {
        self.verdict.dangers.push((position, danger));
    }

    /// An item that must not hold a placeholder.
    fn literal(&mut self, position: usize, danger: Danger) {
        if self.argv.get(position).is_some_and(has_placeholder) {
            self.add(position, danger);
        }
    }

    fn all_literal(&mut self, from: usize, end: usize, danger: Danger) {
        (from..end).for_each(|position| self.literal(position, danger));
    }

    /// The program at this position, and its arguments up to `end`.
    fn program(&mut self, at: usize, end: usize) {
        let Some(item) = self.argv.get(at).filter(|_| at < end) else { return };
        self.verdict.options_end_from = Some(at + 1);
        if has_placeholder(item) {
            return self.add(at, Danger::Program);
        }
        let program = head(item);
        if NO_END.contains(&interpreters::name(program)) {
            self.verdict.options_end_from = None;
        }
        if matches!(interpreters::name(program), "find" | "gfind") {
            return self.find(at + 1, end);
        }
        if wrappers::CONTAINERS.contains(&interpreters::name(program)) {
            return self.in_container(interpreters::name(program), at + 1, end);
        }
        if wrappers::RUNNERS.contains(&interpreters::name(program)) {
            return self.by_command(&wrappers::BY_RUNNER, at + 1, end);
        }
        if wrappers::BY_DASHES.contains(&interpreters::name(program)) {
            return self.by_dashes(at + 1, end);
        }
        if wrappers::BY_PLACE.contains(&interpreters::name(program)) {
            return self.by_command(&wrappers::IN_PLACE, at + 1, end);
        }
        if interpreters::name(program) == "capsh" {
            return self.capsh(at + 1, end);
        }
        match find(program) {
            Some(known) => {
                self.apart(known, at, end);
                self.known(known, at, end);
            }
            None => self.unknown(at + 1, end),
        }
    }

    /// The code of a shell, in these items: one command that takes its stdin for code is found.
    fn script(&mut self, from: usize, end: usize) {
        let items = &self.argv[from.min(end)..end];
        if !items.iter().any(has_placeholder) {
            let text = items.iter().map(head).collect::<Vec<_>>().join(" ");
            self.script_text(from, text.trim());
        }
    }

    fn script_text(&mut self, at: usize, text: &str) {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || " \t/._-+=:,@%".contains(letter);
        if !text.chars().all(plain) {
            return;
        }
        let words: Vec<Template> =
            text.split_whitespace().map(|word| Template { pieces: vec![Piece::Text(word.to_owned())] }).collect();
        // The words are fewer letters than the items that hold them, so that this has an end.
        for (_, danger) in judge(&words).dangers {
            self.add(at, danger);
        }
    }

    fn known(&mut self, known: &Interpreter, program: usize, end: usize) {
        let (mut at, mut operands, mut options_over, mut code_given) = (program + 1, 0, false, false);
        let (mut reads_stdin, mut file_of_arguments, mut leaves_stdin) = (false, false, false);
        let is_shell = known.names == interpreters::SHELL.names;
        let is_git = known.names == ["git"];
        let is_su = known.names.contains(&"su");
        let mut given = Vec::new();
        let mut known = known;
        while at < end {
            let text = head(&self.argv[at]);
            let filled = has_placeholder(&self.argv[at]);
            if text == "--" && !filled && !options_over {
                options_over = true;
                at += 1;
                continue;
            }
            if is_shell && !options_over && !filled && text.len() > 1 && text.starts_with('+') {
                // `+o` and `+O` take the name of what they switch off.
                at += 1 + usize::from(text.ends_with(['o', 'O']));
                continue;
            }
            if !known.flags.is_empty() && !options_over && text.len() > 1 && text.starts_with(['-', '+']) {
                at += self.word(known, at, end);
                continue;
            }
            if !options_over && text.len() > 1 && text.starts_with('-') {
                reads_stdin |= is_shell && !text.starts_with("--") && text.contains('s');
                file_of_arguments |= known.stdin_is_arguments && self.file_of_arguments(at, end);
                leaves_stdin |= options::leaves_stdin(known, text);
                let (gives_code, items) = self.option(known, at, end);
                at += items;
                // `runuser -u USER PROGRAM` has no shell.
                if interpreters::name(head(&self.argv[program])) == "runuser" && options::names_user(known, text) {
                    known = &wrappers::RUNUSER;
                }
                code_given |= gives_code;
                if gives_code && known.names.contains(&"python") {
                    return self.python(at - items, at, end);
                }
                continue;
            }
            if known.plus && !options_over && filled && (text.is_empty() || text.starts_with('+')) {
                self.add(at, if text.is_empty() { Danger::Plus } else { Danger::Code });
            }
            code_given |= known.plus && !options_over && text.starts_with('+');
            self.mark(known, at);
            if operands == 0 && !known.commands.is_empty() {
                let runs = matches!(known.operands, Operands::Program(_));
                if filled && !runs && !text.contains('[') {
                    // The value names the command, and so one of those that run code.
                    self.add(at, Danger::Code);
                } else if let Some(command) = known.commands.iter().find(|command| command.names.contains(&text)) {
                    (known, options_over) = (command, false);
                    at += 1;
                    continue;
                }
            }
            if operands == 0 && !code_given && !options_over && self.is_script(known, at, end) {
                return self.program(at, end);
            }
            if text == "-" && !filled && is_su {
                at += 1;
                continue;
            }
            if is_git && !filled {
                match (operands, text) {
                    (0, command) => known = interpreters::of_git(command),
                    (1, "foreach") => {
                        self.verdict.options_end_from = None;
                        return self.all_literal(at + 1, end, Danger::Code);
                    }
                    (1, "run") if head(&self.argv[at - 1]) == "bisect" => return self.program(at + 1, end),
                    _ => {}
                }
            }
            if known.code_after.iter().any(|words| is_same(words, &given)) {
                self.literal(at, Danger::Code);
            }
            given.push(text);
            if !known.scripts.is_empty() && filled && !text.contains("://") {
                self.add(at, Danger::Code);
                code_given = true;
            }
            code_given |= !filled && known.scripts.iter().any(|end| text.ends_with(end));
            match known.operands {
                Operands::Data => {}
                Operands::Code | Operands::CodeOrStdin if code_given || operands > 0 => {}
                Operands::CodeOrStdin if !filled && interpreters::is_stdin(text) => {
                    self.add(program, Danger::Stdin);
                    code_given = true;
                }
                Operands::Code | Operands::CodeOrStdin => {
                    self.literal(at, Danger::Code);
                    if !known.permutes {
                        let dash_c = is_shell && (program + 1..at).any(|at| is_dash_c(head(&self.argv[at])));
                        // After `sh -c CODE` comes the name of the shell, even if it is `--`.
                        self.verdict.options_end_from = Some(at + 1 + usize::from(dash_c));
                        if dash_c {
                            self.script(at, at + 1);
                        }
                    }
                    code_given = true;
                    if reads_stdin && !known.permutes {
                        self.add(program, Danger::Stdin);
                    }
                }
                Operands::AllCode(skipped) => {
                    if known.code_on_stdin && known.permutes && !filled && interpreters::is_stdin(text) {
                        self.add(program, Danger::Stdin);
                    }
                    if operands >= skipped {
                        self.all_literal(at, at + 1, Danger::Code);
                        // What the code of another program takes for options is not known.
                        if !known.permutes {
                            self.all_literal(at, end, Danger::Code);
                            if !leaves_stdin && known.code_on_stdin {
                                self.script(at, end);
                            }
                        }
                    }
                }
                Operands::Program(skipped) if operands < skipped => {
                    if known.runs_first {
                        self.literal(at, Danger::Program);
                    }
                }
                // The value of an option that is not known here: no program is called so.
                Operands::Program(_) if !filled && is_amount(text) => {
                    at += 1;
                    continue;
                }
                Operands::Program(_) => match text.split_once('=') {
                    Some(_) if !text.starts_with('/') => self.variable(at, text),
                    _ => {
                        self.stdin_arguments(known, program, file_of_arguments);
                        self.hidden(program, at, end);
                        return self.program(at, end);
                    }
                },
            }
            operands += 1;
            options_over |= !known.permutes && matches!(known.operands, Operands::Code | Operands::CodeOrStdin);
            at += 1;
        }
        if known.operands == Operands::CodeOrStdin && operands == 0 && !code_given {
            self.add(program, Danger::Stdin);
        }
        self.stdin_arguments(known, program, file_of_arguments);
        let hides = matches!(known.operands, Operands::Program(_)) && self.hidden(program, end, end);
        let most = match known.operands {
            Operands::AllCode(skipped) | Operands::Program(skipped) => skipped,
            _ => usize::MAX,
        };
        if known.code_on_stdin && !code_given && !hides && !leaves_stdin && operands <= most {
            self.add(program, Danger::Stdin);
        }
    }

    /// A program that runs another one may have options with values that are not known here, so that the name of the
    /// program is taken for a value: `time -p sh`. So each that is known is judged, wherever it stands before the one that
    /// was found. Returns whether there is one.
    fn hidden(&mut self, program: usize, found: usize, end: usize) -> bool {
        // These are names of users, namespaces and containers too (`sudo -u batch`, `docker exec mysql`).
        let other =
            |text: &str| matches!(text, "at" | "batch") || clients::is_also_an_account(interpreters::name(text));
        let is_known = |at: &usize| {
            let text = head(&self.argv[*at]);
            !has_placeholder(&self.argv[*at]) && !other(text) && is_name(text)
        };
        let Some(at) = (program + 1..found).find(is_known) else { return false };
        self.program(at, end);
        true
    }

    fn stdin_arguments(&mut self, known: &Interpreter, program: usize, file_of_arguments: bool) {
        if known.stdin_is_arguments && !file_of_arguments {
            self.add(program, Danger::StdinArguments);
        }
    }
}

/// Are these operands those words? Clients of servers do not look at their case.
fn is_same(words: &[&str], given: &[&str]) -> bool {
    words.len() == given.len() && words.iter().zip(given).all(|(word, given)| word.eq_ignore_ascii_case(given))
}

/// Is this a number, perhaps with its unit: `50`, `0.5`, `10s`, `0,2-3`?
fn is_amount(text: &str) -> bool {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic() || letter == '%');
    text.len() <= number.len() + 2
        && number.starts_with(|letter: char| letter.is_ascii_digit())
        && number.chars().all(|letter| letter.is_ascii_digit() || ".,:-/".contains(letter))
}

/// Is this `-c`, alone or in a group such as `-ec`?
fn is_dash_c(item: &str) -> bool {
    item.strip_prefix('-')
        .is_some_and(|group| group.contains('c') && group.bytes().all(|letter| letter.is_ascii_lowercase()))
}

mod apart;
mod options;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod tests;
mod unknown;
