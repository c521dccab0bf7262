//! Reads `tasks.d/*.toml`.
//!
//! Files are read in the order of their names; a file holds one task with its keys at the top, or several as
//! `[[task]]`. A bad file or a bad task does not stop the others; the caller decides what to do about their problems.

mod broken;
mod custom_plugins;
mod defaults;
mod files;
mod inputs;
mod known_names;
pub(crate) mod lacks;
mod periodic_options;
mod ping;
mod plugin_options;
pub(crate) mod program;
mod retry_options;
mod run;
mod schedules;
mod values;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use self::broken::BrokenTasks;
use self::files::passed_over;
pub(crate) use self::files::task_files;
pub use self::known_names::KnownNames;
use self::program::Missing;
use super::definition::{FromDefaults, MOST_KEPT_RUNS, Registry, TaskDefinition};
use super::handler_spec::HandlerSpec;
use super::inputs::apply;
use crate::config::element::crash_policy;
use crate::config::element::duration::{self, Unit};
use crate::config::element::literal;
use crate::config::error::Problem;
use crate::config::load::security;
use crate::config::reader::{Document, Table, Underlay, Value};
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
    /// The problems that concern all tasks: the folder cannot be read, or somebody else may change what is in it.
    pub fatal: Vec<Problem>,
    /// Which tasks the other problems concern.
    pub broken: BrokenTasks,
}

/// Reads all task files of a folder.
#[must_use]
pub fn load<'a>(dir: &Path, known: impl Into<KnownNames<'a>>) -> Tasks {
    let dir = crate::file::absolute(dir);
    let mut known: KnownNames<'_> = known.into();
    let own;
    if known.trusted.is_none() && !known.anybody {
        own = Arc::new(Owners::with([]));
        known = known.changed_by(Some(&own));
    }
    let checked = known.defaults.map(|source| defaults::check(source, known)).unwrap_or_default();
    // Tasks without what [defaults] was to say would be other tasks: they wait until it is right.
    if !checked.problems.is_empty() {
        // They concern every task.
        let fatal = checked.problems.clone();
        return Tasks { problems: checked.problems, fatal, warnings: checked.warnings, ..Tasks::default() };
    }
    let source = known.defaults.map(|source| Document::new(source.path(), source.text().to_owned()));
    let parsed = source.as_ref().and_then(|document| Some((document, document.parse()?)));
    let underlay = parsed.as_ref().and_then(|(document, parsed)| defaults::table(document, parsed));
    let underlay = underlay.as_ref().map(Table::as_underlay);
    let mut loader = TaskLoader {
        underlay: underlay.as_ref(),
        known,
        tasks: Vec::new(),
        locations: BTreeMap::new(),
        exposed: RefCell::default(),
        missing: RefCell::default(),
        missing_of: Vec::new(),
        unavailable: RefCell::default(),
        warnings: checked.warnings,
        fatal: Vec::new(),
        broken: BrokenTasks::default(),
        judge: known.trusted.map(|trusted| Judge::new(trusted)),
        told: HashSet::new(),
    };
    let mut problems = Vec::new();
    match task_files(&dir) {
        Ok(files) => {
            let judged = loader.judge.as_ref().and_then(|judge| judge.listing(&dir).err());
            loader.fatal.extend(judged.as_ref().map(security::problem));
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
            loader.fatal.push(Problem::of_source(dir.display(), message));
        }
    }
    // What concerns all stands before what it may explain.
    let problems = loader.fatal.iter().cloned().chain(problems).collect();
    let mut tasks = Tasks {
        registry: Registry::new(loader.tasks),
        problems,
        missing: loader.missing_of,
        unavailable: loader.unavailable.into_inner(),
        warnings: loader.warnings,
        fatal: loader.fatal,
        broken: loader.broken,
    };
    // What [defaults] is warned of would stand here once for each task.
    let (mut told, mut warned) = (HashSet::new(), HashSet::new());
    tasks.unavailable.retain(|problem| told.insert(problem.to_string()));
    tasks.warnings.retain(|warning| warned.insert(warning.clone()));
    tasks
}

struct TaskLoader<'b> {
    /// `[defaults]`, which was checked.
    underlay: Option<&'b Underlay<'b>>,
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
    fatal: Vec<Problem>,
    broken: BrokenTasks,
    judge: Option<Judge<'b>>,
    /// What the judge has refused, and was told.
    told: HashSet<PathBuf>,
}

