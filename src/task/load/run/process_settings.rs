//! Reads the folder, environment, user and limits of a program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::HandlerContext;
use crate::config::element::duration::{self, Unit};
use crate::config::element::literal;
use crate::config::element::size;
use crate::config::reader::{Table, Underlay, Value};
use crate::file::bounded;
use crate::process::confine::{self, Confines, Limits};
use crate::process::private;
use crate::task::environment::{EnvFiles, EnvSource, judge_name};
use crate::task::handler_spec::{EnvLayer, ProcessSettings};
use crate::task::load::program::report_missing;

/// The keys of these settings.
pub(super) const KEYS: [&str; 10] =
    ["allow_dollar", "cwd", "env", "env_clear", "env_file", "user", "group", "umask", "limits", "no_new_privs"];

/// The variable with the folder of the credentials that systemd passes.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// What to write in the place of a variable.
const WRITE_IT: &str = "write the whole value: the program inherits the daemon's variables anyway, and exec = [\"sh\", \"-c\", \
                        ...] can compose others (allow_dollar = true: it is meant)";
/// The smallest address space in which a program can start.
const MIN_MEMORY_BYTES: u64 = 1 << 20;
/// The largest count that is accepted.
const MAX_LIMIT: u64 = 1_000_000_000;

/// Reads all keys. An invalid value is reported and then counts as absent.
pub(super) fn read(run: &mut Table<'_>, context: HandlerContext<'_>, warnings: &mut Vec<String>) -> ProcessSettings {
    let folder = context.folder;
    let no_new_privs = run.take("no_new_privs").and_then(|value| value.boolean());
    let mut confines = Confines {
        user: run.take("user").and_then(|value| read_account(&value, "user", confine::user, warnings)),
        group: run.take("group").and_then(|value| read_account(&value, "group", confine::group, warnings)),
        umask: run.take("umask").and_then(|value| read_umask(&value)),
        limits: run.take("limits").map(|value| read_limits(&value)).unwrap_or_default(),
        no_new_privs: false,
    };
    // The program runs with the rights of its user, who can do what it does anyway.
    let trusted = context.trusted.map(|trusted| match &confines.user {
        Some(user) => Arc::new(trusted.and(user.uid)),
        None => Arc::clone(trusted),
    });
    // Who is to be root keeps root's rights.
    let gives_up_rights = confines.user.as_ref().is_some_and(|user| user.uid != 0);
    confines.no_new_privs = no_new_privs.unwrap_or(gives_up_rights);
    let env_files = EnvFiles::new(context.trusted, trusted.as_ref(), confines.user.as_ref());
    let context = Context { handler: context, files: &env_files };
    let mut env_sources = run.take_own("env_file").map(|value| read_files(&value, context)).unwrap_or_default();
    let dollar = run.take("allow_dollar").and_then(|value| value.boolean()).unwrap_or(false);
    let env = run.take_own("env").map(|value| read_env(&value, context, dollar, &mut env_sources)).unwrap_or_default();
    let is_own = |name: &str| {
        env.contains_key(name)
            || env_sources.iter().any(|source| matches!(source, EnvSource::Value { name: own, .. } if own == name))
    };
    let inherited = run.underlay().map(|underlay| inherited(underlay, context, dollar, is_own)).unwrap_or_default();
    ProcessSettings {
        trusted,
        cwd: run.take("cwd").and_then(|value| read_cwd(&value, context.handler)).unwrap_or_else(|| folder.to_owned()),
        inherited,
        env,
        env_sources,
        env_clear: run.take("env_clear").and_then(|value| value.boolean()).unwrap_or(false),
        confines: (confines != Confines::default()).then(|| Arc::new(confines)),
        env_files: env_files.clone(),
    }
}

fn read_cwd(value: &Value<'_>, context: HandlerContext<'_>) -> Option<PathBuf> {
    let written = literal::path(value)?;
    let path: PathBuf = value.document().folder().join(written).components().collect();
    if !path.is_dir() {
        report_missing(value, &format!("expected a folder that exists (found {written:?})"), context.missing);
    }
    Some(path)
}

/// What the variables are read with.
#[derive(Clone, Copy)]
struct Context<'a> {
    handler: HandlerContext<'a>,
    files: &'a EnvFiles,
}

/// The variables of `[defaults]`, without those that the task has itself.
fn inherited(underlay: &Underlay<'_>, context: Context<'_>, dollar: bool, is_own: impl Fn(&str) -> bool) -> EnvLayer {
    let mut layer = EnvLayer::default();
    if let Some(value) = underlay.get("env_file") {
        underlay.note("env_file", &value);
        layer.env_sources = read_files(&value, context);
    }
    let Some(mut table) = underlay.get("env").and_then(|value| value.table("a table of variables")) else {
        return layer;
    };
    for (name, value) in table.all() {
        if !is_own(name) {
            underlay.note(format!("env.{name}"), &value);
            read_variable(name, &value, context, dollar, &mut layer.env, &mut layer.env_sources);
        }
    }
    layer
}

/// The literal variables; those that stand in files are added to `sources`.
fn read_env(
    value: &Value<'_>,
    context: Context<'_>,
    dollar: bool,
    sources: &mut Vec<EnvSource>,
) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let Some(mut table) = value.table("a table of variables") else { return env };
    for (name, value) in table.all() {
        read_variable(name, &value, context, dollar, &mut env, sources);
    }
    env
}

