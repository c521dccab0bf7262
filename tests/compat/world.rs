//! The world of one test: a redis-server, a folder with configuration and tasks, the command line.
//!
//! Longer than 400 lines because all tests share these helpers.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::daemon::{Daemon, kill_all_below};
use crate::peer::Peer;
use crate::redis::{Options, RedisServer};
use crate::resp::Reply;
use crate::waiting::eventually_some;

/// The program of every job of these tests: it records its begin, waits until the given file exists, records its end,
/// and exits with the given code.
const JOB: &str = r#"#!/bin/sh
job=$(cat)
say() { printf '%s %s %s\n' "$1" "$(date +%s%N)" "$job" >>"$world/runs"; }
say begin
while [ -n "$1" ] && [ ! -e "$world/$1" ]; do sleep 0.02; done
say end
[ "${2:-0}" = 0 ] || echo "told to fail" >&2
exit "${2:-0}"
"#;

/// A world.
pub(crate) struct World {
    pub(crate) redis: RedisServer,
    dir: tempfile::TempDir,
    daemons: AtomicUsize,
}

/// How a daemon of this world is configured; the defaults are quick and do not shrink under load.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) scheduler: bool,
    pub(crate) queues: &'static str,
    pub(crate) min: usize,
    pub(crate) max: usize,
    /// Further lines at the top.
    pub(crate) more: &'static str,
    pub(crate) lease: &'static str,
    pub(crate) shutdown: &'static str,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scheduler: true,
            queues: r#"["math"]"#,
            min: 1,
            max: 1,
            more: "",
            lease: "3s",
            shutdown: "timeout = \"20s\"\nkill_grace = \"5s\"",
        }
    }
}

impl Settings {
    /// A scheduler without pool.
    pub(crate) fn scheduler_only() -> Self {
        Self { min: 0, max: 0, ..Self::default() }
    }
}

/// The output of a command.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// The answer as JSON, of a command that succeeded.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "the command failed: {self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// All that it printed.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// One line of the runs: a job began or ended.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// `begin` or `end`.
    pub(crate) phase: String,
    /// When, in nanoseconds since the Unix epoch.
    pub(crate) at_ns: i64,
    /// The job as it arrived on stdin.
    pub(crate) job: String,
}

/// The members of a job that these tests look at.
#[derive(Deserialize)]
struct Job<'a> {
    id: String,
    task: String,
    queue: String,
    redelivered: u32,
    #[serde(borrow)]
    args: &'a RawValue,
}

impl Run {
    fn read(&self) -> Job<'_> {
        serde_json::from_str(&self.job).unwrap_or_else(|error| panic!("no job on stdin ({error}): {}", self.job))
    }

    /// The exact text of the arguments.
    pub(crate) fn args(&self) -> String {
        self.read().args.get().to_owned()
    }

    pub(crate) fn id(&self) -> String {
        self.read().id
    }

    pub(crate) fn task(&self) -> String {
        self.read().task
    }

    pub(crate) fn queue(&self) -> String {
        self.read().queue
    }

    pub(crate) fn redelivered(&self) -> u32 {
        self.read().redelivered
    }
}

