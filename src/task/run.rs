//! Reads `[run]` of a task: exactly one handler, with what goes with it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::handler_spec::{BuiltinSpec, ExecSpec, HandlerSpec, OutputMode, Piece, ResultMode, Template};
use super::program;
use super::template::TemplateError;
use crate::config::element::duration::{self, Unit};
use crate::config::element::redeliveries;
use crate::config::error::closest;
use crate::config::reader::{Table, Value};

/// What goes with `exec`; written at the task itself, it is refused with a hint.
pub(super) const OF_EXEC: [&str; 7] =
    ["cwd", "env", "output", "result", "allow_dash", "retry_later", "retry_later_limit"];

/// What comes later.
pub(super) const NOT_BUILT: [&str; 5] = ["limits", "user", "group", "umask", "env_clear"];

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
}

/// Reads the handler. It may be used only if no problem was reported meanwhile.
pub(super) fn read(mut run: Table<'_>, around: Around<'_>, warnings: &mut Vec<String>) -> Option<HandlerSpec> {
    let exec = run.take("exec");
    let builtin = run.take("builtin");
    let later = run.has("rpc") || run.has("http");
    run.refuse("rpc", "rpc is not built yet in this version; exec runs a process for each job");
    run.refuse("http", "http is not built yet in this version; exec can run curl");
    for key in NOT_BUILT {
        run.refuse(key, &format!("{key} is not built yet in this version; remove it"));
    }
    for key in OF_TASK {
        run.refuse(key, "belongs to the task: write it above [run]");
    }
    let handler = match (&exec, &builtin) {
        (Some(_), Some(_)) => {
            run.report("expected exactly one handler (found exec and builtin)");
            None
        }
        (None, None) if later => None,
        (None, None) => {
            run.report("expected a handler: exec = [\"PROGRAM\", \"ARGUMENT\"] or builtin = \"NAME\" (missing)");
            None
        }
        (Some(exec), None) => read_exec(exec, &mut run, around, warnings).map(HandlerSpec::Exec),
        (None, Some(builtin)) => {
            for key in OF_EXEC {
                run.refuse(key, "goes with exec only");
            }
            read_builtin(builtin, around.builtins).map(HandlerSpec::Builtin)
        }
    };
    if exec.is_some() == builtin.is_some() {
        // Nobody read the keys of the handler, and they are not unknown for that.
        OF_EXEC.iter().for_each(|key| drop(run.take(key)));
    }
    run.finish();
    handler
}

fn read_builtin(value: &Value<'_>, builtins: &[&str]) -> Option<BuiltinSpec> {
    let name = value.string()?;
    if !builtins.contains(&name) {
        let what = format!("a builtin: {}", builtins.join(", "));
        value.expected_one_of(&what, closest(name, builtins.iter().copied()));
        return None;
    }
    Some(BuiltinSpec { name: name.to_owned() })
}

fn read_exec(
    exec: &Value<'_>,
    run: &mut Table<'_>,
    around: Around<'_>,
    warnings: &mut Vec<String>,
) -> Option<ExecSpec> {
    let env = run.take("env").map(|value| read_env(&value)).unwrap_or_default();
    let cwd = run.take("cwd").and_then(|value| read_cwd(&value, around.folder));
    let output = run.take("output").and_then(|value| {
        value.one_of("\"log\" or \"discard\"", &[("log", OutputMode::Log), ("discard", OutputMode::Discard)])
    });
    let result =
        run.take("result").and_then(|value| value.one_of("\"last_line\"", &[("last_line", ResultMode::LastLine)]));
    let allow_dash = run.take("allow_dash").and_then(|value| value.boolean());
    let retry_later =
        run.take("retry_later").and_then(|value| duration::read(&value, Unit::Milliseconds, Duration::from_millis(1)));
    let retry_later_limit = run.take("retry_later_limit").and_then(|value| redeliveries::read(&value));
    Some(ExecSpec {
        argv: read_argv(exec, &env, around, warnings)?,
        cwd: cwd.unwrap_or_else(|| around.folder.to_owned()),
        env,
        output: output.unwrap_or(OutputMode::Log),
        result: result.unwrap_or(ResultMode::Nothing),
        allow_dash: allow_dash.unwrap_or(false),
        retry_later: retry_later.unwrap_or(Duration::from_secs(30)),
        retry_later_limit: retry_later_limit.unwrap_or(25),
    })
}

/// Reads the program and its arguments. Every item is judged, so that all problems are told.
fn read_argv(
    exec: &Value<'_>,
    env: &BTreeMap<String, String>,
    around: Around<'_>,
    warnings: &mut Vec<String>,
) -> Option<Vec<Template>> {
    let items = exec.list("a list: the program and its arguments (no shell is asked)")?;
    if items.is_empty() {
        exec.report("expected a program (found an empty list)");
    }
    let mut argv: Vec<Template> = Vec::new();
    let mut good = true;
    for (position, item) in items.iter().enumerate() {
        let Some(template) = read_item(item) else {
            good = false;
            continue;
        };
        if position == 0 {
            match read_program(item, &template, env, around.folder) {
                Some(program) => argv.push(program),
                None => good = false,
            }
            continue;
        }
        if template.takes_arguments() {
            if around.periodic {
                item.report("a periodic task takes no arguments: nothing could stand in for the placeholder");
            } else if items[position - 1].raw().as_str().is_some_and(runs_code) {
                warnings.push(format!(
                    "{}: a placeholder in the item after -c becomes part of the code that runs; pass it as an \
                     argument of its own",
                    item.place_and_key()
                ));
            }
        }
        argv.push(template);
    }
    (good && !argv.is_empty()).then_some(argv)
}

fn read_item(item: &Value<'_>) -> Option<Template> {
    let text = item.string()?;
    if text.contains('\0') {
        item.report("must not hold NUL");
        return None;
    }
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

/// The program by its whole path: it is found here, once, and not again for each job.
fn read_program(
    item: &Value<'_>,
    template: &Template,
    env: &BTreeMap<String, String>,
    folder: &Path,
) -> Option<Template> {
    let Some(written) = template.as_text() else {
        item.report("the program itself must not hold placeholders");
        return None;
    };
    let search = env.get("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH"));
    let found = program::find(written, folder, search.as_deref()).map_err(|error| item.report(error.to_string()));
    let path = found.ok()?;
    let Some(path) = path.to_str() else {
        item.report(format!("expected a path in UTF-8 (found {})", path.display()));
        return None;
    };
    Some(Template { pieces: vec![Piece::Text(path.to_owned())] })
}

/// `-c`, alone or as the last of a bundle such as `-ec`.
fn runs_code(item: &str) -> bool {
    item.strip_prefix('-').is_some_and(|bundle| bundle.ends_with('c') && bundle.bytes().all(|b| b.is_ascii_lowercase()))
}

fn read_cwd(value: &Value<'_>, folder: &Path) -> Option<PathBuf> {
    let path: PathBuf = folder.join(value.string()?).components().collect();
    if !path.is_dir() {
        value.expected("a folder that exists");
        return None;
    }
    Some(path)
}

fn read_env(value: &Value<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let Some(mut table) = value.table("a table of strings") else { return env };
    for (name, value) in table.all() {
        let Some(text) = value.string() else { continue };
        if name.is_empty() || name.contains(['=', '\0']) || text.contains('\0') {
            value.report("a variable's name must hold neither = nor NUL, its value no NUL");
        } else if name.starts_with("WINDLASS_") {
            value.report("variables that begin with WINDLASS_ are set for each job; choose another name");
        } else {
            env.insert(name.to_owned(), text.to_owned());
        }
    }
    env
}
