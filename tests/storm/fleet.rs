//! Two daemons over one store, as their operator sees them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::clock::SteppingClock;
use crate::ledger::HANDLER;

const BINARY: &str = env!("CARGO_BIN_EXE_windlass");

/// Jobs that may run beside one another, and jobs of which one at most may run.
pub(crate) const ANY: &str = "any";
pub(crate) const ALONE: &str = "alone";
/// The task with a frequency, and the one with a schedule.
pub(crate) const TICK: &str = "tick";
pub(crate) const SCHEDULED: &str = "scheduled";
pub(crate) const FREQUENCY_S: u64 = 2;

const TASKS: &str = r#"
[[task]]
name = "any"
[task.run]
exec = ["./run-ledger", "{0}", "{1}"]

[[task]]
name = "alone"
plugins = ["JobLock"]
[task.plugin_options.JobLock]
key = "resque:alone"
enqueue_timeout = 300
[task.run]
exec = ["./run-ledger", "{0}", "{1}"]

[[task]]
name = "tick"
frequency = "2s"
[task.run]
exec = ["./run-ledger", "-", "0.1"]

[[task]]
name = "scheduled"
[[task.schedule]]
cron = "*/2 * * * * *"
[task.run]
exec = ["./run-ledger", "-", "0.1"]
"#;

/// Which of an instance's two processes a fault hits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Victim {
    Parent,
    Daemon,
    Both,
}

/// A job to enqueue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) job: u64,
    pub(crate) task: &'static str,
    pub(crate) nap_ms: u64,
}

pub(crate) struct Fleet {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, PathBuf)>,
    seats: [Option<Child>; 2],
    /// The daemons that are stopped.
    stopped: [Vec<u32>; 2],
}

impl Fleet {
    pub(crate) fn new(store: &str, url: &str, lease: Duration, clock: &SteppingClock) -> Self {
        let dir = tempfile::Builder::new().prefix(&format!("windlass-storm-{store}-")).tempdir();
        let dir = dir.expect("a temporary folder must be had");
        let path = |name: &str| dir.path().join(name);
        fs::create_dir_all(path("tasks.d")).expect("a folder must be made");
        fs::write(path("tasks.d/run-ledger"), HANDLER).expect("the handler must be written");
        fs::set_permissions(path("tasks.d/run-ledger"), fs::Permissions::from_mode(0o755))
            .expect("it must be executable");
        fs::write(path("tasks.d/ledger.toml"), TASKS).expect("the tasks must be written");
        let config = format!(
            "scheduler = true\nqueues = [\"default\"]\nmin_task_processors = 4\nmax_task_processors = 6\n\
             max_redeliveries = 1000\ntasks_dir = \"tasks.d\"\n[store]\nurl = \"{url}\"\nlease = \"{}ms\"\n\
             [shutdown]\ntimeout = \"6s\"\nkill_grace = \"2s\"\n[worker_logging]\nsuccess = \"debug\"\n",
            lease.as_millis()
        );
        fs::write(path("tasks.toml"), config).expect("the configuration must be written");
        Self { dir, variables: clock.variables().to_vec(), seats: [None, None], stopped: Default::default() }
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.dir.path().join("ledger")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("--config").arg(self.dir.path().join("tasks.toml"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn start_all(&mut self) {
        for seat in 0..self.seats.len() {
            self.start(seat);
        }
    }

    /// Starts an instance unless it runs.
    pub(crate) fn start(&mut self, seat: usize) {
        let running = self.seats[seat].as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)));
        if running {
            return;
        }
        let log = fs::File::options().create(true).append(true).open(self.log(seat)).expect("a log must be opened");
        let mut command = self.command();
        command.arg("run").env("STORM_SEAT", seat.to_string()).env("STORM_LEDGER", self.ledger());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.seats[seat] = Some(command.spawn().expect("the binary must start"));
    }

    fn log(&self, seat: usize) -> PathBuf {
        self.dir.path().join(format!("log-{seat}"))
    }

