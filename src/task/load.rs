//! Reads `tasks.d/*.toml`.
//!
//! Files are read in the order of their names; a file holds one task with its keys at the top, or several as
//! `[[task]]`. A bad file or a bad task does not stop the others. All problems are returned together, and the caller
//! decides what to do about them.

mod custom_plugins;
mod files;
mod inputs;
mod periodic_options;
mod plugin_options;
mod program;
mod retry_options;
mod run;
mod schedules;
mod values;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::files::{passed_over, task_files};
use self::program::Missing;
use super::definition::Registry;
use super::definition::TaskDefinition;
use super::handler_spec::HandlerSpec;
use super::inputs::apply;
use crate::config::element::crash_policy;
use crate::config::element::duration::{self, Unit};
use crate::config::element::literal;
use crate::config::error::Problem;
use crate::config::load::security;
use crate::config::reader::{Document, Table, Value};
use crate::file::bounded;
use crate::file::trust::{Judge, Owners};
use crate::job::{QueueName, TaskName};

/// The content of a folder of task files.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Tasks {
    /// The valid tasks, and those which only lack something at the moment.
    pub registry: Registry,
    /// The problems of the other tasks, and what is [`missing`](Self::missing).
    pub problems: Vec<Problem>,
    /// Tasks whose program or folder is missing at the moment. Their jobs can be enqueued, and cannot begin.
    pub missing: Vec<(TaskName, Problem)>,
    /// Secrets that could not be read here. They are problems for a process that runs these tasks, and none for a
    /// process that only enqueues them.
    pub unavailable: Vec<Problem>,
    /// Settings that are allowed but probably a mistake.
    pub warnings: Vec<String>,
}

/// What task files may name: the builtins of `builtin = "..."` and the plugins that are defined in code, and the keys of
/// locks. A plain list converts to builtins.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct KnownNames<'a> {
    /// Handlers.
    pub builtins: &'a [&'a str],
    /// Plugins.
    pub plugins: &'a [&'a str],
    /// The namespace in which the keys of locks must be. `None`: they are not checked.
    pub namespace: Option<&'a str>,
    /// Who may change task files and programs. `None`: root and the user of this process.
    pub trusted: Option<&'a Arc<Owners>>,
    /// May anybody change them?
    pub anybody: bool,
}

impl<'a> KnownNames<'a> {
    /// These handlers and these plugins.
    #[must_use]
    pub fn new(builtins: &'a [&'a str], plugins: &'a [&'a str]) -> Self {
        Self { builtins, plugins, namespace: None, trusted: None, anybody: false }
    }

    /// Refuses keys of locks outside of this namespace.
    #[must_use]
    pub fn within(self, namespace: Option<&'a str>) -> Self {
        Self { namespace, ..self }
    }

    /// Refuses task files and programs that others than these users may change; `None`: anybody may.
    #[must_use]
    pub fn changed_by(self, trusted: Option<&'a Arc<Owners>>) -> Self {
        Self { trusted, anybody: trusted.is_none(), ..self }
    }
}

impl<'a> From<&'a [&'a str]> for KnownNames<'a> {
    fn from(builtins: &'a [&'a str]) -> Self {
        Self::new(builtins, &[])
    }
}

impl<'a, const N: usize> From<&'a [&'a str; N]> for KnownNames<'a> {
    fn from(builtins: &'a [&'a str; N]) -> Self {
        Self::from(builtins.as_slice())
    }
}

impl<'a> From<&'a Vec<&'a str>> for KnownNames<'a> {
    fn from(builtins: &'a Vec<&'a str>) -> Self {
        Self::from(builtins.as_slice())
    }
}