impl World {
    /// A world without tasks.
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    /// A world whose redis-server keeps what it acknowledged.
    pub(crate) fn durable() -> Self {
        Self::with(Options { durable: true, ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let dir =
            tempfile::Builder::new().prefix("windlass-compat-").tempdir().expect("a temporary folder must be had");
        for folder in ["config", "tasks.d"] {
            fs::create_dir(dir.path().join(folder)).expect("a new folder must be writable");
        }
        let world = Self { redis: RedisServer::start(options), dir, daemons: AtomicUsize::new(0) };
        let script = JOB.replacen('\n', &format!("\nworld='{}'\n", world.path().display()), 1);
        let job = world.path().join("tasks.d/job");
        fs::write(&job, script).expect("the folder must be writable");
        fs::set_permissions(&job, fs::Permissions::from_mode(0o755)).expect("one's own file must be changeable");
        world.configure("cli.toml", &Settings::default());
        world
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    // ------------------------------------------------------------------ tasks and their runs

    /// Defines a task of queue `math` whose jobs are on record in [`runs`](Self::runs) and succeed.
    pub(crate) fn task(&self, name: &str, lines: &str) {
        self.task_in("math", name, lines, &["", "0"]);
    }

    /// The same, but its jobs wait for the gate of the task's name.
    pub(crate) fn gated_task(&self, name: &str, lines: &str) {
        self.task_in("math", name, lines, &[name, "0"]);
    }

    /// The same, but its jobs fail.
    pub(crate) fn failing_task(&self, name: &str, lines: &str) {
        self.task_in("math", name, lines, &["", "3"]);
    }

    /// Defines a task that runs the job script with these arguments.
    pub(crate) fn task_in(&self, queue: &str, name: &str, lines: &str, job: &[&str]) {
        let mut exec = r#"exec = ["./job""#.to_owned();
        for arg in job {
            write!(exec, ", {arg:?}").expect("strings take all");
        }
        self.task_file(name, &format!("name = {name:?}\nqueue = {queue:?}\n{lines}\n[run]\n{exec}]\n"));
    }

    /// Writes a task file.
    pub(crate) fn task_file(&self, name: &str, text: &str) {
        fs::write(self.path().join(format!("tasks.d/{name}.toml")), text).expect("the folder must be writable");
    }

    /// Lets the jobs that wait for this gate go on, and all that come later.
    pub(crate) fn open(&self, gate: &str) {
        fs::write(self.path().join(gate), "").expect("the folder must be writable");
    }

    /// Shuts a gate for jobs that begin from now on.
    pub(crate) fn shut(&self, gate: &str) {
        fs::remove_file(self.path().join(gate)).expect("an open gate must be there");
    }

    /// All records of jobs, in order.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let text = fs::read_to_string(self.path().join("runs")).unwrap_or_default();
        // An incomplete line does not count yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let run = |line: &str| {
            let mut parts = line.splitn(3, ' ').map(str::to_owned);
            let mut part = || parts.next().unwrap_or_else(|| panic!("a line of runs must have three parts: {line:?}"));
            let (phase, at, job) = (part(), part(), part());
            Run { phase, at_ns: at.parse().expect("date must print a number"), job }
        };
        whole.lines().map(run).collect()
    }

    /// The jobs that began, in order.
    pub(crate) fn begun(&self) -> Vec<Run> {
        self.runs().into_iter().filter(|run| run.phase == "begin").collect()
    }

    /// The jobs that ended, in order.
    pub(crate) fn ended(&self) -> Vec<Run> {
        self.runs().into_iter().filter(|run| run.phase == "end").collect()
    }

    /// Waits until this many jobs began, and gives them.
    pub(crate) fn wait_begun(&self, count: usize) -> Vec<Run> {
        eventually_some(&format!("{count} jobs begin"), || Some(self.begun()).filter(|runs| runs.len() >= count))
    }

    /// Waits until this many jobs ended, and gives them.
    pub(crate) fn wait_ended(&self, count: usize) -> Vec<Run> {
        eventually_some(&format!("{count} jobs end"), || Some(self.ended()).filter(|runs| runs.len() >= count))
    }

    // ------------------------------------------------------------------ daemons and peers

    /// Starts a daemon and waits until it says that it is ready.
    pub(crate) fn daemon(&self, settings: &Settings) -> Daemon {
        let number = self.daemons.fetch_add(1, Ordering::Relaxed);
        let config = self.configure(&format!("daemon-{number}.toml"), settings);
        Daemon::start(&config, &self.path().join(format!("daemon-{number}")))
    }

    /// Starts a node-resque peer that knows these jobs (a JSON object, see `peer.mjs`).
    pub(crate) fn peer(&self, definitions: &str) -> Peer {
        Peer::connect(&self.redis.socket(), definitions)
    }

    /// Runs a command with `--json`.
    pub(crate) fn windlass(&self, args: &[&str]) -> Answer {
        let output = self.command(args).output().expect("the binary must start");
        Answer {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// A command of the command line, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command.arg("--config").arg(self.path().join("config/cli.toml")).arg("--json").args(args);
        command.current_dir(self.path()).env_remove("WINDLASS_LOG").env_remove("WINDLASS_STORE_URL");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn configure(&self, file: &str, settings: &Settings) -> PathBuf {
        let Settings { scheduler, queues, min, max, more, lease, shutdown } = settings;
        let url = self.redis.url();
        let text = format!(
            r#"
scheduler = {scheduler}
queues = {queues}
timeout = "200ms"
min_task_processors = {min}
max_task_processors = {max}
check_timeout = "100ms"
max_event_loop_delay = "10s"
tasks_dir = "../tasks.d"
{more}
[worker_logging]
multi_worker_action = "info"
[store]
url = "{url}"
lease = "{lease}"
[shutdown]
{shutdown}
[log]
level = "debug"
"#
        );
        let path = self.path().join("config").join(file);
        fs::write(&path, text).expect("the folder must be writable");
        path
    }

    // ------------------------------------------------------------------ the content of Redis

    /// One command.
    #[track_caller]
    pub(crate) fn redis(&self, args: &[&str]) -> Reply {
        let reply = self.redis.command(args);
        assert!(!matches!(reply, Reply::Error(_)), "redis refused {args:?}: {reply:?}");
        reply
    }

    /// One command that answers with a number.
    #[track_caller]
    pub(crate) fn int(&self, args: &[&str]) -> i64 {
        match self.redis(args) {
            Reply::Int(number) => number,
            other => panic!("{args:?} must give a number: {other:?}"),
        }
    }

    /// One command that answers with texts.
    #[track_caller]
    pub(crate) fn texts(&self, args: &[&str]) -> Vec<String> {
        self.redis(args).texts()
    }

    /// One command that answers with one text, or none.
    #[track_caller]
    pub(crate) fn text(&self, args: &[&str]) -> Option<String> {
        self.texts(args).into_iter().next()
    }

    /// A counter, 0 if it is not there.
    pub(crate) fn counter(&self, key: &str) -> i64 {
        self.text(&["GET", key]).map_or(0, |text| text.parse().expect("counters must be numbers"))
    }

    /// The jobs on a queue.
    pub(crate) fn queued(&self, queue: &str) -> Vec<String> {
        self.texts(&["LRANGE", &format!("resque:queue:{queue}"), "0", "-1"])
    }

    /// The failure records.
    pub(crate) fn failed(&self) -> Vec<String> {
        self.texts(&["LRANGE", "resque:failed", "0", "-1"])
    }

    /// The registered workers.
    pub(crate) fn workers(&self) -> Vec<String> {
        self.texts(&["SMEMBERS", "resque:workers"])
    }

    /// The one registered worker.
    pub(crate) fn only_worker(&self) -> String {
        eventually_some("one worker is registered", || match &self.workers()[..] {
            [worker] => Some(worker.clone()),
            _ => None,
        })
    }

    /// Is there one worker, and does it do nothing?
    pub(crate) fn only_worker_is_idle(&self) -> bool {
        match &self.workers()[..] {
            [worker] => self.int(&["EXISTS", &format!("resque:worker:{worker}")]) == 0,
            _ => false,
        }
    }

    /// Puts raw bytes on a queue, as any client may.
    pub(crate) fn push(&self, queue: &str, payload: &str) {
        self.redis(&["SADD", "resque:queues", queue]);
        self.redis(&["RPUSH", &format!("resque:queue:{queue}"), payload]);
    }

    /// Delays a job's raw bytes, as any client may.
    pub(crate) fn delay(&self, second: i64, payload: &str) {
        let delayed = format!("delayed:{second}");
        self.redis(&["RPUSH", &format!("resque:{delayed}"), payload]);
        self.redis(&["SADD", &format!("resque:timestamps:{payload}"), &delayed]);
        self.redis(&["ZADD", "resque:delayed_queue_schedule", &second.to_string(), &second.to_string()]);
    }

    /// Delays `count` jobs of class `add` and arguments `[0]`, `[1]`, ... for this second.
    pub(crate) fn delay_many(&self, second: i64, count: usize) {
        const SCRIPT: &str = r#"
            local at = 'delayed:' .. ARGV[1]
            for i = 0, ARGV[2] - 1 do
                local job = '{"class":"add","queue":"math","args":[' .. i .. ']}'
                redis.call('RPUSH', 'resque:' .. at, job)
                redis.call('SADD', 'resque:timestamps:' .. job, at)
            end
            return redis.call('ZADD', 'resque:delayed_queue_schedule', ARGV[1], ARGV[1])"#;
        self.redis(&["EVAL", SCRIPT, "0", &second.to_string(), &count.to_string()]);
    }

    /// Checks that queue `math` holds each job of [`delay_many`](Self::delay_many) exactly once, and that
    /// nothing is delayed any more.
    #[track_caller]
    pub(crate) fn assert_promoted_once(&self, count: usize) {
        let mut queued = self.queued("math");
        assert_eq!(queued.len(), count, "jobs were lost or doubled");
        queued.sort_unstable();
        queued.dedup();
        assert_eq!(queued.len(), count, "jobs were doubled and others lost");
        assert_eq!(self.texts(&["KEYS", "resque:delayed*"]), Vec::<String>::new(), "delayed jobs are left");
        assert_eq!(self.texts(&["KEYS", "resque:timestamps:*"]), Vec::<String>::new(), "bookkeeping is left");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        kill_all_below(self.path());
        if std::thread::panicking() {
            let mut stderr = std::io::stderr().lock();
            for number in 0..self.daemons.load(Ordering::Relaxed) {
                let log = fs::read_to_string(self.path().join(format!("daemon-{number}.log"))).unwrap_or_default();
                let tail = log.lines().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>();
                writeln!(stderr, "--- daemon {number} said at last:\n{}", tail.join("\n")).ok();
            }
            let failed = self.redis.command(&["LRANGE", "resque:failed", "-5", "-1"]).texts();
            writeln!(stderr, "--- failed jobs at last: {failed:#?}").ok();
        }
    }
}
