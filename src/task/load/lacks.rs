//! What tasks lack now: programs and folders that were there when their files were read, or that were missing then and are there
//! by now. A daemon looks only when somebody asks.

#![cfg(any(test, feature = "web"))]

use std::ffi::OsString;

use super::program;
use crate::config::error::Problem;
use crate::job::TaskName;
use crate::task::definition::{Registry, TaskDefinition};
use crate::task::handler_spec::{HandlerSpec, ProcessSettings};
use crate::task::plugin_spec::{CustomPluginSource, PluginSpec};

/// How many tasks are looked at.
const MOST: usize = 2000;

/// The tasks whose program, plugin or folder is missing on this machine now, as [`Tasks::missing`](super::Tasks::missing) tells
/// it of the moment when the files were read.
#[must_use]
pub(crate) fn now(registry: &Registry) -> Vec<(TaskName, Problem)> {
    let of_task = |task: &TaskDefinition| Some((task.name.clone(), of(task)?));
    registry.iter().take(MOST).filter_map(|task| of_task(task)).collect()
}

/// What a task lacks.
fn of(task: &TaskDefinition) -> Option<Problem> {
    let problem = |key: &str, message: String| Problem {
        key: key.to_owned(),
        ..Problem::of_source(task.source.display(), message)
    };
    let of_process = |key: &str, program: &str, process: &ProcessSettings| {
        let search = process.variable("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH"));
        let found = program::lacking(program, search.as_deref()).map(|message| problem(key, message));
        found.or_else(|| {
            let is_there = process.cwd.as_os_str().is_empty() || process.cwd.is_dir();
            let message = || format!("expected a folder that exists (found {:?})", process.cwd.display().to_string());
            (!is_there).then(|| problem("run.cwd", message()))
        })
    };
    let own = match &task.handler {
        HandlerSpec::Exec(spec) => {
            spec.argv.first().and_then(|item| of_process("run.exec", item.as_text()?, &spec.process))
        }
        HandlerSpec::Rpc(spec) => spec.argv.first().and_then(|program| of_process("run.rpc", program, &spec.process)),
        HandlerSpec::Http(_) | HandlerSpec::Builtin(_) => None,
    };
    own.or_else(|| {
        task.plugins.iter().find_map(|plugin| {
            let PluginSpec::Custom(plugin) = plugin else { return None };
            let CustomPluginSource::Program(program) = &plugin.source else { return None };
            let search = std::env::var_os("PATH");
            let message = program::lacking(program.argv.first()?, search.as_deref())?;
            Some(problem(&format!("plugin_options.{}", plugin.name), message))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::task::load::load;

    #[test]
    fn what_tasks_lack_is_looked_up_anew() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = dir.path().join("work");
        let write = || {
            fs::write(&program, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        };
        write();
        fs::create_dir(dir.path().join("in")).unwrap();
        let text = "[[task]]\nname = \"a\"\n[task.run]\nexec = [\"./work\"]\n[[task]]\nname = \"b\"\n[task.run]\nrpc = [\"./work\"]\n\
                    [[task]]\nname = \"c\"\n[task.run]\nexec = [\"sh\", \"-c\", \"true\"]\ncwd = \"in\"\n";
        fs::write(dir.path().join("all.toml"), text).unwrap();
        let tasks = load(dir.path(), &["noop"]);
        assert_eq!((tasks.problems.as_slice(), tasks.missing.len()), (&[][..], 0));
        let lacking = || now(&tasks.registry).into_iter().map(|(task, problem)| format!("{task}: {problem}"));
        assert_eq!(lacking().count(), 0);
        fs::remove_file(&program).unwrap();
        fs::remove_dir(dir.path().join("in")).unwrap();
        let told: Vec<String> = lacking().collect();
        assert_eq!(told.len(), 3, "{told:#?}");
        assert!(
            told[0].starts_with("a: ") && told[0].contains(": run.exec: expected a program that exists"),
            "{told:#?}"
        );
        assert!(told[1].contains(": run.rpc: ") && told[2].contains(": run.cwd: expected a folder"), "{told:#?}");
        write();
        assert_eq!(lacking().count(), 1, "it is there again");
    }
}
