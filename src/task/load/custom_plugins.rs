//! Reads custom plugins: `{ exec = [...], hooks = [...] }` in `plugins`, and options of any shape.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::program::{self, Missing};
use super::run::argv::{judge_plain, literally, warn_of_shell};
use super::values::json;
use crate::config::element::duration::{self, Unit};
use crate::config::reader::{Table, Value};
use crate::file::trust::Owners;
use crate::job::ecma::quote;
use crate::task::hook_point::{HookPoint, HookPoints};
use crate::task::plugin_spec::{BUILT_IN, CustomPlugin, CustomPluginSource, PluginProgram};

/// The default time limit of an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

const HOOKS: &str = "before_enqueue, after_enqueue, before_perform or after_perform";

/// A plugin that is registered in code.
pub(super) fn in_code(name: &str) -> CustomPlugin {
    CustomPlugin { name: Arc::from(name), options: no_options(), source: CustomPluginSource::Code }
}

/// A program that is a plugin. `item` is its table in `plugins`, `folder` that of the task file. It runs as the daemon does,
/// whatever user the task has.
pub(super) fn program(
    item: &Value<'_>,
    folder: &Path,
    trusted: Option<&Arc<Owners>>,
    missing: &Missing,
) -> Option<CustomPlugin> {
    let mut table = item.table("a table with exec and hooks")?;
    let dollar = table.take("allow_dollar").and_then(|value| value.boolean()).unwrap_or(false);
    let argv = table
        .required("exec", "the plugin's program and its arguments")
        .and_then(|exec| argv(&exec, folder, dollar, trusted, missing));
    let hooks = table.required("hooks", &format!("a list of where it is asked: {HOOKS}"));
    let points = hooks.and_then(|hooks| points(&hooks));
    let min = Duration::from_millis(1);
    let timeout = table.take("timeout").map_or(Some(TIMEOUT), |value| duration::read(&value, Unit::Milliseconds, min));
    let name = match table.take("name") {
        Some(value) => name(&value, value.string()?),
        // The default name: the program's, without its extension.
        None => argv.as_deref().and_then(stem).and_then(|stem| name(item, stem)),
    };
    table.finish();
    let program = PluginProgram {
        argv: argv?,
        cwd: folder.to_owned(),
        timeout: timeout?,
        points: points?,
        trusted: trusted.cloned(),
        account: None,
    };
    Some(CustomPlugin {
        name: Arc::from(name?.as_str()),
        options: no_options(),
        source: CustomPluginSource::Program(Arc::new(program)),
    })
}

fn stem(argv: &[String]) -> Option<&str> {
    Path::new(argv.first()?).file_stem()?.to_str()
}

fn name(value: &Value<'_>, name: &str) -> Option<String> {
    if BUILT_IN.contains(&name) {
        value.report(format!(
            "{name} is a built-in plugin: list it as \"{name}\" and set its options under [plugin_options.{name}]; \
             a program needs another name"
        ));
    } else if name.trim().is_empty() || name.chars().any(char::is_control) {
        value.report("a plugin's name must not be empty or contain control characters");
    } else {
        return Some(name.to_owned());
    }
    None
}

/// The hooks of the plugin. They must be listed, because each one costs a process per job.
fn points(value: &Value<'_>) -> Option<HookPoints> {
    let words: Vec<_> = HookPoint::ALL
        .into_iter()
        .flat_map(|point| [(point.name(), point), (point.camel_case_name(), point)])
        .collect();
    let items = value.list(&format!("a list of where it is asked: {HOOKS}"))?;
    if items.is_empty() {
        value.report(format!("expected at least one of {HOOKS} (found an empty list)"));
        return None;
    }
    let (mut points, mut good) = (HookPoints::NONE, true);
    for item in items {
        match item.one_of(HOOKS, &words) {
            Some(point) if points.contains(point) => {
                item.report(format!("{} is listed twice", point.name()));
                good = false;
            }
            Some(point) => points = points.with(point),
            None => good = false,
        }
    }
    good.then_some(points)
}

/// The program by its absolute path, and its literal arguments: the job comes on stdin.
fn argv(
    exec: &Value<'_>,
    folder: &Path,
    dollar: bool,
    trusted: Option<&Arc<Owners>>,
    missing: &Missing,
) -> Option<Vec<String>> {
    let items = exec.list("a list: the program and its arguments (no shell is asked)")?;
    if items.is_empty() {
        exec.report("expected a program (found an empty list)");
        return None;
    }
    let (mut argv, mut good) = (Vec::new(), true);
    for (position, item) in items.iter().enumerate() {
        let text = item.string().filter(|text| {
            let fits = !text.contains('\0');
            if !fits {
                item.report("must not hold NUL");
            }
            fits
        });
        let text = match text {
            Some(text) if position == 0 => found(item, text, folder, trusted, missing),
            text => text.map(str::to_owned),
        };
        match text {
            Some(text) => argv.push(text),
            None => good = false,
        }
    }
    if good {
        if !dollar {
            warn_of_shell(&items, &literally(&argv));
        }
        judge_plain(&items, &argv);
    }
    good.then_some(argv)
}

fn found(
    item: &Value<'_>,
    written: &str,
    folder: &Path,
    trusted: Option<&Arc<Owners>>,
    missing: &Missing,
) -> Option<String> {
    let search = std::env::var_os("PATH");
    program::read(item, written, folder, search.as_deref(), trusted.map(AsRef::as_ref), missing)
}

fn no_options() -> Arc<str> {
    Arc::from("{}")
}