impl<'b> TaskLoader<'b> {
    fn file(&mut self, path: &Path, problems: &mut Vec<Problem>) {
        let document = match Document::read(path, bounded::TASKS) {
            Ok(document) => document,
            Err(problem) => {
                self.broken.nameless.push(path.display().to_string());
                return problems.push(problem);
            }
        };
        // A file of somebody else's is read all the same, because all its problems are told together.
        let judged = self.judge.as_ref().and_then(|judge| judge.judge(path).err());
        // A folder above is told once, for all files below it.
        self.fatal.extend(
            judged
                .filter(|error| self.told.insert(error.path().to_owned()))
                .map(|error| security::problem_of(path, &error)),
        );
        let parsed = document.parse();
        if parsed.is_none() {
            self.broken.nameless.push(path.display().to_string());
        }
        if let Some(parsed) = parsed {
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
                        self.task(&document, table, problems);
                    }
                }
            } else {
                self.task(&document, top, problems);
            }
        }
        self.warnings.extend(document.take_warnings());
        problems.extend(document.into_problems());
    }

    /// Reads one task, and keeps it if it has no problem but that something is missing at the moment.
    fn task<'a>(&mut self, document: &'a Document, table: Table<'a>, problems: &mut Vec<Problem>)
    where
        'b: 'a,
    {
        let mut table = table.over(self.underlay);
        let beneath = self.underlay.map(Underlay::document);
        let count = || document.problem_count() + beneath.map_or(0, Document::problem_count);
        let (before, unavailable) = (count(), self.unavailable.borrow().len());
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
        let task = self.definition(document, name.clone(), &mut table);
        table.finish();
        let missing = self.missing.take();
        if task.is_none() || count() > before || self.unavailable.borrow().len() > unavailable {
            match name {
                Some(name) => drop(self.broken.names.insert(name)),
                None => self.broken.nameless.push(document.path().display().to_string()),
            }
        }
        let from_defaults = self.underlay.map(Underlay::take_used).unwrap_or_default();
        if let Some(mut task) = task.filter(|_| count() == before + missing.len()) {
            task.from_defaults = FromDefaults(from_defaults);
            // Those of [defaults] are told once, for all tasks.
            let own = document.path().display().to_string();
            for problem in missing {
                if problem.file != own && !self.missing_of.iter().any(|(_, told)| *told == problem) {
                    problems.push(problem.clone());
                }
                self.missing_of.push((task.name.clone(), problem));
            }
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
                missing: &self.missing,
                in_code: self.known.plugins,
                trusted: self.known.trusted,
                namespace: self.known.namespace,
            },
        );
        let go_on = table.take("re_enqueue_periodic_task_if_exception");
        if let Some(value) = go_on.as_ref().filter(|_| !times.is_meant) {
            self.warnings.push(format!("{}: has no effect on a task that is not periodic", value.location_and_key()));
        }
        let go_on = go_on.and_then(|value| value.boolean()).unwrap_or(true);
        let limit = table.take("timeout").and_then(|value| timeout(&value).map(|limit| (value, limit)));
        let on_crash = table.take("on_crash").and_then(|value| crash_policy::read_on_crash(&value));
        let max_redeliveries = table.take("max_redeliveries").and_then(|value| crash_policy::read_redeliveries(&value));
        let keep_runs = table.take("keep_runs").and_then(|value| kept_runs(&value));
        let shortest = Duration::from_secs(1);
        let keep_results =
            table.take("keep_results").and_then(|value| duration::read(&value, Unit::Milliseconds, shortest));
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
        let ping = ping::read(table, times.is_meant || tables.is_some(), context);
        let handler = table
            .required("run", "a table with the handler, [run]")
            .and_then(|value| value.table("a table with the handler"))
            .and_then(|run| run::read(run.over(self.underlay), context, &mut self.warnings));
        self.warnings.append(&mut self.exposed.borrow_mut());
        if let Some(confines) = handler.as_ref().and_then(HandlerSpec::confines) {
            plugins.iter_mut().for_each(|plugin| plugin.run_as(confines));
        }
        let name = name?;
        let handler = handler?;
        let default = matches!(handler, HandlerSpec::Http(_)).then_some(run::http::TIMEOUT);
        if let (Some((value, None)), Some(_)) = (&limit, default)
            && std::ptr::eq(value.document(), document)
        {
            value.expected("a duration, because a server that hangs would keep the job for ever");
        }
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
            timeout: limit.map_or(default, |(_, limit)| limit.or(default)),
            on_crash,
            max_redeliveries,
            keep_runs,
            keep_results,
            ping,
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

/// How long a run may take; `Some(None)`: as long as it likes, whatever `[defaults]` says.
fn timeout(value: &Value<'_>) -> Option<Option<Duration>> {
    match value.raw().as_bool() {
        Some(false) => Some(None),
        Some(true) => {
            value.expected("a duration, or false for none");
            None
        }
        None => duration::read(value, Unit::Milliseconds, Duration::from_millis(1)).map(Some),
    }
}

/// How many finished runs are kept.
fn kept_runs(value: &Value<'_>) -> Option<u16> {
    value.whole_number(0..=u64::from(MOST_KEPT_RUNS)).and_then(|number| u16::try_from(number).ok())
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
