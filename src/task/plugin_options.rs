//! Reads `plugins` and `[plugin_options.*]` of a task.

use std::time::Duration;

use super::plugin_spec::{PluginSpec, RetrySpec};
use super::retry_options;
use crate::config::element::duration::{self, Unit};
use crate::config::error::closest;
use crate::config::reader::{Table, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    QueueLock,
    DelayQueueLock,
    JobLock,
    Retry,
    Noop,
}

const KINDS: [(&str, Kind); 5] = [
    ("QueueLock", Kind::QueueLock),
    ("DelayQueueLock", Kind::DelayQueueLock),
    ("JobLock", Kind::JobLock),
    ("Retry", Kind::Retry),
    ("Noop", Kind::Noop),
];

/// The plugins that a periodic task gets by itself, in ActionHero's order.
const OF_PERIODIC: [Kind; 3] = [Kind::JobLock, Kind::QueueLock, Kind::DelayQueueLock];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::QueueLock => "QueueLock",
            Self::DelayQueueLock => "DelayQueueLock",
            Self::JobLock => "JobLock",
            Self::Retry => "Retry",
            Self::Noop => "Noop",
        }
    }

    /// The plugin with node-resque's defaults.
    fn spec(self, re_enqueue: bool) -> PluginSpec {
        match self {
            Self::QueueLock => PluginSpec::QueueLock { lock_timeout_s: 3600, key: None },
            Self::DelayQueueLock => PluginSpec::DelayQueueLock,
            Self::JobLock => {
                PluginSpec::JobLock { lock_timeout_s: 3600, enqueue_timeout_ms: 1001, re_enqueue, key: None }
            }
            Self::Retry => PluginSpec::Retry(RetrySpec::default()),
            Self::Noop => PluginSpec::Noop,
        }
    }
}

/// The plugins of a task in order, with their options.
pub(super) fn read(task: &mut Table<'_>, periodic: bool, overlap: bool) -> Vec<PluginSpec> {
    let mut kinds: Vec<Kind> = Vec::new();
    let items = task.take("plugins").and_then(|value| value.list("a list of plugins, such as [\"QueueLock\"]"));
    for item in items.unwrap_or_default() {
        match item.raw().as_str() {
            None if item.raw().is_table() => {
                item.report("plugins of one's own are not built yet in this version; take it out");
            }
            _ => match item.one_of("a plugin: QueueLock, DelayQueueLock, JobLock, Retry or Noop", &KINDS) {
                Some(kind) if kinds.contains(&kind) => item.report(format!("{} is listed twice", kind.name())),
                Some(kind) => kinds.push(kind),
                None => {}
            },
        }
    }
    // ActionHero's defaults: JobLock drops the surplus run of a periodic task, unless the task itself lists it.
    let mut plugins: Vec<PluginSpec> = kinds.iter().map(|kind| kind.spec(true)).collect();
    if periodic {
        let unwanted = |kind: &Kind| kinds.contains(kind) || (overlap && *kind == Kind::JobLock);
        for kind in OF_PERIODIC.into_iter().filter(|kind| !unwanted(kind)) {
            plugins.push(kind.spec(false));
        }
    }
    let options = task.take("plugin_options").and_then(|value| value.table("a table of plugins")).map(|mut t| t.all());
    for (name, value) in options.unwrap_or_default() {
        if let Some(plugin) = plugins.iter_mut().find(|plugin| plugin.name() == name) {
            apply(plugin, &value);
        } else {
            let listed = closest(name, plugins.iter().map(PluginSpec::name));
            value.report_with("expected options of a plugin that is listed in plugins", listed);
        }
    }
    plugins
}

fn apply(plugin: &mut PluginSpec, value: &Value<'_>) {
    let Some(mut options) = value.table("a table of options") else { return };
    match plugin {
        PluginSpec::DelayQueueLock | PluginSpec::Noop => {}
        PluginSpec::Retry(retry) => retry_options::apply(&mut options, retry),
        PluginSpec::QueueLock { lock_timeout_s, key } => {
            lock_options(&mut options, lock_timeout_s, key);
        }
        PluginSpec::JobLock { lock_timeout_s, enqueue_timeout_ms, re_enqueue, key } => {
            lock_options(&mut options, lock_timeout_s, key);
            let wait = options.take("enqueue_timeout");
            if let Some(wait) = wait.and_then(|value| duration::read(&value, Unit::Milliseconds, Duration::ZERO)) {
                *enqueue_timeout_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            }
            if let Some(said) = options.take("re_enqueue").and_then(|value| value.boolean()) {
                *re_enqueue = said;
            }
        }
    }
    options.finish();
}

fn lock_options(options: &mut Table<'_>, lock_timeout_s: &mut u64, key: &mut Option<String>) {
    let timeout = options.take("lock_timeout");
    if let Some(timeout) = timeout.and_then(|value| duration::read(&value, Unit::Seconds, Duration::from_secs(1))) {
        *lock_timeout_s = whole_seconds(timeout);
    }
    if let Some(value) = options.take("key") {
        match value.string() {
            Some("") => value.expected("the key of the lock"),
            said => *key = said.map(str::to_owned),
        }
    }
}

/// Rounded up.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
