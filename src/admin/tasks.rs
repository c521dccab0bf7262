//! Tasks, as their files define them.
//!
//! Longer than 400 lines because the view of a task has each setting of each handler.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::calendar::CalendarView;
use super::error::AdminError;
use super::known::not_found;
use crate::config::element::crash_policy::OnCrash;
use crate::config::element::size;
use crate::process::Confines;
use crate::task::calendar::Calendar;
use crate::task::definition::Registry;
use crate::task::definition::TaskDefinition;
use crate::task::environment::EnvSource;
use crate::task::handler_spec::{
    ExecSpec, HandlerSpec, OutputMode, Piece, ProcessSettings, ResultMode, RpcSpec, StdinMode, Template,
};
use crate::task::hook_point::HookPoint;
use crate::task::plugin_spec::{CustomPluginSource, PluginSpec};
use crate::task::schedule::Cadence;

/// A task.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct TaskView {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The queue its jobs go to.
    pub queue: String,
    /// Its period in milliseconds; 0 for tasks that are not periodic.
    pub frequency_ms: u64,
    /// Its cron expression, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The time zone of the expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// When it runs or is enqueued by itself: its expression, and each `[[schedule]]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calendars: Vec<CalendarView>,
    /// Does it run again after a failed run? `None` for tasks that are not periodic.
    pub re_enqueue_after_failure: Option<bool>,
    /// Its plugins in order.
    pub plugins: Vec<PluginView>,
    /// How long a run may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// What happens to a job whose run was cut off, if the task sets it.
    pub on_crash: Option<&'static str>,
    /// How often a job is redelivered at most, if the task sets it.
    pub max_redeliveries: Option<u32>,
    /// How many of its finished runs are kept.
    pub keep_runs: u16,
    /// For how long is kept what its jobs led to, in milliseconds. Left out if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_results_ms: Option<u64>,
    /// Its handler.
    pub run: HandlerView,
    /// The file that defines it.
    pub source: String,
    /// Which of these values stand in `[defaults]`, under the key there, and where: `file:line:column`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub from_defaults: BTreeMap<String, String>,
}

/// A plugin with its options.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct PluginView {
    /// Its name.
    pub name: String,
    /// The program of a custom plugin, with its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<Vec<String>>,
    /// The hooks at which the program runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Vec<&'static str>>,
    /// How long one call of the program may take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The options of a custom plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<serde_json::Value>))]
    pub options: Option<Box<RawValue>>,
    /// The longest time its lock is held, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_timeout_s: Option<u64>,
    /// How long a job that finds the lock held waits, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enqueue_timeout_ms: Option<u64>,
    /// Is such a job enqueued again?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re_enqueue: Option<bool>,
    /// The most attempts of Retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// The waits before the next attempts, in milliseconds; the last one repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delays_ms: Option<Vec<u64>>,
    /// The lock key, if the task sets one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A task's handler.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(tag = "handler", rename_all = "lowercase")]
#[non_exhaustive]
pub enum HandlerView {
    /// A process for each job.
    Exec {
        /// The program and its arguments, with placeholders as written in the task file.
        argv: Vec<String>,
        /// The working directory.
        cwd: String,
        /// Names of variables that are set; values may be secret.
        env: Vec<String>,
        /// Does it inherit no others?
        env_clear: bool,
        /// The user, group, umask and limits it runs under, as in the task file.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        confines: BTreeMap<&'static str, String>,
        /// `none` if it reads nothing from its stdin, in place of the job.
        #[serde(skip_serializing_if = "Option::is_none")]
        stdin: Option<&'static str>,
        /// `log` or `discard`.
        output: &'static str,
        /// `last_line` if the last line of stdout is kept.
        result: Option<&'static str>,
        /// Does it tell how far it is? Left out if not.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        progress: bool,
    },
    /// Processes that serve many jobs each.
    Rpc {
        /// The program and its arguments.
        argv: Vec<String>,
        /// The working directory.
        cwd: String,
        /// Names of variables that are set; values may be secret.
        env: Vec<String>,
        /// Do they inherit no others?
        env_clear: bool,
        /// The user, group, umask and limits they run under, as in the task file.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        confines: BTreeMap<&'static str, String>,
        /// The most processes.
        processes: usize,
        /// The most jobs that one process runs at once.
        depth: usize,
        /// The number of jobs after which a process is replaced.
        max_jobs: Option<u64>,
        /// The memory in bytes above which a process is replaced.
        max_rss: Option<u64>,
        /// How long a process may take to be ready, in milliseconds.
        start_timeout_ms: u64,
    },
    /// A request to an HTTP server for each job.
    Http {
        /// The URL of the request.
        url: String,
        /// The method of the request.
        method: String,
        /// Names of headers that are set; values may be secret.
        headers: Vec<String>,
        /// Is the request signed?
        signed: bool,
        /// The most connections.
        connections: usize,
        /// How long connecting may take, in milliseconds.
        connect_timeout_ms: u64,
        /// The file with the trusted certificate authorities, instead of the system's.
        #[serde(skip_serializing_if = "Option::is_none")]
        ca_file: Option<String>,
        /// `body` if the response's body is kept.
        result: Option<&'static str>,
    },
    /// A handler inside this process.
    Builtin {
        /// Its name.
        name: String,
    },
}

