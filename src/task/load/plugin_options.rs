//! Reads `plugins` and `[plugin_options.*]` of a task.

use std::sync::Arc;
use std::time::Duration;

use super::program::Missing;
use super::values::whole_seconds;
use super::{custom_plugins, retry_options};
use crate::config::element::duration::{self, Unit};
use crate::config::error::closest;
use crate::config::reader::{Table, Value};
use crate::file::trust::Owners;
use crate::job::own_keys::is_own;
use crate::task::plugin_spec::{PluginSpec, RetrySpec};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BuiltInPlugin {
    QueueLock,
    DelayQueueLock,
    JobLock,
    Retry,
    Noop,
}

const BUILT_IN_PLUGINS: [(&str, BuiltInPlugin); 5] = [
    ("QueueLock", BuiltInPlugin::QueueLock),
    ("DelayQueueLock", BuiltInPlugin::DelayQueueLock),
    ("JobLock", BuiltInPlugin::JobLock),
    ("Retry", BuiltInPlugin::Retry),
    ("Noop", BuiltInPlugin::Noop),
];

/// The plugins that a periodic task gets automatically, in ActionHero's order.
const OF_PERIODIC: [BuiltInPlugin; 3] =
    [BuiltInPlugin::JobLock, BuiltInPlugin::QueueLock, BuiltInPlugin::DelayQueueLock];

impl BuiltInPlugin {
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

/// What is known about the task when its plugins are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct PluginContext<'a> {
    /// Is the task periodic?
    pub(super) periodic: bool,
    /// May its runs overlap?
    pub(super) overlap: bool,
    /// What is missing at the moment.
    pub(super) missing: &'a Missing,
    /// The plugins that are registered in code.
    pub(super) in_code: &'a [&'a str],
    /// The namespace in which the keys of locks must be.
    pub(super) namespace: Option<&'a str>,
    /// Who may change programs; `None`: anybody.
    pub(super) trusted: Option<&'a Arc<Owners>>,
}

/// Checks the options of `[defaults]`, whichever tasks list the plugins.
pub(super) fn check_options(value: &Value<'_>, listed: &[PluginSpec], context: PluginContext<'_>) {
    let Some(mut table) = value.table("a table of plugins") else { return };
    for (name, value) in table.all() {
        let built_in = BUILT_IN_PLUGINS.iter().find(|(known, _)| *known == name).map(|(_, kind)| kind.spec(true));
        let in_code = || context.in_code.contains(&name).then(|| PluginSpec::Custom(custom_plugins::in_code(name)));
        let own = || listed.iter().find(|plugin| plugin.name() == name).cloned();
        match own().or(built_in).or_else(in_code) {
            Some(mut plugin) => apply(&mut plugin, &value, context.namespace),
            None => {
                let names = BUILT_IN_PLUGINS.iter().map(|(known, _)| *known);
                let nearest = closest(name, names.chain(listed.iter().map(PluginSpec::name)));
                value.report_with("expected options of a built-in plugin, or of one that [defaults] lists", nearest);
            }
        }
    }
}

/// The plugins of a list, and whether one of them could not be read: its options are not reported as options without a
/// plugin.
pub(super) fn list(value: Option<Value<'_>>, context: PluginContext<'_>) -> (Vec<PluginSpec>, bool) {
    let mut plugins: Vec<PluginSpec> = Vec::new();
    let items = value.and_then(|value| value.list("a list of plugins, such as [\"QueueLock\"]"));
    let mut unread = false;
    for item in items.unwrap_or_default() {
        let plugin = read_one(&item, context);
        unread |= plugin.is_none() && item.raw().is_table();
        match plugin {
            Some(plugin) if plugins.iter().any(|other| other.name() == plugin.name()) => {
                item.report(format!("{} is listed twice", plugin.name()));
            }
            plugin => plugins.extend(plugin),
        }
    }
    (plugins, unread)
}

