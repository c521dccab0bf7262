//! Makes the parts of a daemon from its files. All mistakes in the files are found here, before anything runs.

use std::sync::Arc;

use super::extensions::Extensions;
use super::options::{RunError, RunOptions};
use super::{notify, traces, web};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::config::element::queues::QueuePatterns;
use crate::config::error::{MOST_TOLD, Problem, Problems};
use crate::config::load::{Loaded, load};
use crate::config::origin::{NAME_ONE, no_configuration};
use crate::event::{Bus, Listener};
use crate::handler::dispatch::Dispatch;
use crate::handler::kept_output::KeptOutputs;
use crate::job::TaskName;
use crate::pool::Work;
use crate::scheduler::SchedulerConfig;
use crate::task::Registry;
use crate::task::load::{BrokenTasks, KnownNames};
use crate::telemetry::log::{self, LevelControl};
use crate::telemetry::log_line::LineStyle;

/// The parts of a daemon. Nothing runs yet.
pub struct App {
    pub(super) options: RunOptions,
    pub(super) parts: Parts,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) bus: Bus,
    pub(super) listener: Listener,
    /// What `[notify]` and pings hear of.
    pub(super) notified: Listener,
    /// What streams of events hear of.
    pub(super) streamed: Listener,
    /// What spans are made of.
    pub(super) traced: traces::Heard,
    pub(super) log_style: LineStyle,
    pub(super) level_control: LevelControl,
}

/// The parts that a reload replaces.
pub(super) struct Parts {
    pub(super) config: Arc<Config>,
    pub(super) registry: Arc<Registry>,
    pub(super) dispatch: Arc<Dispatch>,
    /// Where outputs are kept; a reload goes on with it.
    pub(super) kept: KeptOutputs,
    /// Periodic tasks that stay declared although no file that could be read has them.
    pub(super) kept_periodic: Vec<String>,
    /// The tasks that are skipped.
    pub(super) broken: Arc<BrokenTasks>,
    /// Warnings about what the files say.
    pub(super) remarks: Vec<String>,
    /// The queues were given on the command line.
    pub(super) queues_given: bool,
    /// What the files say of queues, if they were.
    pub(super) overridden: Option<String>,
}

impl Parts {
    /// The configuration of the pool.
    pub(super) fn work(&self) -> Work {
        Work {
            config: Arc::clone(&self.config),
            dispatch: Arc::clone(&self.dispatch),
            periodic: self.periodic(),
            tasks: self.registry.iter().map(|task| task.name.to_string()).collect(),
            broken: Arc::clone(&self.broken),
            queues_given: self.queues_given,
            refused: None,
        }
    }

    /// The periodic tasks that it declares. Those that are skipped count, so that nobody withdraws them.
    fn periodic(&self) -> Arc<[String]> {
        let skipped = self.broken.names.iter().map(TaskName::to_string);
        self.registry
            .periodic()
            .map(|task| task.name.to_string())
            .chain(skipped)
            .chain(self.kept_periodic.iter().cloned())
            .collect()
    }

    /// After a reload that found files without names: what was declared before may stand in them.
    pub(super) fn keep_periodic_of(&mut self, before: &Self) {
        if self.broken.nameless.is_empty() {
            return;
        }
        let is_new = |name: &&String| {
            self.registry.get(name).is_none() && !self.broken.names.iter().any(|known| known.as_str() == name.as_str())
        };
        self.kept_periodic = before.periodic().iter().filter(is_new).cloned().collect();
    }

    /// The configuration of the scheduler.
    pub(super) fn scheduler_config(&self) -> SchedulerConfig {
        SchedulerConfig::of(&self.config, Arc::clone(&self.registry))
    }
}

/// Reads configuration and tasks and puts the parts together.
///
/// # Errors
/// Every problem of all files at once.
pub fn assemble(options: &RunOptions) -> Result<App, RunError> {
    let mut read = Read::files(options)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let log_style = log_style(&read.config);
    let (interest, level_control) = match log::init(&read.config.log, &log_style, Arc::clone(&clock)) {
        Ok((interest, level_control)) => (interest, Some(level_control)),
        Err(message) => {
            read.problems.push(Problem::of_source("log.level", message));
            (0, None)
        }
    };
    let (bus, mut listeners) = Bus::timed(&traces::interests([interest, 0, 0]), log::CAPACITY, Arc::clone(&clock));
    let traced = traces::Heard::of(&mut listeners);
    bus.hide(&read.config.log.redact);
    let streamed = listeners.pop().expect("three interests must give three listeners");
    let notified = listeners.pop().expect("three interests must give three listeners");
    let listener = listeners.pop().expect("three interests must give three listeners");
    let kept = KeptOutputs::new(read.config.output.clone(), bus.clone());
    let parts = read.parts(&options.extensions, &bus, &kept)?;
    bus.set_interest(notify::LISTENER, notify::interest(&parts.config, &parts.registry));
    traces::listen(&bus, &parts.config);
    let level_control = level_control.expect("a log that could not be set up must have been a problem");
    Ok(App {
        options: options.clone(),
        parts,
        clock,
        bus,
        listener,
        notified,
        streamed,
        traced,
        log_style,
        level_control,
    })
}

/// Reads configuration and tasks again, for a daemon that runs.
///
/// # Errors
/// Every problem of all files at once.
pub(super) fn assemble_anew(options: &RunOptions, bus: &Bus, kept: &KeptOutputs) -> Result<Parts, Problems> {
    Read::files(options)?.parts(&options.extensions, bus, kept)
}

