//! One validated task, and the registry of all tasks, which is an immutable snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::handler_spec::HandlerSpec;
use super::inputs::InputSpec;
use super::ping::PingSpec;
use super::plugin_spec::PluginSpec;
use super::schedule::{Cadence, JobSchedule};
use crate::config::element::crash_policy::OnCrash;
use crate::job::{QueueName, TaskName};

/// How many finished runs are kept of a task that runs by itself and does not say.
pub const KEPT_RUNS: u16 = 20;

/// How many are kept at most.
pub const MOST_KEPT_RUNS: u16 = 1000;

/// A task as its file defines it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TaskDefinition {
    /// Its name: the class of its jobs.
    pub name: TaskName,
    /// A description for people; by default the name.
    pub description: String,
    /// The queue its jobs go to.
    pub queue: QueueName,
    /// When it runs by itself; `None` for tasks that are not periodic.
    pub cadence: Option<Cadence>,
    /// How late, at most, a tick of a calendar still runs, in seconds; `None`: however late.
    pub missed_max_age_s: Option<u64>,
    /// May a run of a periodic task begin while another goes on?
    pub overlap: bool,
    /// By how many seconds ticks of a calendar are spread at most.
    pub jitter_s: u64,
    /// The declared inputs of its first argument, in the order of the file.
    pub inputs: Vec<InputSpec>,
    /// The schedules that enqueue it with arguments.
    pub schedules: Vec<JobSchedule>,
    /// Does a periodic task go on after a run that failed?
    pub re_enqueue_after_failure: bool,
    /// Its plugins in order, including the default plugins of periodic tasks.
    pub plugins: Vec<PluginSpec>,
    /// How long a run may take.
    pub timeout: Option<Duration>,
    /// The policy for a job whose run was cut off; `None`: the policy of the configuration.
    pub on_crash: Option<OnCrash>,
    /// How often a job is redelivered before it fails; `None`: the limit of the configuration.
    pub max_redeliveries: Option<u32>,
    /// How many of its finished runs are kept; `None`: as [`runs_kept`](Self::runs_kept) says.
    pub keep_runs: Option<u16>,
    /// For how long is kept what its jobs led to; `None`: not at all, unless a job is tracked.
    pub keep_results: Option<Duration>,
    /// Which server is told how its runs end.
    pub ping: Option<PingSpec>,
    /// The handler.
    pub handler: HandlerSpec,
    /// The file that defines it.
    pub source: PathBuf,
    /// Which of its values stand in `[defaults]`.
    pub from_defaults: FromDefaults,
}

/// Which values of a task stand in `[defaults]`: each key, and `file:line:column`. Two are equal if the keys are, because a
/// value that stands elsewhere is no other one.
#[derive(Debug, Clone, Default)]
pub struct FromDefaults(pub BTreeMap<String, String>);

impl PartialEq for FromDefaults {
    fn eq(&self, other: &Self) -> bool {
        self.0.keys().eq(other.0.keys())
    }
}

impl TaskDefinition {
    /// A task with the required settings; everything else has its default.
    #[must_use]
    pub fn new(name: TaskName, queue: QueueName, handler: HandlerSpec) -> Self {
        Self {
            description: name.to_string(),
            name,
            queue,
            cadence: None,
            missed_max_age_s: None,
            overlap: false,
            jitter_s: 0,
            inputs: Vec::new(),
            schedules: Vec::new(),
            re_enqueue_after_failure: true,
            plugins: Vec::new(),
            timeout: None,
            on_crash: None,
            max_redeliveries: None,
            keep_runs: None,
            keep_results: None,
            ping: None,
            handler,
            source: PathBuf::new(),
            from_defaults: FromDefaults::default(),
        }
    }

    /// How many of its finished runs are kept, and of each of its schedules: by default [`KEPT_RUNS`] of a task that runs by itself,
    /// and none of others.
    #[must_use]
    pub fn runs_kept(&self) -> u16 {
        let runs_by_itself = self.cadence.is_some() || !self.schedules.is_empty();
        self.keep_runs.unwrap_or(if runs_by_itself { KEPT_RUNS } else { 0 }).min(MOST_KEPT_RUNS)
    }

    /// The `frequency`, if the task has one.
    #[must_use]
    pub fn frequency(&self) -> Option<Duration> {
        match self.cadence {
            Some(Cadence::Every(every)) => Some(every),
            Some(Cadence::Calendar(_)) | None => None,
        }
    }
}

/// The tasks by name. A reload replaces the whole registry.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    tasks: BTreeMap<TaskName, Arc<TaskDefinition>>,
}

impl Registry {
    /// A registry of these tasks. The caller guarantees that names are unique.
    #[must_use]
    pub fn new(tasks: impl IntoIterator<Item = TaskDefinition>) -> Self {
        Self { tasks: tasks.into_iter().map(|task| (task.name.clone(), Arc::new(task))).collect() }
    }

    /// The same without these tasks.
    #[must_use]
    pub fn without(&self, names: &BTreeSet<TaskName>) -> Self {
        let kept = self.tasks.iter().filter(|(name, _)| !names.contains(*name));
        Self { tasks: kept.map(|(name, task)| (name.clone(), Arc::clone(task))).collect() }
    }

    /// The task of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<TaskDefinition>> {
        self.tasks.get(name)
    }

    /// All tasks in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TaskDefinition>> {
        self.tasks.values()
    }

    /// The periodic tasks.
    pub fn periodic(&self) -> impl Iterator<Item = &Arc<TaskDefinition>> {
        self.iter().filter(|task| task.cadence.is_some())
    }
}
