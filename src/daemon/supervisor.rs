//! No child outlives its daemon: the tiny parent of the daemon proper.
//!
//! ```text
//!   windlass run   the parent: forwards signals, reaps, and otherwise sleeps
//!     `- windlass run   the daemon proper, in a process group of its own
//!          |- a job's process group
//!          `- ...
//! ```
//!
//! The parent is a child subreaper: whatever loses its own parent below it becomes its child. So
//! when the daemon ends, however it ends, the parent finds every process that is left, kills it,
//! and exits as the daemon did. The other way round, the daemon's stdin is a pipe whose other end
//! only the parent holds: its end of file says that the parent is gone, and the daemon kills its
//! children and exits. (If both are killed at one instant, the next start sweeps the leftovers.)
//!
//! The parent is the process that service managers, containers and people know. It works as PID 1.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, getppid};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use super::stops::Stops;
use crate::process::{mark, sweep};
use crate::supervise::scope::own_thread;
use crate::telemetry::stderr::write_line;

/// How often it is looked whether a young daemon can take a signal, and how long between.
const LOOKS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(5);

/// Why the parent cannot do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuperviseError {
    /// No signal handlers.
    #[error("install signal handlers: {0}")]
    Signals(io::Error),
    /// The kernel does not let it inherit orphans.
    #[error("become the reaper of orphaned processes: {0}")]
    Reaper(io::Error),
    /// The daemon proper cannot be started.
    #[error("start the daemon {}: {source}", .program.display())]
    Spawn {
        /// Its executable.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Is this process the daemon proper, with a parent that watches over it?
///
/// A mark that was inherited from further up does not count, unless the parent it names is dead:
/// then it was ours, and [`parent_watch`] will tell so at once.
#[must_use]
pub fn is_supervised() -> bool {
    marked_parent().is_some_and(|(pid, ticks)| is_child_of(pid) || !sweep::is_alive(pid, ticks))
}

/// The process that the mark names as parent, and when it was started.
fn marked_parent() -> Option<(u32, u64)> {
    let mark = std::env::var_os(mark::SUPERVISED)?;
    let (pid, ticks) = mark.to_str()?.split_once(':')?;
    Some((pid.parse().ok()?, ticks.parse().ok()?))
}

fn is_child_of(pid: u32) -> bool {
    getppid().is_some_and(|parent| parent.as_raw_pid().unsigned_abs() == pid)
}

/// Runs this executable once more, with the same arguments, as the daemon proper, and watches over
/// it until it ends. To be called before any thread is started.
#[must_use]
pub fn supervise() -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_else(|| OsString::from("windlass"));
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    match watch_over(program, &name, args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            write_line(&format!("failed to {error}"));
            ExitCode::FAILURE
        }
    }
}

