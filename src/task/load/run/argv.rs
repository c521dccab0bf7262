//! Reads a program and its arguments, with placeholders where the handler has any.

use std::ffi::OsString;

use super::HandlerContext;
use super::code::{self, Danger};
use super::shell_syntax;
use crate::config::element::literal;
use crate::config::reader::Value;
use crate::task::handler_spec::{Piece, ProcessSettings, Template};
use crate::task::load::program;
use crate::task::template::TemplateError;

/// What a task allows the values of its placeholders.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    /// To begin with a dash.
    pub(super) dash: bool,
    /// To be code.
    pub(super) code: bool,
    /// Not of placeholders: may items hold variables of a shell, which stay as they are?
    pub(super) dollar: bool,
    /// Not of placeholders: to run whatever its stdin holds, because that is nothing.
    pub(super) stdin: bool,
}

/// A program and its arguments.
pub(super) struct Argv {
    pub(super) items: Vec<Template>,
    /// From which item on a literal `--` ends the options of the program that reads the placeholders. `None`: never.
    pub(super) options_end_from: Option<usize>,
}

/// Reads the program and its arguments. Every item is checked, so that all problems are reported.
pub(super) fn read(
    exec: &Value<'_>,
    process: &ProcessSettings,
    allowed: Allowed,
    context: HandlerContext<'_>,
    warnings: &mut Vec<String>,
) -> Option<Argv> {
    let items = read_items(exec)?;
    let mut argv: Vec<Template> = Vec::new();
    let mut good = true;
    for (position, item) in items.iter().enumerate() {
        let Some(template) = read_item(item) else {
            good = false;
            continue;
        };
        if position == 0 {
            match template.as_text().map(|written| read_program(item, written, process, context)) {
                Some(Some(path)) => argv.push(Template { pieces: vec![Piece::Text(path)] }),
                Some(None) => good = false,
                None => {
                    item.report("the program itself must not hold placeholders");
                    good = false;
                }
            }
            continue;
        }
        if template.takes_arguments() && context.periodic {
            item.report("a periodic task takes no arguments: nothing could stand in for the placeholder");
        }
        argv.push(template);
    }
    if !good || argv.is_empty() {
        return None;
    }
    if !allowed.dollar {
        warn_of_shell(&items, &argv);
    }
    let options_end_from = judge(&items, &argv, allowed, warnings);
    Some(Argv { items: argv, options_end_from })
}

/// Reports what the values of placeholders could do. Returns from where on `--` ends the options.
fn judge(items: &[Value<'_>], argv: &[Template], allowed: Allowed, warnings: &mut Vec<String>) -> Option<usize> {
    let verdict = code::judge(argv);
    for (position, danger) in &verdict.dangers {
        let item = &items[*position];
        match danger {
            Danger::Option if allowed.dash => {}
            Danger::Option => item.report(
                "the value would decide which option this is: write the option's whole name (allow_dash = true allows it)",
            ),
            _ if allowed.code => {}
            Danger::Stdin | Danger::StdinArguments if allowed.stdin => {}
            Danger::Perhaps => warnings.push(format!(
                "{}: if the program takes this item for code, anyone who enqueues the job decides what runs; pass the value \
                 as an argument of its own (allow_code = true says that it is meant)",
                item.location_and_key()
            )),
            danger => item.report(lifted(*danger)),
        }
    }
    let mut options_over = allowed.dash;
    for (position, template) in argv.iter().enumerate() {
        options_over |=
            verdict.options_end_from.is_some_and(|from| position >= from) && template.as_text() == Some("--");
        if !options_over && template.begins_with_argument() {
            warnings.push(format!(
                "{}: a value that begins with a dash is refused here; {} (or say allow_dash = true)",
                items[position].location_and_key(),
                if verdict.options_end_from.is_some() {
                    "to take it put \"--\" before it if the program knows that, or \"./\" in front of it if it is a file"
                } else {
                    "to take it put \"./\" in front of it if it is a file, because \"--\" does not end the options of \
                     this program"
                }
            ));
        }
    }
    verdict.options_end_from
}

/// What is wrong, where `allow_code = true` allows it.
fn lifted(danger: Danger) -> &'static str {
    match danger {
        Danger::Program => {
            "a placeholder names the program that runs, so that who enqueues a job decides it; write the program's name \
             (allow_code = true allows it)"
        }
        Danger::Stdin => {
            "without a script this program runs its stdin, which is the job, as code; name the script (stdin = \"none\" gives \
             it no job there, allow_code = true allows it)"
        }
        Danger::StdinArguments => {
            "this program makes arguments of its stdin, which is the job; name the arguments, or a file of them with -a \
             (stdin = \"none\" gives it no job there, allow_code = true allows it)"
        }
        Danger::Plus => {
            "a value that begins with + is a command of this program; put \"--\" before it (allow_code = true allows it)"
        }
        Danger::Mark => {
            "how the value begins decides whether this program takes it for a file: it may be options, a command or a script \
             (`@FILE`, `|COMMAND`, `msl:FILE`); put \"./\" or the file's folder before it (allow_code = true allows it)"
        }
        Danger::Code | Danger::Option | Danger::Perhaps => {
            "the placeholder would become part of code that runs; pass the value as an argument of its own, as in \
             [\"sh\", \"-c\", \"echo \\\"$1\\\"\", \"sh\", \"{x}\"] (allow_code = true allows it)"
        }
    }
}