    /// Enqueues jobs through the command line. Exit 0 means that the store took them all for sure.
    pub(crate) fn enqueue(&self, batch: &[Order]) -> Child {
        let mut command = self.command();
        command.args(["enqueue", "--bulk", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary must start");
        let mut stdin = child.stdin.take().expect("standard input must be piped");
        for Order { job, task, nap_ms } in batch {
            #[expect(clippy::cast_precision_loss, reason = "a nap of seconds")]
            let seconds = *nap_ms as f64 / 1000.0;
            writeln!(stdin, "{{\"task\":\"{task}\",\"args\":[{job},{seconds}]}}").expect("the pipe must take it");
        }
        child
    }

    pub(crate) fn kill(&mut self, seat: usize, victim: Victim) {
        let Some(mut child) = self.seats[seat].take() else { return };
        let daemons = daemons_of(&child);
        let (parent, daemon) = match victim {
            Victim::Parent => (true, false),
            Victim::Daemon => (false, true),
            Victim::Both => (true, true),
        };
        if parent {
            signal(child.id(), Signal::KILL);
        }
        if daemon {
            daemons.into_iter().for_each(|pid| signal(pid, Signal::KILL));
        }
        // A parent whose daemon died cleans up and ends by itself.
        child.wait().expect("a killed instance must end");
    }

    /// Stops the daemon proper; its jobs' processes go on.
    pub(crate) fn stop(&mut self, seat: usize) {
        if let Some(child) = &self.seats[seat] {
            self.stopped[seat] = daemons_of(child);
            self.stopped[seat].iter().for_each(|pid| signal(*pid, Signal::STOP));
        }
    }

    /// Lets a stopped daemon go on.
    pub(crate) fn go_on(&mut self, seat: usize) {
        self.stopped[seat].drain(..).for_each(|pid| signal(pid, Signal::CONT));
    }

    pub(crate) fn drain(&mut self, seat: usize) {
        self.go_on(seat);
        if let Some(mut child) = self.seats[seat].take() {
            signal(child.id(), Signal::TERM);
            child.wait().expect("a draining instance must end");
        }
    }

    pub(crate) fn drain_all(&mut self) -> Vec<ExitStatus> {
        for child in self.seats.iter().flatten() {
            signal(child.id(), Signal::TERM);
        }
        let ended = |child: &mut Option<Child>| child.take()?.wait().ok();
        self.seats.iter_mut().filter_map(ended).collect()
    }

    /// How many jobs the store has on its failed list.
    pub(crate) fn failed(&self) -> u64 {
        let output = self.command().args(["--json", "failed", "count"]).output().expect("the binary must run");
        let text = String::from_utf8_lossy(&output.stdout);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
        value["count"].as_u64().unwrap_or_else(|| panic!("no count in {text}"))
    }

    /// How often the instances have told that a job goes back to be run again.
    pub(crate) fn redeliveries_told(&self, id: &str) -> usize {
        let told = |seat| {
            let text = fs::read_to_string(self.log(seat)).unwrap_or_default();
            text.lines().filter(|line| line.contains(&format!("job {id} ")) && line.contains("redelivery")).count()
        };
        told(0) + told(1)
    }

    /// The ends of the logs, for a test that failed.
    pub(crate) fn log_tails(&self) -> String {
        let tail = |seat| {
            let text = fs::read_to_string(self.log(seat)).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            format!("--- log of {seat}\n{}\n", lines[lines.len().saturating_sub(120)..].join("\n"))
        };
        tail(0) + &tail(1)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for seat in 0..self.seats.len() {
            self.kill(seat, Victim::Parent);
        }
    }
}

/// The daemon proper of an instance: the child of the process we started.
fn daemons_of(parent: &Child) -> Vec<u32> {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    let children = fs::read_to_string(path).unwrap_or_default();
    // Orphans of jobs fall to the parent too; the daemon is the one that runs our binary.
    let is_daemon =
        |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == *PathBuf::from(BINARY));
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).filter(is_daemon).collect()
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid must be positive");
    // It may have ended by itself.
    let _ = kill_process(pid, signal);
}