/// The style of the log under a configuration.
pub(super) fn log_style(config: &Config) -> LineStyle {
    LineStyle::new(config.worker_logging.clone(), config.scheduler_logging.clone(), config.log.redact.clone())
}

/// A configuration that was read, and the problems found so far.
struct Read {
    config: Config,
    notes: Vec<String>,
    problems: Vec<Problem>,
    queues_given: bool,
    /// What the configuration says of queues, which the command line overrides.
    overridden: Option<String>,
}

impl Read {
    fn files(options: &RunOptions) -> Result<Self, Problems> {
        let Loaded { mut config, mut notes, warnings, passed_over } = load(&options.sources)?;
        notes.extend(warnings.into_iter().chain(passed_over));
        if config.source.is_none() {
            notes.push(format!("{}; the defaults hold", no_configuration(&options.sources.working_dir)));
        }
        let mut problems = options.extensions.check(&config.overrides);
        problems.extend(notify::check(&config));
        problems.extend(web::check(&config));
        problems.extend(traces::check(&config));
        let queues_given = options.queues.is_some();
        let overridden = queues_given.then(|| config.queues.as_configured());
        problems.extend(override_by(&mut config, options));
        // A daemon in the wrong folder would work on nothing, and say that all is well.
        if !config.has_named_store()
            && let Some(path) = config.absent_database()
        {
            let message = config.no_database(path, &options.sources.working_dir);
            problems.push(Problem::of_source("store", format!("{message}; {NAME_ONE}")));
        }
        Ok(Self { config, notes, problems, queues_given, overridden })
    }

    /// Reads the tasks and makes the parts.
    fn parts(self, extensions: &Extensions, bus: &Bus, kept: &KeptOutputs) -> Result<Parts, Problems> {
        let Self { config, notes, mut problems, queues_given, overridden } = self;
        let (builtins, plugins) = (extensions.builtins(bus.clone()), extensions.plugins());
        let (names, plugin_names): (Vec<&str>, Vec<&str>) = (builtins.names().collect(), plugins.names().collect());
        let trusted = config.security.trusted();
        let known = KnownNames::new(&names, &plugin_names)
            .within(Some(&config.store.namespace))
            .changed_by(trusted.as_ref())
            .over(config.defaults.as_ref());
        let mut tasks = crate::task::load::load(&config.tasks_dir, known);
        let skipped = if config.skip_broken_tasks { tasks.skip_broken() } else { Vec::new() };
        problems.extend(tasks.problems);
        problems.extend(tasks.unavailable);
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        // All of them were problems otherwise.
        let broken = if config.skip_broken_tasks { tasks.broken } else { BrokenTasks::default() };
        let dispatch = Dispatch::keeping(&tasks.registry, &builtins, bus.clone(), Some(kept));
        Ok(Parts {
            config: Arc::new(config),
            registry: Arc::new(tasks.registry),
            dispatch: Arc::new(dispatch),
            kept: kept.clone(),
            remarks: first_of(told_as_skipped(&skipped, &broken).chain(notes).chain(tasks.warnings)),
            broken: Arc::new(broken),
            kept_periodic: Vec::new(),
            queues_given,
            overridden,
        })
    }
}

/// That tasks are skipped, and why.
pub(crate) fn told_as_skipped<'a>(
    skipped: &'a [Problem],
    broken: &'a BrokenTasks,
) -> impl Iterator<Item = String> + 'a {
    let labels: Vec<&str> = broken.labels().take(MOST_TOLD).collect();
    let head = format!(
        "tasks are skipped because their files have mistakes (skip_broken_tasks): {}; their jobs wait until the files are \
         right and read again (HUP)",
        labels.join(", ")
    );
    let head = (!skipped.is_empty()).then_some(head);
    head.into_iter().chain(skipped.iter().map(|problem| format!("skipped: {problem}")))
}

/// As many warnings as are told, and how many more there are.
fn first_of(mut warnings: impl Iterator<Item = String>) -> Vec<String> {
    let mut told: Vec<String> = warnings.by_ref().take(MOST_TOLD).collect();
    match warnings.count() {
        0 => {}
        rest => told.push(format!("{rest} more warnings; see windlass check")),
    }
    told
}

/// Applies the flags, which take precedence over the files; returns what is wrong with them.
fn override_by(config: &mut Config, options: &RunOptions) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(queues) = &options.queues {
        match QueuePatterns::new(queues.clone()) {
            Ok(patterns) => config.queues = patterns,
            Err(error) => problems.push(Problem::of_source("--queues", error.to_string())),
        }
    }
    config.scheduler = options.scheduler.unwrap_or(config.scheduler);
    config.skip_broken_tasks |= options.skip_broken_tasks;
    config.max_task_processors = options.max.unwrap_or(config.max_task_processors);
    // ActionHero's rule: with any processors at all there is at least one.
    let least = usize::from(config.max_task_processors > 0);
    config.min_task_processors = options.min.unwrap_or(config.min_task_processors.min(config.max_task_processors));
    config.min_task_processors = config.min_task_processors.max(least);
    if config.min_task_processors > config.max_task_processors {
        let (min, max) = (config.min_task_processors, config.max_task_processors);
        problems.push(Problem::of_source("--min", format!("expected at most the maximum of {max}, found {min}")));
    }
    problems
}