/// Reads all task files of a folder.
#[must_use]
pub fn load<'a>(dir: &Path, known: impl Into<KnownNames<'a>>) -> Tasks {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let mut known: KnownNames<'_> = known.into();
    let own;
    if known.trusted.is_none() && !known.anybody {
        own = Arc::new(Owners::with([]));
        known = known.changed_by(Some(&own));
    }
    let mut loader = TaskLoader {
        known,
        tasks: Vec::new(),
        locations: BTreeMap::new(),
        exposed: RefCell::default(),
        missing: RefCell::default(),
        missing_of: Vec::new(),
        unavailable: RefCell::default(),
        warnings: Vec::new(),
        judge: known.trusted.map(|trusted| Judge::new(trusted)),
        told: HashSet::new(),
    };
    let mut problems = Vec::new();
    match task_files(&dir) {
        Ok(files) => {
            let judged = loader.judge.as_ref().and_then(|judge| judge.listing(&dir).err());
            problems.extend(judged.as_ref().map(security::problem));
            loader.told.extend(judged.map(|error| error.path().to_owned()));
            loader.warnings.extend(passed_over(&dir));
            if files.is_empty() {
                loader.warnings.push(format!("{}: holds no task files, *.toml", dir.display()));
            }
            for file in files {
                loader.file(&file, &mut problems);
            }
        }
        Err(error) => {
            let message = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "the folder of the task files (tasks_dir) does not exist; create it with a first task: \
                     windlass generate task NAME"
                        .to_owned()
                }
                _ => format!("the folder of the task files (tasks_dir) cannot be read: {error}"),
            };
            problems.push(Problem::of_source(dir.display(), message));
        }
    }
    Tasks {
        registry: Registry::new(loader.tasks),
        problems,
        missing: loader.missing_of,
        unavailable: loader.unavailable.into_inner(),
        warnings: loader.warnings,
    }
}

struct TaskLoader<'b> {
    known: KnownNames<'b>,
    tasks: Vec<TaskDefinition>,
    /// Where each name was defined first.
    locations: BTreeMap<TaskName, String>,
    exposed: RefCell<Vec<String>>,
    /// What the task that is read lacks.
    missing: Missing,
    /// What the tasks before it lack.
    missing_of: Vec<(TaskName, Problem)>,
    unavailable: RefCell<Vec<Problem>>,
    warnings: Vec<String>,
    judge: Option<Judge<'b>>,
    /// What the judge has refused, and was told.
    told: HashSet<PathBuf>,
}

