//! A daemon in a folder of its own: the real binary, its configuration, its log.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_windlass");
/// How long a test waits for something before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Where a server listens by TCP, as the log of its program says first.
pub(crate) fn listening_at(log: &str) -> Option<SocketAddr> {
    log.split("listening on http://").skip(1).find_map(|rest| rest.split_whitespace().next()?.parse().ok())
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        // What another process does sends no signal here: ask again, with a deadline.
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A folder with a configuration and tasks.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    /// A configuration over this store (`sqlite:...`, relative to the folder, or a Redis).
    pub(crate) fn new(store: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder must be had");
        fs::create_dir(dir.path().join("tasks.d")).expect("a folder must be made");
        let config = format!(
            "scheduler = true\nqueues = [\"default\"]\nmin_task_processors = 2\nmax_task_processors = 2\n{more}\n\
             tasks_dir = \"tasks.d\"\n[store]\nurl = \"{store}\"\nlease = \"3s\"\n\
             [shutdown]\ntimeout = \"4s\"\nkill_grace = \"1s\"\n"
        );
        fs::write(dir.path().join("tasks.toml"), config).expect("the configuration must be written");
        Self(dir)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What stands in a file; nothing if there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A task that runs a shell script with the arguments `{0}`.
    pub(crate) fn script(&self, name: &str, script: &str) {
        let folder = self.0.path().display();
        let text = format!(
            "name = \"{name}\"\n[run]\nexec = [\"sh\", \"-c\", '''cd {folder}; {script}''', \"sh\"]\nallow_dash = true\nallow_code = true\n"
        );
        fs::write(self.path(&format!("tasks.d/{name}.toml")), text).expect("the task must be written");
    }

    /// Adds keys to a task, above its `[run]`.
    pub(crate) fn add_keys(&self, task: &str, keys: &str) {
        let path = self.path(&format!("tasks.d/{task}.toml"));
        let text = fs::read_to_string(&path).expect("the task must be readable");
        fs::write(&path, text.replace("[run]", &format!("{keys}\n[run]"))).expect("the task must be written");
    }

    /// Changes the configuration: this text for that one, which must be there.
    #[track_caller]
    pub(crate) fn reconfigure(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.path("tasks.toml")).expect("the configuration must be readable");
        assert!(text.contains(old), "{old:?} is not in {text}");
        fs::write(self.path("tasks.toml"), text.replacen(old, new, 1)).expect("the configuration must be written");
    }

    /// A task that is served by this program, which stays.
    pub(crate) fn worker(&self, name: &str, program: &str) {
        let path = self.path(&format!("tasks.d/{name}.sh"));
        fs::write(&path, program).expect("the program must be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("one's own file must be changeable");
        let task = format!("name = \"{name}\"\n[run]\nrpc = [\"./{name}.sh\"]\n");
        fs::write(self.path(&format!("tasks.d/{name}.toml")), task).expect("the task must be written");
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("--config").arg(self.path("tasks.toml")).args(args);
        command.env_remove("WINDLASS_STORE_URL").stdin(Stdio::null());
        command
    }

    /// Runs a command line to its end; what it said.
    pub(crate) fn windlass(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.command(args).output().expect("the binary must run");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// The document that a command prints with `--json`, and its exit code.
    #[track_caller]
    pub(crate) fn document(&self, args: &[&str]) -> (Option<i32>, Value) {
        // Warnings of the files that it reads stand beside the document.
        let output = self.command(&[&["--json"], args].concat()).output().expect("the binary must run");
        let document = serde_json::from_slice(&output.stdout);
        (output.status.code(), document.unwrap_or_else(|error| panic!("{error}: {output:?}")))
    }

    /// The same of a command that must succeed.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let (code, document) = self.document(args);
        assert_eq!(code, Some(0), "{document}");
        document
    }

    #[track_caller]
    pub(crate) fn enqueue(&self, args: &[&str]) {
        let (code, said) = self.windlass(&[&["enqueue"], args].concat());
        assert_eq!(code, Some(0), "{said}");
    }

    pub(crate) fn daemon(&self) -> Daemon {
        self.daemon_with_log("log")
    }

    /// One of several, each with a log of its own.
    pub(crate) fn daemon_with_log(&self, name: &str) -> Daemon {
        self.start(self.command(&["run"]), name)
    }

    /// One from a command line of its own.
    pub(crate) fn start(&self, mut command: Command, name: &str) -> Daemon {
        let log = fs::File::options().create(true).append(true).open(self.path(name)).expect("a log must be opened");
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("the binary must start");
        Daemon { child, log: self.path(name) }
    }
}

/// A running instance: the parent that we started, and the daemon proper below it.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub(crate) fn parent(&self) -> u32 {
        self.child.id()
    }

    /// The daemon proper, once it is there.
    pub(crate) fn proper(&self) -> u32 {
        let mut found = None;
        eventually("the daemon proper is started", || {
            found = windlass::process::sweep::descendants(self.parent()).into_iter().find(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.split(|&byte| byte == 0).next() == Some(BINARY.as_bytes()) && line.ends_with(b"run\0")
            });
            found.is_some()
        });
        found.expect("just found")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn wait_log(&self, needle: &str) {
        eventually(needle, || self.log().contains(needle));
    }

    /// Where its HTTP server listens by TCP.
    #[track_caller]
    pub(crate) fn http_address(&self) -> SocketAddr {
        let mut found = None;
        eventually("the server listens", || {
            found = listening_at(&self.log());
            found.is_some()
        });
        found.expect("just found")
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("the instance must be waited for")
    }

    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the instance must be waited for")
    }

    /// Drains it.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        signal(self.parent(), Signal::TERM);
        let ended = self.wait();
        assert_eq!(ended.code(), Some(0), "{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already gone where a test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid must be positive");
    // It may have ended by itself.
    let _ = kill_process(pid, signal);
}