fn read_variable(
    name: &str,
    value: &Value<'_>,
    context: Context<'_>,
    dollar: bool,
    env: &mut BTreeMap<String, String>,
    sources: &mut Vec<EnvSource>,
) {
    if let Err(why) = judge_name(name) {
        value.report(why);
    } else if let Some(text) = value.raw().as_str() {
        if text.contains('\0') {
            value.report("a value must not contain NUL");
        } else {
            if !dollar {
                literal::warn(value, WRITE_IT);
            }
            env.insert(name.to_owned(), text.to_owned());
        }
    } else if let Some(path) = file_of(value) {
        sources.push(checked(EnvSource::Value { name: name.to_owned(), path }, value, context));
    }
}

/// `{ file = "PATH" }`, or `{ credential = "NAME" }`, a credential that systemd has passed to the daemon.
fn file_of(value: &Value<'_>) -> Option<PathBuf> {
    const FORMS: &str = "a text, { file = \"PATH\" } or { credential = \"NAME\" }";
    let mut table = value.table(FORMS)?;
    let (file, credential) = (table.take("file"), table.take("credential"));
    table.finish();
    match (file, credential) {
        (Some(file), None) => Some(value.document().folder().join(literal::path(&file)?)),
        (None, Some(credential)) => {
            let name = credential.string()?;
            if name.is_empty() || name.contains(['/', '\0']) || [".", ".."].contains(&name) {
                credential.expected("the name of a credential");
                return None;
            }
            let folder = private::variable(CREDENTIALS).unwrap_or_else(|| format!("${CREDENTIALS}").into());
            Some(Path::new(&folder).join(name))
        }
        _ => {
            value.report(format!("expected {FORMS}"));
            None
        }
    }
}

/// `env_file`: one or several.
fn read_files(value: &Value<'_>, context: Context<'_>) -> Vec<EnvSource> {
    let items = if value.raw().as_str().is_some() {
        vec![value.clone()]
    } else {
        value.list("a path or a list of paths").unwrap_or_default()
    };
    let source = |item: Value<'_>| {
        let path = item.document().folder().join(literal::path(&item)?);
        Some(checked(EnvSource::Lines(path), &item, context))
    };
    items.into_iter().filter_map(source).collect()
}

/// Says what would fail at a run. A process that only enqueues jobs does not need it, so that the task is valid.
fn checked(source: EnvSource, value: &Value<'_>, context: Context<'_>) -> EnvSource {
    if let Some(warning) = bounded::exposed_secret(source.path()) {
        context.handler.exposed.borrow_mut().push(format!("{}: {warning}", value.location_and_key()));
    }
    if let Err(error) = context.files.read(&source) {
        let is_without = source.path().starts_with(format!("${CREDENTIALS}"));
        let hint =
            if is_without { "; systemd passes a credential by LoadCredential=NAME:PATH in the unit" } else { "" };
        let why = format!("expected variables that can be read: failed to {error}{hint}");
        context.handler.unavailable.borrow_mut().push(value.problem(&why));
    }
    source
}

/// A user or a group, by its name on this system.
fn read_account<T>(
    value: &Value<'_>,
    what: &str,
    find: impl FnOnce(&str) -> std::io::Result<Option<T>>,
    warnings: &mut Vec<String>,
) -> Option<T> {
    let name = value.string()?;
    match find(name) {
        Ok(Some(found)) => {
            if !confine::is_root() {
                let location = value.location_and_key();
                warnings
                    .push(format!("{location}: only root may run programs as another {what}; others' jobs will fail"));
            }
            return Some(found);
        }
        Ok(None) => value.expected(&format!("the name of a {what} of this system")),
        Err(error) => value.report(format!("the {what}s of this system cannot be asked: {error}")),
    }
    None
}

/// Octal digits in a string. A bare number is refused, because it could be meant as decimal or as octal.
fn read_umask(value: &Value<'_>) -> Option<u32> {
    let umask = value.raw().as_str().and_then(|text| {
        let octal = !text.is_empty() && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        octal.then(|| u32::from_str_radix(text, 8).ok()).flatten().filter(|umask| *umask <= 0o777)
    });
    if umask.is_none() {
        value.expected("a umask in octal digits such as \"027\"");
    }
    umask
}

fn read_limits(value: &Value<'_>) -> Limits {
    let Some(mut table) = value.table("a table of limits") else { return Limits::default() };
    let mut limits = Limits {
        memory: table.take("memory").and_then(|value| size::read(&value, MIN_MEMORY_BYTES)),
        cpu_s: table.take("cpu").and_then(|value| {
            let time = duration::read(&value, Unit::Milliseconds, Duration::from_secs(1))?;
            // The kernel counts whole seconds, so the limit is rounded up.
            Some(time.as_secs() + u64::from(time.subsec_nanos() > 0))
        }),
        file_size: table.take("file_size").and_then(|value| size::read(&value, 0)),
        ..Limits::default()
    };
    limits.processes = table.take("processes").and_then(|value| value.whole_number(1..=MAX_LIMIT));
    // Below that a program cannot even load its libraries.
    limits.open_files = table.take("open_files").and_then(|value| value.whole_number(4..=MAX_LIMIT));
    table.finish();
    limits
}