/// The plugins of a task in order, with their options.
pub(super) fn read(task: &mut Table<'_>, context: PluginContext<'_>) -> Vec<PluginSpec> {
    let (mut plugins, unread) = list(task.take("plugins"), context);
    // ActionHero's defaults: JobLock drops the surplus run of a periodic task, unless the task itself lists it.
    if context.periodic {
        let listed = |plugin_kind: BuiltInPlugin| plugins.iter().any(|plugin| plugin.name() == plugin_kind.name());
        let unwanted = |plugin_kind: &BuiltInPlugin| {
            listed(*plugin_kind) || (context.overlap && *plugin_kind == BuiltInPlugin::JobLock)
        };
        let missing: Vec<BuiltInPlugin> =
            OF_PERIODIC.into_iter().filter(|plugin_kind| !unwanted(plugin_kind)).collect();
        plugins.extend(missing.into_iter().map(|plugin_kind| plugin_kind.spec(false)));
    }
    if let Some(underlay) = task.underlay()
        && let Some(mut options) = underlay.get("plugin_options").and_then(|value| value.table("a table of plugins"))
    {
        for plugin in &mut plugins {
            if let Some(value) = options.take_own(plugin.name()) {
                underlay.note(format!("plugin_options.{}", plugin.name()), &value);
                apply(plugin, &value, context.namespace);
            }
        }
    }
    // The task's own options come last: each replaces the one of [defaults].
    let options =
        task.take_own("plugin_options").and_then(|value| value.table("a table of plugins")).map(|mut t| t.all());
    for (name, value) in options.unwrap_or_default() {
        if let Some(plugin) = plugins.iter_mut().find(|plugin| plugin.name() == name) {
            apply(plugin, &value, context.namespace);
        } else if !unread {
            let listed = closest(name, plugins.iter().map(PluginSpec::name));
            value.report_with("expected options of a plugin that is listed in plugins", listed);
        }
    }
    plugins
}

fn read_one(item: &Value<'_>, context: PluginContext<'_>) -> Option<PluginSpec> {
    if item.raw().is_table() {
        return custom_plugins::program(item, item.document().folder(), context.trusted, context.missing)
            .map(PluginSpec::Custom);
    }
    if let Some(name) = item.raw().as_str().filter(|name| context.in_code.contains(name)) {
        return Some(PluginSpec::Custom(custom_plugins::in_code(name)));
    }
    let mut names: Vec<&str> =
        BUILT_IN_PLUGINS.iter().map(|(name, _)| *name).chain(context.in_code.iter().copied()).collect();
    let last = names.pop().unwrap_or_default();
    let words: Vec<(&str, Option<BuiltInPlugin>)> = BUILT_IN_PLUGINS
        .iter()
        .map(|(name, plugin_kind)| (*name, Some(*plugin_kind)))
        .chain(context.in_code.iter().map(|name| (*name, None)))
        .collect();
    let plugin_kind = item.one_of(&format!("a plugin: {} or {last}", names.join(", ")), &words)??;
    Some(plugin_kind.spec(true))
}

fn apply(plugin: &mut PluginSpec, value: &Value<'_>, namespace: Option<&str>) {
    let Some(mut options) = value.table("a table of options") else { return };
    match plugin {
        PluginSpec::Custom(own) => {
            own.options = custom_plugins::options(options);
            return;
        }
        PluginSpec::DelayQueueLock | PluginSpec::Noop => {}
        PluginSpec::Retry(retry) => retry_options::apply(&mut options, retry),
        PluginSpec::QueueLock { lock_timeout_s, key } => {
            lock_options(&mut options, lock_timeout_s, key, namespace);
        }
        PluginSpec::JobLock { lock_timeout_s, enqueue_timeout_ms, re_enqueue, key } => {
            lock_options(&mut options, lock_timeout_s, key, namespace);
            let wait = options.take("enqueue_timeout");
            if let Some(wait) = wait.and_then(|value| duration::read_short(&value, Unit::Milliseconds, Duration::ZERO))
            {
                *enqueue_timeout_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            }
            if let Some(said) = options.take("re_enqueue").and_then(|value| value.boolean()) {
                *re_enqueue = said;
            }
        }
    }
    options.finish();
}

