//! Reads `[defaults]` of `tasks.toml`: what holds for every task that does not say it itself.
//!
//! The keys are those of a task and of its `[run]`, side by side, and each means what it means there. They are checked once
//! and by themselves, so that a mistake is told where it stands and not once for each task. Then every task is read over
//! them (`Underlay`).

use std::cell::RefCell;

use toml::Spanned;
use toml::de::DeTable;

use super::program::Missing;
use super::{KnownNames, kept_runs, plugin_options, read_queue, run, timeout};
use crate::config::defaults::DefaultsSource;
use crate::config::element::crash_policy;
use crate::config::error::Problem;
use crate::config::reader::{Document, Table};

/// Its keys, as messages list them.
const EXPECTED: &str = "queue, timeout, plugins, plugin_options, on_crash, max_redeliveries, keep_runs, \
                        retry_later, retry_later_limit, output, env, env_file, env_clear, allow_dollar, cwd, user, group, umask, \
                        limits or no_new_privs";

/// What is wrong with it.
#[derive(Default)]
pub(super) struct Checked {
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

/// `[defaults]` of this file.
pub(super) fn table<'a>(document: &'a Document, parsed: &'a Spanned<DeTable<'a>>) -> Option<Table<'a>> {
    document.top(parsed).take("defaults")?.table("a table of what tasks do not say themselves")
}

/// Reads everything as a task would.
pub(super) fn check(source: &DefaultsSource, known: KnownNames<'_>) -> Checked {
    let document = Document::new(source.path(), source.text().to_owned());
    let mut warnings = Vec::new();
    let missing = Missing::default();
    if let Some(parsed) = document.parse()
        && let Some(mut table) = table(&document, &parsed)
    {
        refuse_what_each_has_itself(&mut table);
        table.take("queue").map(|value| read_queue(&value));
        table.take("timeout").map(|value| timeout(&value));
        table.take("on_crash").map(|value| crash_policy::read_on_crash(&value));
        table.take("max_redeliveries").map(|value| crash_policy::read_redeliveries(&value));
        table.take("keep_runs").map(|value| kept_runs(&value));
        let context = plugin_options::PluginContext {
            periodic: false,
            overlap: false,
            missing: &missing,
            in_code: known.plugins,
            trusted: known.trusted,
            namespace: known.namespace,
        };
        let (plugins, _) = plugin_options::list(table.take("plugins"), context);
        if let Some(options) = table.take("plugin_options") {
            plugin_options::check_options(&options, &plugins, context);
        }
        let (exposed, unavailable) = (RefCell::default(), RefCell::default());
        let context = run::HandlerContext {
            folder: document.folder(),
            periodic: false,
            builtins: known.builtins,
            source: document.path(),
            exposed: &exposed,
            unavailable: &unavailable,
            missing: &missing,
            trusted: known.trusted,
        };
        run::read_defaults(&mut table, context, &mut warnings);
        table.finish_expecting(EXPECTED);
        warnings.append(&mut exposed.take());
    }
    warnings.extend(document.take_warnings());
    // What is missing now is told for the tasks that need it, and so is a secret that cannot be read.
    let missing = missing.into_inner();
    let problems = document.into_problems().into_iter().filter(|problem| !missing.contains(problem)).collect();
    Checked { problems, warnings }
}

fn refuse_what_each_has_itself(table: &mut Table<'_>) {
    table.refuse("run", "stands in each task; write env, cwd, user and such in [defaults] itself");
    for key in ["name", "description", "frequency", "schedule", "time_zone", "inputs"] {
        table.refuse(key, "is each task's own: write it in its file");
    }
}
