//! One task, validated.

use std::path::PathBuf;
use std::time::Duration;

use super::handler_spec::HandlerSpec;
use super::plugin_spec::PluginSpec;
use crate::config::element::on_crash::OnCrash;
use crate::job::{QueueName, TaskName};

/// A task as its file defines it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskDefinition {
    /// Its name: the class of its jobs.
    pub name: TaskName,
    /// What it does, for people; the name if nothing else is said.
    pub description: String,
    /// The queue its jobs go to.
    pub queue: QueueName,
    /// How often it runs by itself: whole seconds, at least one; `None` for tasks that are not
    /// periodic.
    pub frequency: Option<Duration>,
    /// Does a periodic task go on after a run that failed?
    pub re_enqueue_after_failure: bool,
    /// Its plugins in order, including those that a periodic task gets by itself.
    pub plugins: Vec<PluginSpec>,
    /// How long a run may take.
    pub timeout: Option<Duration>,
    /// What becomes of a job whose run was cut off; `None`: as the configuration says.
    pub on_crash: Option<OnCrash>,
    /// How often a job is redelivered before it fails; `None`: as the configuration says.
    pub max_redeliveries: Option<u32>,
    /// What runs.
    pub handler: HandlerSpec,
    /// The file it stands in.
    pub source: PathBuf,
}
