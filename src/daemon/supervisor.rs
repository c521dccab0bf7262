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
//! Another daemon may take over from the one that works (`keeper`); then the parent has several until the older ones have let
//! their jobs end.
//!
//! The parent is the process that service managers, containers and people know. It also works as PID 1.

mod carried;
mod child;
mod keeper;
mod program;
mod signals;
mod steps;

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{WaitStatus, getppid};

pub(super) use self::carried::FORMAT;
use self::keeper::{Keeper, Origin};
use crate::process::{mark, sweep};
use crate::supervise::scope::own_thread;
use crate::telemetry::stderr::write_line;

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
    /// There is no thread that tells a service manager.
    #[error("start the thread that tells the service manager: {0}")]
    Teller(io::Error),
    /// What the program before it knew cannot be read.
    #[error("take over from the program before: {0}")]
    Carried(io::Error),
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
/// it until it ends. `secrets` is what the [handover](super::handover) gives it. `upgrades` is given if the program knows
/// `--rehearse`, so that another one may take over: does the command line mean `run` without saying it? Must be called
/// before any thread is started.
#[must_use]
pub fn supervise(secrets: &[u8], upgrades: Option<bool>) -> ExitCode {
    exit(watch_over(own_program(), own_line(), secrets, upgrades))
}

/// Was this process such a parent before it executed this program? Then it is to [`resume`], and nothing else.
#[must_use]
pub fn is_resumed() -> bool {
    carried::is_resumed()
}

/// Goes on where the program has stopped that this process executed before. Signals are held back until then.
#[must_use]
pub fn resume(upgrades: Option<bool>) -> ExitCode {
    let origin = Origin { program: own_program(), line: own_line(), secrets: Vec::new(), upgrades };
    exit(Keeper::resume(origin).map(Keeper::keep))
}

fn own_line() -> Vec<OsString> {
    let line: Vec<_> = std::env::args_os().collect();
    if line.is_empty() { vec![OsString::from("windlass")] } else { line }
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

/// Starts a daemon and watches over it. `upgrades`: as in [`supervise`].
fn watch_over(
    program: PathBuf,
    line: Vec<OsString>,
    secrets: &[u8],
    upgrades: Option<bool>,
) -> Result<u8, SuperviseError> {
    Ok(Keeper::begin(Origin { program, line, secrets: secrets.to_vec(), upgrades })?.keep())
}

fn exit(ended: Result<u8, SuperviseError>) -> ExitCode {
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            write_line(&format!("failed to {error}"));
            ExitCode::FAILURE
        }
    }
}

fn own_program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"))
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
