//! The settings of `[run]` of a task.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::http::{HeaderName, Method};

use super::environment::{EnvFiles, EnvSource};
use super::http_url::HttpUrl;
use crate::file::trust::Owners;
use crate::process::Confines;

/// The handler of a task.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum HandlerSpec {
    /// A process for each job.
    Exec(ExecSpec),
    /// Processes that serve many jobs each.
    Rpc(RpcSpec),
    /// A request to an HTTP server for each job.
    Http(HttpSpec),
    /// A handler of this process, by name.
    Builtin(BuiltinSpec),
}

impl HandlerSpec {
    /// The user, umask and limits of its programs, if any are set.
    #[must_use]
    pub fn confines(&self) -> Option<&Confines> {
        match self {
            Self::Exec(spec) => spec.process.confines.as_deref(),
            Self::Rpc(spec) => spec.process.confines.as_deref(),
            Self::Http(_) | Self::Builtin(_) => None,
        }
    }
}

/// `exec = [...]` and its options.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExecSpec {
    /// The program and its arguments, with parsed placeholders.
    pub argv: Vec<Template>,
    /// The settings of its process.
    pub process: ProcessSettings,
    /// What it reads from its stdin.
    pub stdin: StdinMode,
    /// How its output is treated.
    pub output: OutputMode,
    /// What is stored as the job's result.
    pub result: ResultMode,
    /// Does its program tell how far it is, on a descriptor of its own?
    pub progress: bool,
    /// From which item on a literal `--` ends the options of the program that reads the placeholders. `None`: never.
    pub options_end_from: Option<usize>,
    /// May an item that begins with a placeholder begin with a dash where the program would read it as an option?
    pub allow_dash: bool,
    /// The delay and limit after exit status 75.
    pub later: RetryLater,
}

/// `rpc = [...]` and its options.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RpcSpec {
    /// The program and its arguments, without placeholders.
    pub argv: Vec<String>,
    /// The settings of its process.
    pub process: ProcessSettings,
    /// The largest number of children.
    pub processes: usize,
    /// How many jobs a child may hold at once.
    pub depth: usize,
    /// After how many jobs a child is replaced.
    pub max_jobs: Option<u64>,
    /// From which resident size, in bytes, a child is replaced.
    pub max_rss: Option<u64>,
    /// How long a child may take until it reports that it is ready.
    pub start_timeout: Duration,
    /// How what the children write to stderr is treated.
    pub output: OutputMode,
    /// The delay and limit after a "later" response.
    pub later: RetryLater,
}

/// The working directory, environment, user and limits of a program.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct ProcessSettings {
    /// The working directory: by default the folder of the task file.
    pub cwd: PathBuf,
    /// Variables from `[defaults]`, which those below replace by name.
    pub inherited: EnvLayer,
    /// Variables that are added to the environment.
    pub env: BTreeMap<String, String>,
    /// Variables that are read from files when a program is started. Those of `env` come last.
    pub env_sources: Vec<EnvSource>,
    /// Is the inherited environment removed first?
    pub env_clear: bool,
    /// Its user, umask and limits, if any are set.
    pub confines: Option<Arc<Confines>>,
    /// Who may change the program; `None`: anybody.
    pub trusted: Option<Arc<Owners>>,
    /// Who may change the files with its variables.
    pub env_files: EnvFiles,
}

/// Variables of one place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EnvLayer {
    /// Those that are written out.
    pub env: BTreeMap<String, String>,
    /// Those that are read from files when a program is started. The others come last.
    pub env_sources: Vec<EnvSource>,
}

impl ProcessSettings {
    /// The value of a variable that is written out.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&String> {
        self.env.get(name).or_else(|| self.inherited.env.get(name))
    }
}

/// The delay and limit of runs that a handler postpones ("later").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryLater {
    /// How long the job waits if the handler names no delay.
    pub delay: Duration,
    /// How often a job may be postponed before it fails.
    pub limit: u32,
}

impl Default for RetryLater {
    fn default() -> Self {
        Self { delay: Duration::from_secs(30), limit: 25 }
    }
}

/// One item of argv: text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Template {
    /// The pieces in order.
    pub pieces: Vec<Piece>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Piece {
    /// Literal text.
    Text(String),
    /// `{0}`, `{to}`, `{0.to.city}`: a value of the arguments. A path that does not begin with a number starts at the
    /// first argument.
    Arg {
        /// The index of the argument.
        index: usize,
        /// The path into it: keys of objects, or positions of arrays.
        path: Vec<String>,
        /// The text of the placeholder, for messages.
        written: String,
    },
    /// `{job.id}`.
    JobId,
    /// `{job.queue}`.
    JobQueue,
}

/// What a process reads from its stdin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum StdinMode {
    /// The job.
    #[default]
    Job,
    /// Nothing: it is `/dev/null`.
    Nothing,
}

/// How the output of a process is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputMode {
    /// Logged line by line under the job's id.
    Log,
    /// Discarded, except the tail of stderr that explains a failure.
    Discard,
    /// Kept whole in a file of the run.
    File,
}

/// What is stored as a job's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResultMode {
    /// Nothing.
    Nothing,
    /// The last line of stdout.
    LastLine,
}

/// `builtin = "..."`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BuiltinSpec {
    /// The name of the builtin.
    pub name: String,
}

/// `http = "..."` and its options.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HttpSpec {
    /// The address of the requests.
    pub url: HttpUrl,
    /// The method of the requests.
    pub method: Method,
    /// Additional headers. Any value may be secret.
    pub headers: Vec<(HeaderName, Secret)>,
    /// The keys that sign requests, the newest first.
    pub secrets: Vec<Secret>,
    /// The largest number of connections, which is also that of concurrent requests.
    pub connections: usize,
    /// The time limit for a new connection, TLS handshake included.
    pub connect_timeout: Duration,
    /// Certificates of the authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Is the body of the response stored as the job's result?
    pub keep_body: bool,
    /// The delay and limit after 429 and 503.
    pub later: RetryLater,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Secret {
    /// The text.
    Known(String),
    /// The text could not be read when the task was loaded, and why. A daemon does not start then; a process that only
    /// enqueues jobs does not need the secret.
    Unavailable(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(_) => f.write_str("Known(...)"),
            Self::Unavailable(why) => f.debug_tuple("Unavailable").field(why).finish(),
        }
    }
}