fn lock_options(options: &mut Table<'_>, lock_timeout_s: &mut u64, key: &mut Option<String>, namespace: Option<&str>) {
    let timeout = options.take("lock_timeout");
    if let Some(timeout) = timeout.and_then(|value| duration::read(&value, Unit::Seconds, Duration::from_secs(1))) {
        *lock_timeout_s = whole_seconds(timeout);
    }
    if let Some(value) = options.take("key") {
        match value.string() {
            Some("") => value.expected("the key of the lock"),
            // The server would refuse each step with such a job, and all others in the same step.
            Some(said) if namespace.is_some_and(|namespace| !is_within(said, namespace)) => {
                let namespace = namespace.unwrap_or_default();
                let name = name_of(said);
                value.expected(&format!(
                    "a key within the namespace, such as \"{namespace}:lock:{name}\", because the rights of a Redis user \
                     and the one slot of a Cluster hold only there"
                ));
            }
            // The lock would be refused, or be freed with all that stands there.
            Some(said) if namespace.is_some_and(|namespace| is_used(said, namespace)) => {
                let namespace = namespace.unwrap_or_default();
                let name = name_of(said);
                value.expected(&format!(
                    "a key that nothing else uses, such as \"{namespace}:lock:{name}\", because jobs or what is known of them \
                     stand under this one"
                ));
            }
            said => *key = said.map(str::to_owned),
        }
    }
}

/// What a key of another namespace calls its lock.
fn name_of(key: &str) -> &str {
    let name = key.rsplit_once("lock:").map(|(_, name)| name).or_else(|| key.rsplit_once(':').map(|(_, name)| name));
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| key.trim_end_matches(':'))
}

/// Is this whole key of Redis one of the namespace?
fn is_within(key: &str, namespace: &str) -> bool {
    key.strip_prefix(namespace).and_then(|rest| rest.strip_prefix(':')).is_some_and(|name| !name.is_empty())
}

/// Do the engine, or the programs that share it, keep something under this key of the namespace?
fn is_used(key: &str, namespace: &str) -> bool {
    key.strip_prefix(namespace).and_then(|rest| rest.strip_prefix(':')).is_some_and(|name| is_own(name, namespace))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use crate::task::load::{KnownNames, load};

    #[test]
    fn a_lock_whose_key_is_not_of_the_namespace_is_refused_with_one_that_is() {
        for (plugin, key, is_good, name) in [
            ("JobLock", "one", false, "one"),
            ("QueueLock", "resque2:one", false, "one"),
            ("QueueLock", "resque2:lock:one:two", false, "one:two"),
            ("JobLock", "resque:", false, "resque"),
            ("JobLock", "resque:lock:one", true, ""),
            ("JobLock", "resque:failed-imports", true, ""),
            ("QueueLock", "resque:failed", false, "failed"),
            ("QueueLock", "resque:queue:other", false, "other"),
            ("JobLock", "resque:windlass:birth", false, "birth"),
            ("JobLock", "resque:resque:resque_scheduler_master_lock", false, "resque_scheduler_master_lock"),
        ] {
            let dir = TempDir::new().unwrap();
            let text = format!(
                "name = \"t\"\nplugins = [\"{plugin}\"]\n[plugin_options.{plugin}]\nkey = \"{key}\"\n[run]\nbuiltin = \"noop\"\n"
            );
            std::fs::write(dir.path().join("t.toml"), text).unwrap();
            let tasks = load(dir.path(), KnownNames::new(&["noop"], &[]).within(Some("resque")));
            let problems: Vec<String> = tasks.problems.iter().map(ToString::to_string).collect();
            assert_eq!(problems.is_empty(), is_good, "{problems:?}");
            let place = format!("plugin_options.{plugin}.key");
            let remedy = format!("such as \"resque:lock:{name}\"");
            assert!(is_good || problems[0].contains(&place) && problems[0].contains(&remedy), "{problems:?}");
        }
    }
}
