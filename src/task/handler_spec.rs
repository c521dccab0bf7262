//! What a task's `[run]` may say.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::http::{HeaderName, Method};

use super::http_url::HttpUrl;
use crate::process::Confines;

/// The handler of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum HandlerSpec {
    /// A process for each job.
    Exec(ExecSpec),
    /// Processes that serve many jobs each.
    Rpc(RpcSpec),
    /// A request to an HTTP server for each job.
    Http(HttpSpec),
    /// Something in this process, by name.
    Builtin(BuiltinSpec),
}

/// `exec = [...]` and what goes with it.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecSpec {
    /// The program and its arguments, each with placeholders that are already parsed.
    pub argv: Vec<Template>,
    /// Where and with what it runs.
    pub process: ProcessSettings,
    /// What becomes of the output.
    pub output: OutputMode,
    /// What is kept as the job's result.
    pub result: ResultMode,
    /// May a placeholder's value begin with a dash where it would read as an option?
    pub allow_dash: bool,
    /// What an exit with 75 means.
    pub later: RetryLater,
}

/// `rpc = [...]` and what goes with it.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcSpec {
    /// The program and its arguments, as they stand.
    pub argv: Vec<String>,
    /// Where and with what it runs.
    pub process: ProcessSettings,
    /// How many children there are at most.
    pub processes: usize,
    /// How many jobs one of them may hold at once.
    pub depth: usize,
    /// After how many jobs a child is replaced.
    pub max_jobs: Option<u64>,
    /// With how many bytes in memory a child is replaced.
    pub max_rss: Option<u64>,
    /// How long a child may take to say that it is ready.
    pub start_timeout: Duration,
    /// What an answer of "later" means.
    pub later: RetryLater,
}

/// Where, with what environment and as whom a program runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProcessSettings {
    /// The working directory: the folder of the task file unless it says otherwise.
    pub cwd: PathBuf,
    /// Added to the environment.
    pub env: BTreeMap<String, String>,
    /// Does it inherit nothing but that?
    pub env_clear: bool,
    /// Its user, its umask, its limits, if it has any.
    pub confines: Option<Arc<Confines>>,
}

/// What "later" means when a handler says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryLater {
    /// How long the job waits, where the handler does not say that itself.
    pub delay: Duration,
    /// How often it may be put off before it fails.
    pub limit: u32,
}

impl Default for RetryLater {
    fn default() -> Self {
        Self { delay: Duration::from_secs(30), limit: 25 }
    }
}

/// One item of argv: text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The pieces in order.
    pub pieces: Vec<Piece>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text as it stands.
    Text(String),
    /// `{0}`, `{to}`, `{0.to.city}`: a value out of the arguments. A path that does not begin with
    /// a number starts at the first argument.
    Arg {
        /// Which argument.
        index: usize,
        /// The way down from it: keys of objects, or positions of arrays.
        path: Vec<String>,
        /// As it was written, for messages.
        written: String,
    },
    /// `{job.id}`.
    JobId,
    /// `{job.queue}`.
    JobQueue,
}

/// What becomes of a process' output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputMode {
    /// Logged line by line under the job's id.
    Log,
    /// Thrown away (but for the tail of stderr that explains a failure).
    Discard,
}

/// What is kept as a job's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultMode {
    /// Nothing.
    Nothing,
    /// The last line of stdout.
    LastLine,
}

/// `builtin = "..."` and what goes with it.
#[derive(Debug, Clone, PartialEq)]
pub struct BuiltinSpec {
    /// The builtin's name, of the registry of those that exist.
    pub name: String,
}

/// `http = "..."` and what goes with it.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSpec {
    /// Where requests go.
    pub url: HttpUrl,
    /// What they ask for.
    pub method: Method,
    /// Headers of the task's own. Any of their values may be secret.
    pub headers: Vec<(HeaderName, Secret)>,
    /// What requests are signed with.
    pub secret: Option<Secret>,
    /// How many connections there are at most; as many requests are under way.
    pub connections: usize,
    /// How long it may take until a connection stands, encryption included.
    pub connect_timeout: Duration,
    /// Certificates of the authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Is the body of the answer kept as the job's result?
    pub keep_body: bool,
    /// What 429 and 503 mean where they name no time.
    pub later: RetryLater,
}

/// A text that is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The text.
    Known(String),
    /// It could not be had where the task was loaded, and why: a daemon does not start so, while whoever only
    /// enqueues jobs need not know it.
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
