//! The daemon as a process: it is started, signalled and killed, and leaves nothing behind.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::waiting::{eventually, eventually_some};

/// How long a daemon may take until it says that it is ready.
const READY_WITHIN: Duration = Duration::from_secs(40);

/// A running daemon.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts one, with its log beside `path`, and waits for its READY, told as to systemd.
    pub(crate) fn start(config: &Path, path: &Path) -> Self {
        let log = path.with_extension("log");
        let socket = path.with_extension("ready");
        let ready = UnixDatagram::bind(&socket).expect("a socket in a new folder must be had");
        ready.set_read_timeout(Some(READY_WITHIN)).expect("a timeout above zero must be accepted");
        let stderr = File::create(&log).expect("the folder must be writable");
        let child = Command::new(env!("CARGO_BIN_EXE_windlass"))
            .arg("--config")
            .arg(config)
            .arg("run")
            .env_remove("WINDLASS_LOG")
            .env_remove("WINDLASS_STORE_URL")
            .env("NOTIFY_SOCKET", &socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("the binary must start");
        let mut daemon = Self { child, log };
        let mut message = [0; 4096];
        loop {
            let said = ready.recv(&mut message).map(|len| String::from_utf8_lossy(&message[..len]).into_owned());
            match said {
                Ok(said) if said.lines().any(|line| line == "READY=1") => return daemon,
                Ok(_) => {}
                Err(error) => {
                    let exited = daemon.child.try_wait();
                    panic!("the daemon is not ready ({error}); exited: {exited:?}; it said:\n{}", daemon.log());
                }
            }
        }
    }

    /// Everything it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid(self.child.id()), signal).expect("a child that was not waited for must be there");
    }

    /// Waits until it exits.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually_some("the daemon exits", || self.child.try_wait().expect("one's own child can be waited for"))
    }

    /// Has it exited?
    pub(crate) fn has_exited(&mut self) -> bool {
        self.child.try_wait().expect("one's own child can be waited for").is_some()
    }

    /// Ends it as an operator does, and checks its exit code.
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "a drained daemon must exit with 0; it said:\n{}", self.log());
    }

    /// Kills the daemon process and its parent at nearly the same moment.
    pub(crate) fn kill(mut self) {
        let parent = self.child.id();
        // The parent is stopped first, so that it cannot clean up behind the daemon.
        kill_process(pid(parent), Signal::STOP).expect("a child that was not waited for must be there");
        for child in children_of(parent) {
            kill_process(pid(child), Signal::KILL).ok();
        }
        kill_process(pid(parent), Signal::KILL).expect("a child that was not waited for must be there");
        self.child.wait().expect("one's own child can be waited for");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.has_exited() {
            return;
        }
        // The parent kills all that the daemon process leaves.
        let parent = self.child.id();
        let children = children_of(parent);
        for child in &children {
            kill_process(pid(*child), Signal::KILL).ok();
        }
        if children.is_empty() || std::thread::panicking() {
            kill_process(pid(parent), Signal::KILL).ok();
        } else {
            eventually("the parent follows its daemon", || self.has_exited());
        }
        self.child.wait().ok();
    }
}

/// Kills every process that works in this folder: jobs whose daemon was killed.
pub(crate) fn kill_all_below(folder: &Path) {
    for process in processes() {
        let works_in = fs::read_link(format!("/proc/{process}/cwd"));
        if process != std::process::id() && works_in.is_ok_and(|cwd| cwd.starts_with(folder)) {
            kill_process(pid(process), Signal::KILL).ok();
        }
    }
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("/proc must be mounted");
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn children_of(parent: u32) -> Vec<u32> {
    let is_child = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // pid (name) state parent ...: the name may contain anything, but no other parenthesis comes after it.
        let parents = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents == Some(parent)
    };
    processes().into_iter().filter(is_child).collect()
}

fn pid(number: u32) -> Pid {
    i32::try_from(number).ok().and_then(Pid::from_raw).expect("a process id must be a positive number")
}