/// All tasks, in order of their names, with the times after `now_ms` at which they run by themselves.
#[must_use]
pub fn list(registry: &Registry, now_ms: i64) -> Vec<TaskView> {
    registry.iter().map(|task| TaskView::of(task, now_ms)).collect()
}

/// One task.
///
/// # Errors
/// Fails for a task that does not exist.
pub fn show(registry: &Registry, name: &str, now_ms: i64) -> Result<TaskView, AdminError> {
    registry.get(name).map(|task| TaskView::of(task, now_ms)).ok_or_else(|| not_found(registry, name))
}

impl TaskView {
    fn of(task: &TaskDefinition, now_ms: i64) -> Self {
        let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            name: task.name.as_str().to_owned(),
            description: task.description.clone(),
            queue: task.queue.as_str().to_owned(),
            frequency_ms: task.frequency().map_or(0, ms),
            schedule: calendar_of(task).map(|calendar| calendar.expression().to_owned()),
            time_zone: calendar_of(task).map(|calendar| calendar.zone().to_owned()),
            calendars: calendar_of(task)
                .map(|calendar| CalendarView::of(calendar, None, now_ms))
                .into_iter()
                .chain(task.schedules.iter().map(|one| CalendarView::of(&one.calendar, Some(&one.id), now_ms)))
                .collect(),
            re_enqueue_after_failure: task.cadence.as_ref().map(|_| task.re_enqueue_after_failure),
            plugins: task.plugins.iter().map(PluginView::of).collect(),
            timeout_ms: task.timeout.map(ms),
            on_crash: task.on_crash.map(|policy| match policy {
                OnCrash::Requeue => "requeue",
                OnCrash::Fail => "fail",
            }),
            max_redeliveries: task.max_redeliveries,
            keep_runs: task.runs_kept(),
            keep_results_ms: task.keep_results.map(|lasts| u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX)),
            run: HandlerView::of(&task.handler),
            source: task.source.display().to_string(),
            from_defaults: task.from_defaults.0.clone(),
        }
    }
}

fn calendar_of(task: &TaskDefinition) -> Option<&Calendar> {
    match &task.cadence {
        Some(Cadence::Calendar(calendar)) => Some(calendar),
        Some(Cadence::Every(_)) | None => None,
    }
}

impl PluginView {
    fn of(plugin: &PluginSpec) -> Self {
        let bare = Self {
            name: plugin.name().to_owned(),
            exec: None,
            hooks: None,
            timeout_ms: None,
            options: None,
            lock_timeout_s: None,
            enqueue_timeout_ms: None,
            re_enqueue: None,
            max_attempts: None,
            delays_ms: None,
            key: None,
        };
        match plugin {
            PluginSpec::QueueLock { lock_timeout_s, key } => {
                Self { lock_timeout_s: Some(*lock_timeout_s), key: key.clone(), ..bare }
            }
            PluginSpec::DelayQueueLock | PluginSpec::Noop => bare,
            PluginSpec::Custom(own) => {
                let options = RawValue::from_string(own.options.to_string()).ok().filter(|all| all.get() != "{}");
                match &own.source {
                    CustomPluginSource::Program(program) => Self {
                        exec: Some(program.argv.clone()),
                        hooks: Some(program.points.iter().map(HookPoint::name).collect()),
                        timeout_ms: Some(u64::try_from(program.timeout.as_millis()).unwrap_or(u64::MAX)),
                        options,
                        ..bare
                    },
                    CustomPluginSource::Code => Self { options, ..bare },
                }
            }
            PluginSpec::Retry(retry) => {
                let delays_ms = Some(crate::plugin::retry::plain_delays(retry));
                Self { max_attempts: Some(retry.attempts), delays_ms, ..bare }
            }
            PluginSpec::JobLock { lock_timeout_s, enqueue_timeout_ms, re_enqueue, key } => Self {
                lock_timeout_s: Some(*lock_timeout_s),
                enqueue_timeout_ms: Some(*enqueue_timeout_ms),
                re_enqueue: Some(*re_enqueue),
                key: key.clone(),
                ..bare
            },
        }
    }
}

