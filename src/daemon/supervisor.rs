//! The small parent of the daemon proper. It ensures that no child outlives the daemon.
//!
//! ```text
//!   windlass run   the parent: forwards signals, reaps, and otherwise sleeps
//!     `- windlass run   the daemon proper, in a process group of its own
//!          |- a job's process group
//!          `- ...
//! ```
//!
//! The parent is a child subreaper: a process below it that loses its own parent becomes its child. When the daemon
//! ends, for whatever reason, the parent kills every process that is left and exits as the daemon did. The daemon's
//! stdin is a socket whose other end only the parent holds. At its end of file the parent is gone, and the daemon kills its
//! children and exits. What the daemon writes there the parent passes on to the service manager. If both are killed at one instant, the next start kills what they left.
//!
//! The parent is the process that service managers, containers and people know. It also works as PID 1.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpid, getppid};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use tokio::time::Instant;

use super::stops::Stops;
use super::systemd;
use crate::process::{mark, sweep};
use crate::supervise::scope::own_thread;
use crate::telemetry::stderr::write_line;

/// How often the parent checks whether a daemon that has just started can take a signal, and the pause between checks.
const LOOKS: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(5);
/// How long a service manager may take to read the last messages.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why the parent cannot watch over a daemon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuperviseError {
    /// Signal handlers cannot be installed.
    #[error("install signal handlers: {0}")]
    Signals(io::Error),
    /// The kernel does not make it the reaper of orphans.
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
/// A mark that was inherited from another daemon further up does not count. If the parent that it names is dead, it
/// counts: that was our parent, and [`parent_watch`] ends this process at once.
#[must_use]
pub fn is_supervised() -> bool {
    marked_parent().is_some_and(|(pid, ticks)| is_child_of(pid) || !sweep::is_alive(pid, ticks))
}

/// The pid and start time of the parent that the mark names.
fn marked_parent() -> Option<(u32, u64)> {
    let mark = std::env::var_os(mark::SUPERVISED)?;
    let (pid, ticks) = mark.to_str()?.split_once(':')?;
    Some((pid.parse().ok()?, ticks.parse().ok()?))
}

/// Is this the parent that watches over this process?
pub(super) fn is_our_parent(pid: i32) -> bool {
    marked_parent().is_some_and(|(parent, _)| u32::try_from(pid) == Ok(parent))
}

fn is_child_of(pid: u32) -> bool {
    getppid().is_some_and(|parent| parent.as_raw_pid().unsigned_abs() == pid)
}

/// Runs this executable once more, with the same arguments, as the daemon proper, and watches over
/// it until it ends. `secrets` is what the [handover](super::handover) gives it. Must be called before any thread is
/// started.
#[must_use]
pub fn supervise(secrets: &[u8]) -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_else(|| OsString::from("windlass"));
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    match watch_over(program, &name, args, secrets) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            write_line(&format!("failed to {error}"));
            ExitCode::FAILURE
        }
    }
}