impl TaskLoader<'_> {
    fn file(&mut self, path: &Path, problems: &mut Vec<Problem>) {
        let document = match Document::read(path, bounded::TASKS) {
            Ok(document) => document,
            Err(problem) => return problems.push(problem),
        };
        // A file of somebody else's is read all the same, because all its problems are told together.
        let judged = self.judge.as_ref().and_then(|judge| judge.judge(path).err());
        // A folder above is told once, for all files below it.
        problems
            .extend(judged.filter(|error| self.told.insert(error.path().to_owned())).as_ref().map(security::problem));
        if let Some(parsed) = document.parse() {
            let mut top = document.top(&parsed);
            if top.has("task") {
                let list = top.take("task").and_then(|value| value.list("tasks, each under [[task]]"));
                // A key beside the `[[task]]` tables belongs to no task.
                for (name, value) in top.all() {
                    if name != "task" {
                        value.report("stands beside [[task]] and belongs to none of them; write it below one");
                    }
                }
                for table in list.unwrap_or_default() {
                    if let Some(table) = table.without_key().table("a table") {
                        self.task(&document, table);
                    }
                }
            } else {
                self.task(&document, top);
            }
        }
        self.warnings.extend(document.take_warnings());
        problems.extend(document.into_problems());
    }

    /// Reads one task, and keeps it if it has no problem but that something is missing at the moment.
    fn task(&mut self, document: &Document, mut table: Table<'_>) {
        let before = document.problem_count();
        let name_value = table.required("name", "the task's name");
        let name = name_value.as_ref().and_then(read_name);
        if let (Some(name), Some(value)) = (&name, &name_value) {
            match self.locations.get(name) {
                Some(location) => value.report(format!("a task {:?} is already defined at {location}", name.as_str())),
                None => {
                    self.locations.insert(name.clone(), value.location());
                }
            }
        }
        let task = self.definition(document, name, &mut table);
        table.finish();
        let missing = self.missing.take();
        if let Some(task) = task.filter(|_| document.problem_count() == before + missing.len()) {
            self.missing_of.extend(missing.into_iter().map(|problem| (task.name.clone(), problem)));
            self.tasks.push(task);
        }
    }

    fn definition(
        &mut self,
        document: &Document,
        name: Option<TaskName>,
        table: &mut Table<'_>,
    ) -> Option<TaskDefinition> {
        refuse_what_comes_later(table);
        let description = table.take("description").and_then(|value| value.string()).map(str::to_owned);
        let queue = match table.take("queue") {
            None => Some(QueueName::as_stored("default")),
            Some(value) => read_queue(&value),
        };
        // `schedule` has two meanings: a text is the calendar of the task itself, tables enqueue it with arguments.
        let schedule = table.take("schedule");
        let tables = schedule.clone().filter(|value| value.raw().is_array());
        let calendar = schedule.clone().filter(|value| value.raw().is_str());
        if let (Some(value), None, None) = (&schedule, &tables, &calendar) {
            value.expected("a cron expression or schedules, each under [[schedule]]");
        }
        let inputs = table.take("inputs");
        let declared = inputs.as_ref().map(inputs::read).unwrap_or_default();
        let mut schedules =
            tables.as_ref().map(|tables| schedules::read(tables, name.as_ref(), queue.as_ref())).unwrap_or_default();
        let times = periodic_options::read(table, calendar.as_ref(), &mut self.warnings);
        if let (Some(inputs), Some(_)) = (&inputs, &times.cadence) {
            inputs.report("goes without frequency and schedule: a periodic task takes no arguments");
        }
        for scheduled in &mut schedules {
            let task = name.as_ref().map_or("", |name| name.as_str());
            match (apply(&declared, task, &scheduled.args), &tables) {
                (Ok(args), _) => scheduled.args = args,
                (Err(error), Some(tables)) => tables.report(format!("of {}: {error}", scheduled.calendar.expression())),
                (Err(_), None) => {}
            }
        }
        if let (Some(tables), Some(_)) = (&tables, &times.cadence) {
            tables.report("goes without frequency: a periodic task takes no arguments");
        }
        let periodic = times.cadence.is_some();
        let mut plugins = plugin_options::read(
            table,
            plugin_options::PluginContext {
                periodic,
                overlap: times.overlap,
                folder: document.folder(),
                missing: &self.missing,
                in_code: self.known.plugins,
                trusted: self.known.trusted,
                namespace: self.known.namespace,
            },
        );
        let go_on = table.take("re_enqueue_periodic_task_if_exception");
        if let Some(value) = go_on.as_ref().filter(|_| !periodic) {
            self.warnings.push(format!("{}: has no effect on a task that is not periodic", value.location_and_key()));
        }
        let go_on = go_on.and_then(|value| value.boolean()).unwrap_or(true);
        let min = Duration::from_millis(1);
        let timeout = table.take("timeout").and_then(|value| duration::read(&value, Unit::Milliseconds, min));
        let on_crash = table.take("on_crash").and_then(|value| crash_policy::read_on_crash(&value));
        let max_redeliveries = table.take("max_redeliveries").and_then(|value| crash_policy::read_redeliveries(&value));
        let context = run::HandlerContext {
            folder: document.folder(),
            periodic,
            builtins: self.known.builtins,
            source: document.path(),
            exposed: &self.exposed,
            unavailable: &self.unavailable,
            missing: &self.missing,
            trusted: self.known.trusted,
        };
        let handler = table
            .required("run", "a table with the handler, [run]")
            .and_then(|value| value.table("a table with the handler"))
            .and_then(|run| run::read(run, context, &mut self.warnings));
        self.warnings.append(&mut self.exposed.borrow_mut());
        if let Some(confines) = handler.as_ref().and_then(HandlerSpec::confines) {
            plugins.iter_mut().for_each(|plugin| plugin.run_as(confines));
        }
        let name = name?;
        let handler = handler?;
        let default = matches!(handler, HandlerSpec::Http(_)).then_some(run::http::TIMEOUT);
        Some(TaskDefinition {
            description: description.unwrap_or_else(|| name.to_string()),
            cadence: times.cadence,
            missed_max_age_s: times.missed_max_age_s,
            overlap: times.overlap,
            jitter_s: times.jitter_s,
            inputs: declared,
            schedules,
            re_enqueue_after_failure: go_on,
            plugins,
            timeout: timeout.or(default),
            on_crash,
            max_redeliveries,
            source: document.path().to_owned(),
            ..TaskDefinition::new(name, queue?, handler)
        })
    }
}

fn refuse_what_comes_later(table: &mut Table<'_>) {
    table.refuse("middleware", "is code of an ActionHero server; a plugin does that here, see docs/plugins.md");
    for key in run::keys() {
        table.refuse(key, "belongs to the handler: write it below [run]");
    }
}

fn read_name(value: &Value<'_>) -> Option<TaskName> {
    TaskName::new(value.string()?).map_err(|error| value.report(error.to_string())).ok()
}

fn read_queue(value: &Value<'_>) -> Option<QueueName> {
    literal::warn(value, "write the name of the queue");
    QueueName::new(value.string()?).map_err(|error| value.report(error.to_string())).ok()
}

#[cfg(test)]
mod tests;