/// The options of a custom plugin, as a JSON object. Any options are accepted.
pub(super) fn options(mut table: Table<'_>) -> Arc<str> {
    let member = |(name, value): (&str, Value<'_>)| Some(format!("{}:{}", quote(name), json(&value)?));
    let members: Vec<String> = table.all().into_iter().filter_map(member).collect();
    Arc::from(format!("{{{}}}", members.join(",")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::task::load::{KnownNames, load};
    use crate::task::plugin_spec::PluginSpec;

    /// The plugins, or the problems with their columns. The folder of the task has the programs `policy`, `locked` (not
    /// executable) and `open` (world-writable).
    fn read(lines: &str) -> Result<Vec<PluginSpec>, Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [("policy", 0o755), ("locked", 0o644), ("open", 0o757)] {
            let path = dir.path().join(name);
            std::fs::write(&path, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let text = format!("name = \"t\"\n{lines}\n[run]\nbuiltin = \"noop\"\n");
        std::fs::write(dir.path().join("t.toml"), text).unwrap();
        let tasks = load(dir.path(), KnownNames::new(&["noop"], &["Audit"]));
        let folder = format!("{}/", dir.path().display());
        if !tasks.problems.is_empty() {
            return Err(tasks.problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect());
        }
        Ok(tasks.registry.get("t").unwrap().plugins.clone())
    }

    fn own(plugin: &PluginSpec) -> &CustomPlugin {
        match plugin {
            PluginSpec::Custom(own) => own,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn programs_and_code_stand_among_the_built_in_plugins_in_order() {
        let plugins = read(
            "plugins = [\"QueueLock\", { exec = [\"./policy\", \"--x\", \"{to}\"], timeout = \"2s\", \
             hooks = [\"before_perform\", \"afterPerform\"], name = \"gate\" }, \"Audit\", \
             { exec = [\"./policy\"], hooks = [\"after_enqueue\"] }]",
        )
        .unwrap();
        let names: Vec<_> = plugins.iter().map(PluginSpec::name).collect();
        assert_eq!(names, ["QueueLock", "gate", "Audit", "policy"]);
        let CustomPluginSource::Program(program) = &own(&plugins[1]).source else { panic!("{plugins:?}") };
        assert!(program.argv[0].ends_with("/policy") && program.argv[0].starts_with('/'), "{program:?}");
        assert_eq!(program.argv[1..], ["--x", "{to}"]);
        assert_eq!((program.timeout, program.points), (Duration::from_secs(2), HookPoints::PERFORM));
        assert_eq!(own(&plugins[2]).source, CustomPluginSource::Code);
        let CustomPluginSource::Program(program) = &own(&plugins[3]).source else { panic!("{plugins:?}") };
        assert_eq!(
            (program.timeout, program.cwd.join("policy")),
            (TIMEOUT, std::path::PathBuf::from(&program.argv[0]))
        );
    }

    #[test]
    fn options_of_any_shape_become_json() {
        let plugins = read(
            "plugins = [\"Audit\"]\n[plugin_options.Audit]\nlimit = 0x10\nrate = 1.5\nnames = [\"a\", true]\n\
             deep.er = { on = false }\n",
        );
        assert_eq!(
            &*own(&plugins.unwrap()[0]).options,
            r#"{"deep":{"er":{"on":false}},"limit":16,"names":["a",true],"rate":1.5}"#
        );
        assert_eq!(&*own(&read("plugins = [\"Audit\"]").unwrap()[0]).options, "{}");
        let bad = read("plugins = [\"Audit\"]\n[plugin_options.Audit]\nx = [inf]").unwrap_err();
        assert!(bad[0].starts_with("t.toml:4:5: plugin_options.Audit.x: expected values that JSON has"), "{bad:?}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (plugins, said) in [
            ("{ exec = [\"./policy\"] }", "plugins.hooks: expected a list of where it is asked"),
            ("{ exec = [\"./policy\"], hooks = [] }", "expected at least one of before_enqueue"),
            ("{ exec = [\"./policy\"], hooks = [\"before_run\"] }", "(found \"before_run\")"),
            ("{ exec = [\"./policy\"], hooks = [\"before_perform\", \"beforePerform\"] }", "is listed twice"),
            ("{ hooks = [\"before_perform\"] }", "plugins.exec: expected the plugin's program"),
            ("{ exec = [], hooks = [\"before_perform\"] }", "expected a program (found an empty list)"),
            ("{ exec = [\"./missing\"], hooks = [\"before_perform\"] }", "expected a program that exists"),
            ("{ exec = [\"./locked\"], hooks = [\"before_perform\"] }", "chmod +x makes it so"),
            ("{ exec = [\"./open\"], hooks = [\"before_perform\"] }", "may be written by everybody"),
            ("{ exec = [\"sh\"], hooks = [\"before_perform\"] }", "runs its stdin, which is the job, as code"),
            ("{ exec = [\"./policy\"], hooks = [\"before_perform\"], name = \"Retry\" }", "a built-in plugin"),
            ("{ exec = [\"./policy\"], hooks = [\"before_perform\"], name = \" \" }", "must not be empty"),
            ("{ exec = [\"./policy\"], hooks = [\"before_perform\"], timeout = 0 }", "at least 1ms"),
            ("{ exec = [\"./policy\"], hooks = [\"before_perform\"], shell = true }", "unknown key"),
            ("\"Audit\", \"Audit\"", "Audit is listed twice"),
            (
                "\"Audi\"",
                "expected a plugin: QueueLock, DelayQueueLock, JobLock, Retry, Noop or Audit (found \"Audi\")",
            ),
            ("7", "expected a plugin: QueueLock"),
        ] {
            let problems = read(&format!("plugins = [{plugins}]")).unwrap_err();
            assert!(problems.len() == 1 && problems[0].contains(said), "{plugins}: {problems:?}");
        }
    }
}
