//! From files to parts: everything that can be wrong is found here, before anything runs.

use std::sync::Arc;

use super::run::{RunError, RunOptions};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::config::element::queues::QueuePatterns;
use crate::config::error::{Problem, Problems};
use crate::config::load::{Loaded, load};
use crate::event::{Bus, Listener};
use crate::handler::builtin::Builtins;
use crate::handler::dispatch::Dispatch;
use crate::plugin::registry::Plugins;
use crate::task::Registry;
use crate::task::load::Known;
use crate::telemetry::line::Words;
use crate::telemetry::log;

/// The parts of a daemon. Nothing runs yet.
pub struct App {
    pub(super) config: Arc<Config>,
    pub(super) registry: Arc<Registry>,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) plugins: Arc<Plugins>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) bus: Bus,
    pub(super) listener: Listener,
    pub(super) words: Words,
    /// What was allowed and yet may surprise.
    pub(super) remarks: Vec<String>,
}

/// Reads configuration and tasks and puts the parts together.
///
/// # Errors
/// Every problem of all files at once.
pub fn assemble(options: &RunOptions) -> Result<App, RunError> {
    let Loaded { mut config, notes } = load(&options.sources)?;
    let mut problems = overridden(&mut config, options);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let words = Words::new(config.worker_logging.clone(), config.scheduler_logging.clone(), config.log.redact.clone());
    let interest = match log::init(&config.log, &words, Arc::clone(&clock)) {
        Ok(interest) => interest,
        Err(message) => {
            problems.push(Problem::of_source("log.level", message));
            0
        }
    };
    let (bus, mut listeners) = Bus::new(&[interest], log::DEPTH);
    let listener = listeners.pop().expect("one interest must give one listener");
    let builtins = Builtins::standard(bus.clone());
    let names: Vec<&str> = builtins.names().collect();
    let plugins = plugins_in_code();
    let plugin_names: Vec<&str> = plugins.names().collect();
    let known = Known { builtins: &names, plugins: &plugin_names };
    let tasks = crate::task::load::load(&config.tasks_dir, known);
    problems.extend(tasks.problems);
    if !problems.is_empty() {
        return Err(RunError::Configuration(Problems(problems)));
    }
    let dispatch = Dispatch::new(&tasks.registry, &builtins, bus.clone());
    Ok(App {
        config: Arc::new(config),
        registry: Arc::new(tasks.registry),
        dispatch: Arc::new(dispatch),
        plugins: Arc::new(plugins),
        clock,
        bus,
        listener,
        words,
        remarks: notes.into_iter().chain(tasks.warnings).collect(),
    })
}

/// The plugins in code that tasks may list, by name: the binary as it comes has none.
fn plugins_in_code() -> Plugins {
    Plugins::new()
}

/// What flags say comes before what files say.
fn overridden(config: &mut Config, options: &RunOptions) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(queues) = &options.queues {
        match QueuePatterns::new(queues.clone()) {
            Ok(patterns) => config.queues = patterns,
            Err(error) => problems.push(Problem::of_source("--queues", error.to_string())),
        }
    }
    config.scheduler = options.scheduler.unwrap_or(config.scheduler);
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