/// For the daemon proper: calls `on_end` when the parent ends, before anything happens that follows from its end, and
/// `on_gone` when it is gone. The thread reads stdin, so nothing else may.
///
/// # Errors
/// If no thread can be started.
pub fn parent_watch(
    on_end: impl FnOnce() + Send + 'static,
    on_gone: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("parent-watch".to_owned()).spawn(move || {
        own_thread("the watch over the parent");
        let mut stdin = io::stdin();
        let mut ignored = [0; 64];
        // Nothing is ever written here. After an error the end of the parent cannot be seen any more, and a daemon
        // without a parent must not continue.
        loop {
            match stdin.read(&mut ignored) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        on_end();
        outlast_parent();
        on_gone();
    })
}

/// Waits until the kernel has given this process to another parent.
///
/// A dying process closes its files before its children get another parent. That change sends SIGHUP and SIGCONT to
/// process groups that it orphans and that have a stopped member. If we stopped our descendants as soon as the pipe is
/// closed, our group would be one.
fn outlast_parent() {
    const STEP: Duration = Duration::from_millis(1);
    // A parent that closed the pipe and lives is not waited for any longer.
    const STEPS: u32 = 1_000;
    let Some((parent, _)) = marked_parent() else { return };
    for _ in 0..STEPS {
        let handed_on = !is_child_of(parent);
        // One pause also after the change: the kernel sends the signals just after it.
        std::thread::sleep(STEP);
        if handed_on {
            return;
        }
    }
}

/// The daemon proper, as its parent sees it.
struct Daemon {
    pid: Pid,
    started: Instant,
    /// Only the kernel closes it, when the parent dies.
    _lifeline: OwnedFd,
    /// Tells when a service manager has got what the daemon said, if there is one.
    told: Option<Receiver<()>>,
    ended: Option<WaitStatus>,
}

fn watch_over(
    program: PathBuf,
    name: &OsStr,
    args: impl Iterator<Item = OsString>,
    secrets: &[u8],
) -> Result<u8, SuperviseError> {
    // The handlers are installed before the daemon exists, so that no signal is lost: it waits until it can be forwarded.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT, SIGCHLD])
        .map_err(SuperviseError::Signals)?;
    rustix::process::set_child_subreaper(Some(getpid())).map_err(|error| SuperviseError::Reaper(error.into()))?;
    let mut daemon = Daemon::spawn(program, name, args, secrets)?;
    let (mut paused, mut stops) = (false, Stops::default());
    let status = loop {
        for signal in signals.wait() {
            match signal {
                SIGCHLD => daemon.reap(),
                // The daemon has a process group of its own, so job control stops only the parent. The SIGCONT that ends
                // such a stop is not meant for the daemon.
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
    if let Some(told) = &daemon.told {
        // One that does not read is not waited for any longer.
        let _ = told.recv_timeout(LAST_WORDS);
    }
    Ok(code(status))
}

impl Daemon {
    fn spawn(
        program: PathBuf,
        name: &OsStr,
        args: impl Iterator<Item = OsString>,
        secrets: &[u8],
    ) -> Result<Self, SuperviseError> {
        let pid = getpid().as_raw_pid().unsigned_abs();
        let ticks = sweep::start_ticks(pid).unwrap_or_default();
        let spawn_error = |source: io::Error| SuperviseError::Spawn { program: program.clone(), source };
        let (lifeline, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|error| spawn_error(error.into()))?;
        if !secrets.is_empty() {
            // It waits in the socket until the daemon reads it.
            rustix::net::send(&lifeline, secrets, SendFlags::NOSIGNAL).map_err(|error| spawn_error(error.into()))?;
        }
        let told = if systemd::listens() {
            let socket = lifeline.as_fd().try_clone_to_owned().map_err(spawn_error)?;
            Some(systemd::pass_on(socket).map_err(spawn_error)?)
        } else {
            None
        };
        let mut command = Command::new(&program);
        match told {
            Some(_) => command.env(mark::NOTIFIES, "1"),
            None => command.env_remove(mark::NOTIFIES),
        };
        if secrets.is_empty() {
            command.env_remove(mark::HANDED_OVER);
        }
        command
            .arg0(name)
            .args(args)
            .env(mark::SUPERVISED, format!("{pid}:{ticks}"))
            // The service manager's watchdog names the parent's pid, but the daemon answers it. Without this variable
            // it may.
            .env_remove("WATCHDOG_PID")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::from(theirs))
            .process_group(0);
        let child = command.spawn().map_err(spawn_error)?;
        // `command` holds the daemon's end of the socket until here: the daemon alone must hold it from now on.
        drop(command);
        Ok(Self { pid: Pid::from_child(&child), started: Instant::now(), _lifeline: lifeline, told, ended: None })
    }

    /// Reaps what has ended: the daemon, and orphans that became our children.
    fn reap(&mut self) {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.pid => self.ended = Some(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Passes on a signal. A daemon that has just started has no handlers yet, and the signal would kill it, so the
    /// signal waits until the daemon can take it.
    fn forward(&self, signal: i32) {
        let Some(signal) = Signal::from_named_raw(signal).filter(|_| self.ended.is_none()) else { return };
        let pid = self.pid.as_raw_pid().unsigned_abs();
        let takes = signal == Signal::CONT
            || (0..LOOKS).any(|look| {
                if look > 0 {
                    std::thread::sleep(PAUSE);
                }
                let takes = takes(sweep::catches(pid, signal), self.started.elapsed());
                takes || !sweep::is_alive(pid, 0)
            });
        if takes || [Signal::TERM, Signal::INT, Signal::QUIT].contains(&signal) {
            // It was not reaped yet, so the pid is still its own.
            let _ = rustix::process::kill_process(self.pid, signal);
        } else {
            write_line(&format!("the daemon does not take signal {}, which was not forwarded", signal.as_raw()));
        }
    }
}

/// Can a daemon of this age take a signal, if this is what is seen of its handlers? Where they are hidden its age decides,
/// because a signal that is never passed on is worse than one that comes too early.
fn takes(catches: Option<bool>, age: Duration) -> bool {
    catches.unwrap_or_else(|| age >= PAUSE * LOOKS)
}

/// The exit code for how the daemon ended, as a shell gives it.
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
