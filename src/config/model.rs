//! The validated configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::defaults::DefaultsSource;
use super::element::crash_policy::OnCrash;
use super::element::logging::EventLevel;
use super::element::logging::LogFormat;
use super::element::queues::QueuePatterns;
use super::element::store_url::StoreUrl;
use super::element::tls_files::{ConnectionFiles, TlsFiles};
use super::error::Place;
use super::http::HttpConfig;
#[cfg(feature = "otel")]
use super::otel::OtelConfig;
use super::overrides::Overrides;
pub use super::secret_text::SecretText;
use crate::file::trust::Owners;

/// All settings of `config/tasks.toml`, the environment and the flags.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The file that was read; `None`: no file, only defaults.
    pub source: Option<PathBuf>,
    /// Does this instance run a scheduler?
    pub scheduler: bool,
    /// Queues to work on, in order of priority.
    pub queues: QueuePatterns,
    /// The longest sleep between checks.
    pub timeout: Duration,
    /// Fewest processors. 0 only together with `max_task_processors` = 0: no pool.
    pub min_task_processors: usize,
    /// Most processors.
    pub max_task_processors: usize,
    /// How often the pool reconsiders its size.
    pub check_timeout: Duration,
    /// Scheduling delay above which the pool shrinks.
    pub max_event_loop_delay: Duration,
    /// When a foreign worker that stopped pinging is cleaned away; `None`: never.
    pub stuck_worker_timeout: Option<Duration>,
    /// The policy for jobs whose run was cut off; a task may have its own.
    pub on_crash: OnCrash,
    /// Are the jobs of dead workers of other programs enqueued again?
    pub retry_stuck_jobs: bool,
    /// How often a job is redelivered before it fails.
    pub max_redeliveries: u32,
    /// How long jobs wait whose program cannot be started, before they fail; zero: not at all.
    pub unstarted: Duration,
    /// How long jobs of a class wait that no task here has, before they fail; zero: not at all.
    pub unknown: Duration,
    /// The folder of the task files.
    pub tasks_dir: PathBuf,
    /// Where `[defaults]` stands; `None`: nowhere.
    pub defaults: Option<DefaultsSource>,
    /// Does a daemon work without the tasks whose files have mistakes?
    pub skip_broken_tasks: bool,
    /// When configuration and tasks are read again.
    pub reload: ReloadMode,
    /// Levels of the worker's events.
    pub worker_logging: WorkerLogging,
    /// Levels of the scheduler's events.
    pub scheduler_logging: SchedulerLogging,
    /// The implementations that replace built-in ones.
    pub overrides: Overrides,
    /// The store.
    pub store: StoreConfig,
    /// The deadlines of a drain.
    pub shutdown: ShutdownConfig,
    /// The log.
    pub log: LogConfig,
    /// Who may change what runs.
    pub security: SecurityConfig,
    /// Where the output of tasks with `output = "file"` is kept.
    pub output: OutputConfig,
    /// Who is told of failures.
    pub notify: Option<NotifyConfig>,
    /// Where it is reached over HTTP; `None`: nowhere.
    pub http: Option<HttpConfig>,
    /// Where spans are sent; `None`: nothing is traced.
    #[cfg(feature = "otel")]
    pub otel: Option<OtelConfig>,
}

/// `[notify]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyConfig {
    /// Who is told.
    pub target: NotifyTarget,
    /// How long that may take.
    pub timeout: Duration,
    /// Where the target stands.
    pub place: Place,
}

/// Who is told of failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyTarget {
    /// A program and its arguments.
    Exec(Vec<String>),
    /// A server.
    Url(SecretText),
}

/// `[output]`: the files of `output = "file"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputConfig {
    /// The folder.
    pub folder: PathBuf,
    /// How many bytes of a run are kept.
    pub run: u64,
    /// How many bytes of all runs together.
    pub total: u64,
    /// For how long.
    pub age: Duration,
    /// Who may change the folders above it; `None`: anybody.
    pub trusted: Option<Arc<Owners>>,
}

