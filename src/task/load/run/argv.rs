//! Reads a program and its arguments, with placeholders where the handler has any.

use std::ffi::OsString;
use std::path::Path;

use super::HandlerContext;
use crate::config::reader::Value;
use crate::task::handler_spec::{Piece, ProcessSettings, Template};
use crate::task::load::program;
use crate::task::template::TemplateError;

/// Reads the program and its arguments. Every item is checked, so that all problems are reported.
pub(super) fn read(
    exec: &Value<'_>,
    process: &ProcessSettings,
    context: HandlerContext<'_>,
    warnings: &mut Vec<String>,
) -> Option<Vec<Template>> {
    let items = read_items(exec)?;
    let mut argv: Vec<Template> = Vec::new();
    let mut good = true;
    for (position, item) in items.iter().enumerate() {
        let Some(template) = read_item(item) else {
            good = false;
            continue;
        };
        if position == 0 {
            match template.as_text().map(|written| read_program(item, written, process, context.folder)) {
                Some(Some(path)) => argv.push(Template { pieces: vec![Piece::Text(path)] }),
                Some(None) => good = false,
                None => {
                    item.report("the program itself must not hold placeholders");
                    good = false;
                }
            }
            continue;
        }
        if template.takes_arguments() {
            if context.periodic {
                item.report("a periodic task takes no arguments: nothing could stand in for the placeholder");
            } else if items[position - 1].raw().as_str().is_some_and(runs_code) {
                warnings.push(format!(
                    "{}: a placeholder in the item after -c becomes part of the code that runs; pass it as an \
                     argument of its own",
                    item.location_and_key()
                ));
            }
        }
        argv.push(template);
    }
    (good && !argv.is_empty()).then_some(argv)
}

/// Reads a program and its arguments without placeholders, for handlers that get their jobs by another way.
pub(super) fn read_plain(
    value: &Value<'_>,
    process: &ProcessSettings,
    context: HandlerContext<'_>,
    warnings: &mut Vec<String>,
) -> Option<Vec<String>> {
    let items = read_items(value)?;
    let read = |(position, item): (usize, &Value<'_>)| {
        let text = read_text(item)?;
        if position == 0 {
            return read_program(item, text, process, context.folder);
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
    argv.into_iter().collect::<Option<Vec<String>>>().filter(|argv| !argv.is_empty())
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
fn read_program(item: &Value<'_>, written: &str, process: &ProcessSettings, folder: &Path) -> Option<String> {
    let search = process.env.get("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH"));
    let found = program::find(written, folder, search.as_deref(), process.trusted.as_deref());
    let path = found.map_err(|error| item.report(error.to_string())).ok()?;
    if path.to_str().is_none() {
        item.report(format!("expected a path in UTF-8 (found {})", path.display()));
    }
    path.to_str().map(str::to_owned)
}

/// Is this `-c`, alone or as the last option of a group such as `-ec`?
fn runs_code(item: &str) -> bool {
    item.strip_prefix('-').is_some_and(|bundle| bundle.ends_with('c') && bundle.bytes().all(|b| b.is_ascii_lowercase()))
}