/// For the daemon proper: calls `on_gone` when the parent is gone. The thread reads stdin, which
/// nobody else may touch.
///
/// # Errors
/// If no thread can be started.
pub fn parent_watch(on_gone: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("parent-watch".to_owned()).spawn(move || {
        own_thread("the watch over the parent");
        let mut stdin = io::stdin();
        let mut ignored = [0; 64];
        // Nothing is ever written here. An error means that this pipe tells us nothing any more,
        // and a daemon that nobody watches over must not go on.
        loop {
            match stdin.read(&mut ignored) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        outlast_parent();
        on_gone();
    })
}

/// Waits until the kernel has given this process to another parent.
///
/// A dying process closes its files before it hands its children on, and the handing on sends
/// SIGHUP and SIGCONT to a process group that it orphans while a member is stopped. Whoever stops
/// its descendants as soon as the pipe is closed would be that group.
fn outlast_parent() {
    const STEP: Duration = Duration::from_millis(1);
    // A parent that lives on though the pipe is closed is nothing to wait for.
    const STEPS: u32 = 1_000;
    let Some((parent, _)) = marked_parent() else { return };
    for _ in 0..STEPS {
        let handed_on = !is_child_of(parent);
        // Also after the change: the signals follow it within the same step of the kernel.
        std::thread::sleep(STEP);
        if handed_on {
            return;
        }
    }
}

/// The daemon proper, as its parent sees it.
struct Daemon {
    pid: Pid,
    /// Closed by the kernel when the parent dies, and by nothing else.
    _lifeline: Option<ChildStdin>,
    ended: Option<WaitStatus>,
}

fn watch_over(program: PathBuf, name: &OsStr, args: impl Iterator<Item = OsString>) -> Result<u8, SuperviseError> {
    // Before the daemon exists, so that no signal is lost: it waits in the pipe until there is
    // somebody to forward it to.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT, SIGCHLD])
        .map_err(SuperviseError::Signals)?;
    rustix::process::set_child_subreaper(Some(getpid())).map_err(|error| SuperviseError::Reaper(error.into()))?;
    let mut daemon = Daemon::spawn(program, name, args)?;
    let (mut paused, mut stops) = (false, Stops::default());
    let status = loop {
        for signal in signals.wait() {
            match signal {
                SIGCHLD => daemon.reap(),
                // The daemon has a process group of its own: job control stops only us, and it must not take our going
                // on for an order.
                SIGCONT if paused && stops.just_ended() => {
                    write_line("SIGCONT after a stop: still paused; SIGCONT again resumes");
                }
                SIGUSR2 | SIGCONT => {
                    paused = signal == SIGUSR2;
                    if paused && let Err(error) = stops.watch() {
                        write_line(&format!("any SIGCONT ends this pause, even one after a stop: {error}"));
                    }
                    daemon.forward(signal);
                }
                signal => daemon.forward(signal),
            }
        }
        if let Some(status) = daemon.ended {
            break status;
        }
    };
    let killed = sweep::kill_descendants();
    if killed > 0 {
        write_line(&format!("killed {killed} processes that the daemon left behind"));
    }
    daemon.reap();
    Ok(code(status))
}

impl Daemon {
    fn spawn(program: PathBuf, name: &OsStr, args: impl Iterator<Item = OsString>) -> Result<Self, SuperviseError> {
        let pid = getpid().as_raw_pid().unsigned_abs();
        let ticks = sweep::start_ticks(pid).unwrap_or_default();
        let mut command = Command::new(&program);
        command
            .arg0(name)
            .args(args)
            .env(mark::SUPERVISED, format!("{pid}:{ticks}"))
            // The service manager's watchdog knows only our number, but it is the daemon that
            // answers it; without this variable anybody may.
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(|source| SuperviseError::Spawn { program, source })?;
        Ok(Self { pid: Pid::from_child(&child), _lifeline: child.stdin.take(), ended: None })
    }

    /// Reaps whatever has ended: the daemon, and orphans that fell to us.
    fn reap(&mut self) {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.pid => self.ended = Some(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Passes on a signal. A daemon that has only just begun has no handlers yet, and a signal
    /// would be its end: it gets the signal when it can take it.
    fn forward(&self, signal: i32) {
        let Some(signal) = Signal::from_named_raw(signal).filter(|_| self.ended.is_none()) else { return };
        let pid = self.pid.as_raw_pid().unsigned_abs();
        let takes = signal == Signal::CONT
            || (0..LOOKS).any(|look| {
                if look > 0 {
                    std::thread::sleep(PAUSE);
                }
                sweep::catches(pid, signal) || !sweep::is_alive(pid, 0)
            });
        if takes || [Signal::TERM, Signal::INT, Signal::QUIT].contains(&signal) {
            // Not reaped yet, so the number is still its own.
            let _ = rustix::process::kill_process(self.pid, signal);
        } else {
            write_line(&format!("the daemon does not take signal {}, which was not forwarded", signal.as_raw()));
        }
    }
}

/// The exit code that tells how the daemon ended, as a shell would.
fn code(status: WaitStatus) -> u8 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(u8::MAX),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            write_line(&format!("the daemon was killed by signal {signal}"));
            u8::try_from(128 + signal).unwrap_or(u8::MAX)
        }
    }
}

#[cfg(test)]
mod tests;