/// When a daemon reads configuration and tasks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ReloadMode {
    /// When it is told to, by HUP.
    #[default]
    Signal,
    /// Also when a file has changed.
    Auto,
}

impl ReloadMode {
    /// As the configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Auto => "auto",
        }
    }
}

/// `[worker_logging]`: each event's level.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the event of the same name")]
#[non_exhaustive]
pub struct WorkerLogging {
    pub failure: EventLevel,
    pub retry: EventLevel,
    pub later: EventLevel,
    pub success: EventLevel,
    pub start: EventLevel,
    pub end: EventLevel,
    pub cleaning_worker: EventLevel,
    pub poll: EventLevel,
    pub job: EventLevel,
    pub pause: EventLevel,
    pub re_enqueue: EventLevel,
    pub internal_error: EventLevel,
    pub multi_worker_action: EventLevel,
}

/// `[scheduler_logging]`: each event's level.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the event of the same name")]
#[non_exhaustive]
pub struct SchedulerLogging {
    pub start: EventLevel,
    pub end: EventLevel,
    pub poll: EventLevel,
    pub enqueue: EventLevel,
    pub re_enqueue: EventLevel,
    pub working_timestamp: EventLevel,
    pub transferred_job: EventLevel,
}

/// `[store]`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StoreConfig {
    /// Its address.
    pub url: StoreUrl,
    /// Who gave the address.
    pub origin: StoreOrigin,
    /// The file that the address was read from, if it was.
    pub address: Option<PathBuf>,
    /// The certificates of an encrypted connection.
    pub tls: TlsFiles,
    /// The prefix of every key.
    pub namespace: String,
    /// How long an instance may be silent before it counts as dead.
    pub lease: Duration,
}

impl StoreConfig {
    /// The files that a connection is made of.
    #[must_use]
    pub fn files(&self) -> ConnectionFiles {
        ConnectionFiles { tls: self.tls.clone(), address: self.address.clone() }
    }
}

/// Where the address of the store comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreOrigin {
    /// `--store`.
    Flag,
    /// `WINDLASS_STORE_URL`.
    Environment,
    /// `[store] url` in the configuration.
    File,
    /// Nobody gave one.
    Default,
}

/// `[shutdown]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownConfig {
    /// The time limit of the whole drain.
    pub timeout: Duration,
    /// The time between TERM and KILL.
    pub kill_grace: Duration,
    /// The time limit of the drain of a daemon of which another one has taken over. `None`: as long as its jobs take.
    pub upgrade_timeout: Option<Duration>,
}

/// `[security]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityConfig {
    /// Must configuration, task files and programs belong to trusted users, and be writable by nobody else?
    pub strict_modes: bool,
    /// The users who are trusted beside root and the user of the daemon.
    pub owners: Vec<User>,
    /// The groups whose members are trusted, and which may write.
    pub groups: Vec<Group>,
}

impl SecurityConfig {
    /// The users who may change what runs; `None`: anybody.
    #[must_use]
    pub fn trusted(&self) -> Option<Arc<Owners>> {
        let owners = || {
            let groups = self.groups.iter().map(|group| group.gid);
            Owners::with(self.owners.iter().map(|user| user.uid)).and_groups(groups)
        };
        self.strict_modes.then(|| Arc::new(owners()))
    }
}

/// A user of this system.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The name; the number of a user without one.
    pub name: String,
    /// The number.
    pub uid: u32,
}

/// A group of this system.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// The name; the number of a group without one.
    pub name: String,
    /// The number.
    pub gid: u32,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogConfig {
    /// The level as a `tracing` filter; `WINDLASS_LOG` overrides it.
    pub level: String,
    /// The format of a line.
    pub format: LogFormat,
    /// Keys of arguments whose values are never logged.
    pub redact: Vec<String>,
}