/// The names of the variables that are set, and the files that name others.
fn variables(process: &ProcessSettings) -> Vec<String> {
    let from_file = |source: &EnvSource| match source {
        EnvSource::Value { name, .. } => name.clone(),
        EnvSource::Lines(path) => format!("({})", path.display()),
    };
    let ProcessSettings { env, env_sources, inherited, .. } = process;
    let own = env.keys().cloned().chain(env_sources.iter().map(from_file));
    own.chain(inherited.env.keys().cloned()).chain(inherited.env_sources.iter().map(from_file)).collect()
}

impl HandlerView {
    fn of(handler: &HandlerSpec) -> Self {
        match handler {
            HandlerSpec::Exec(ExecSpec { argv, process, stdin, output, result, progress, .. }) => Self::Exec {
                progress: *progress,
                argv: argv.iter().map(written).collect(),
                cwd: process.cwd.display().to_string(),
                env: variables(process),
                env_clear: process.env_clear,
                confines: process.confines.as_deref().map(confines).unwrap_or_default(),
                stdin: match stdin {
                    StdinMode::Job => None,
                    StdinMode::Nothing => Some("none"),
                },
                output: match output {
                    OutputMode::Log => "log",
                    OutputMode::Discard => "discard",
                    OutputMode::File => "file",
                },
                result: match result {
                    ResultMode::Nothing => None,
                    ResultMode::LastLine => Some("last_line"),
                },
            },
            HandlerSpec::Rpc(RpcSpec {
                argv,
                process,
                processes,
                depth,
                max_jobs,
                max_rss,
                start_timeout,
                output: _,
                later: _,
            }) => Self::Rpc {
                argv: argv.clone(),
                cwd: process.cwd.display().to_string(),
                env: variables(process),
                env_clear: process.env_clear,
                confines: process.confines.as_deref().map(confines).unwrap_or_default(),
                processes: *processes,
                depth: *depth,
                max_jobs: *max_jobs,
                max_rss: *max_rss,
                start_timeout_ms: u64::try_from(start_timeout.as_millis()).unwrap_or(u64::MAX),
            },
            HandlerSpec::Http(http) => Self::Http {
                url: http.url.written.clone(),
                method: http.method.to_string(),
                headers: http.headers.iter().map(|(name, _)| name.to_string()).collect(),
                signed: !http.secrets.is_empty(),
                connections: http.connections,
                connect_timeout_ms: u64::try_from(http.connect_timeout.as_millis()).unwrap_or(u64::MAX),
                ca_file: http.ca_file.as_ref().map(|file| file.display().to_string()),
                result: http.keep_body.then_some("body"),
            },
            HandlerSpec::Builtin(builtin) => Self::Builtin { name: builtin.name.clone() },
        }
    }

    /// The handler in one line, for people.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Exec { argv, .. } => argv.join(" "),
            Self::Rpc { argv, processes, depth, .. } => format!("rpc {processes} x {depth}: {}", argv.join(" ")),
            Self::Http { url, method, .. } => format!("{method} {url}"),
            Self::Builtin { name } => format!("builtin {name}"),
        }
    }
}

/// What a program is confined to, under the keys of a task file.
fn confines(confines: &Confines) -> BTreeMap<&'static str, String> {
    let limits = confines.limits;
    [
        ("user", confines.user.as_ref().map(|user| user.name.clone())),
        ("group", confines.group.as_ref().map(|group| group.name.clone())),
        ("no_new_privs", confines.no_new_privs.then(|| "true".to_owned())),
        ("umask", confines.umask.map(|umask| format!("{umask:03o}"))),
        ("limits.memory", limits.memory.map(size::show)),
        ("limits.cpu", limits.cpu_s.map(|seconds| format!("{seconds}s"))),
        ("limits.processes", limits.processes.map(|count| count.to_string())),
        ("limits.open_files", limits.open_files.map(|count| count.to_string())),
        ("limits.file_size", limits.file_size.map(size::show)),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
    .collect()
}

/// An item of argv as the task file has it.
fn written(template: &Template) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text(text) => text.replace('{', "{{").replace('}', "}}"),
        Piece::Arg { written, .. } => format!("{{{written}}}"),
        Piece::JobId => "{job.id}".to_owned(),
        Piece::JobQueue => "{job.queue}".to_owned(),
    };
    template.pieces.iter().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argv_is_shown_as_it_was_written() {
        let to = Piece::Arg { index: 0, path: vec!["to".into()], written: "to".into() };
        let template = Template { pieces: vec![Piece::Text("--to={".into()), to, Piece::JobId] };
        assert_eq!(written(&template), "--to={{{to}{job.id}");
    }

    #[test]
    fn a_task_that_does_not_exist_is_told_so() {
        let error = show(&crate::client::enqueue::tests::registry(), "hourli", 0).unwrap_err();
        assert_eq!(error.to_string(), r#"there is no task "hourli" (did you mean "hourly"?)"#);
    }
}