/// Warns of what no shell reads: variables, redirections, patterns. Items that are code are left alone: what reads them may know
/// these.
pub(in crate::task::load) fn warn_of_shell(items: &[Value<'_>], argv: &[Template]) {
    let written: Vec<&str> = items.iter().map(|item| item.raw().as_str().unwrap_or_default()).collect();
    if let Some(warning) = shell_syntax::judge(argv, &written, |at| is_code(argv, at)) {
        items[warning.position].warn(&warning.message);
    }
    for (position, (item, template)) in items.iter().zip(argv).enumerate().skip(1) {
        let Some(found) = variable_of(template).filter(|_| !is_code(argv, position)) else { continue };
        item.warn(&format!(
            "{found} reaches the program as it stands, because no shell is asked; write the value, or let a shell fill it in: \
             [\"sh\", \"-c\", \"exec PROGRAM \\\"$NAME\\\"\"] (allow_dollar = true says that it is meant)"
        ));
    }
}

/// The first variable or home folder of an item. `${NAME}` is a dollar with a placeholder.
fn variable_of(template: &Template) -> Option<String> {
    let pieces = &template.pieces;
    let text = |(at, piece): (usize, &Piece)| {
        let Piece::Text(text) = piece else { return None };
        let found = if at == 0 { literal::in_path(text) } else { literal::variable(text) };
        let braced = match pieces.get(at + 1) {
            Some(Piece::Arg { written, .. }) if text.ends_with('$') && literal::is_variable(written) => {
                Some(format!("${{{written}}}, a dollar and a placeholder,"))
            }
            _ => None,
        };
        found.map(str::to_owned).or(braced)
    };
    pieces.iter().enumerate().find_map(text)
}

/// Would a placeholder in this item be code?
pub(super) fn is_code(argv: &[Template], position: usize) -> bool {
    let mut probe = argv.to_vec();
    probe[position].pieces = vec![Piece::JobId];
    let is_it = |(at, danger): &(usize, Danger)| {
        *at == position && matches!(danger, Danger::Code | Danger::Program | Danger::Perhaps)
    };
    code::judge(&probe).dangers.iter().any(is_it)
}

/// The same as templates.
pub(in crate::task::load) fn literally(argv: &[String]) -> Vec<Template> {
    argv.iter().map(|text| Template { pieces: vec![Piece::Text(text.clone())] }).collect()
}

/// Reports a program without placeholders that would take its stdin for code.
pub(in crate::task::load) fn judge_plain(items: &[Value<'_>], argv: &[String]) {
    let argv = literally(argv);
    for (position, danger) in code::judge(&argv).dangers {
        if matches!(danger, Danger::Stdin | Danger::StdinArguments) {
            items[position].report(match danger {
                Danger::Stdin => {
                    "without a script this program runs its stdin, which is the job, as code; name the script"
                }
                _ => "this program makes arguments of its stdin, which is the job; name the arguments",
            });
        }
    }
}

/// Reads a program and its arguments without placeholders, for handlers that get their jobs by another way.
pub(super) fn read_plain(
    value: &Value<'_>,
    process: &ProcessSettings,
    dollar: bool,
    context: HandlerContext<'_>,
    warnings: &mut Vec<String>,
) -> Option<Vec<String>> {
    let items = read_items(value)?;
    let read = |(position, item): (usize, &Value<'_>)| {
        let text = read_text(item)?;
        if position == 0 {
            return read_program(item, text, process, context);
        }
        if Template::parse(text).is_ok_and(|template| template.as_text().is_none()) {
            let location = item.location_and_key();
            warnings.push(format!(
                "{location}: is no placeholder here, where a process serves many jobs; it stays as it is"
            ));
        }
        Some(text.to_owned())
    };
    // All items are checked before the first invalid one ends the reading.
    let argv: Vec<Option<String>> = items.iter().enumerate().map(read).collect();
    let argv = argv.into_iter().collect::<Option<Vec<String>>>().filter(|argv| !argv.is_empty())?;
    if !dollar {
        warn_of_shell(&items, &literally(&argv));
    }
    Some(argv)
}

fn read_items<'a>(value: &Value<'a>) -> Option<Vec<Value<'a>>> {
    let items = value.list("a list: the program and its arguments (no shell is asked)")?;
    if items.is_empty() {
        value.report("expected a program (found an empty list)");
    }
    Some(items)
}

fn read_text<'a>(item: &Value<'a>) -> Option<&'a str> {
    let text = item.string()?;
    if text.contains('\0') {
        item.report("must not hold NUL");
        return None;
    }
    Some(text)
}

fn read_item(item: &Value<'_>) -> Option<Template> {
    let text = read_text(item)?;
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(error) => {
            let suggestion = match error {
                TemplateError::UnknownOfJob { suggestion, .. } => suggestion,
                _ => None,
            };
            item.report_with(error.to_string(), suggestion);
            None
        }
    }
}

/// The absolute path of the program. It is looked up once, not for each job.
fn read_program(
    item: &Value<'_>,
    written: &str,
    process: &ProcessSettings,
    context: HandlerContext<'_>,
) -> Option<String> {
    let search = process.variable("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH"));
    program::read(item, written, context.folder, search.as_deref(), process.trusted.as_deref(), context.missing)
}
