//! The daemon proper, as its parent sees it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, getpid};
use tokio::time::Instant;

use super::SuperviseError;
use crate::daemon::succession::Pass;
use crate::daemon::systemd::LONGEST;
use crate::process::{mark, private, sweep};
use crate::telemetry::stderr::write_line;

/// How often the parent checks whether a daemon that has just started can take a signal, and the pause between checks.
const LOOKS: u32 = 1000;
const PAUSE: Duration = Duration::from_millis(5);

/// The daemon proper, as its parent sees it.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) pid: Pid,
    pub(super) ticks: u64,
    pub(super) started: Instant,
    /// Only the kernel closes it, when the parent dies.
    pub(super) lifeline: OwnedFd,
    /// It has closed its end.
    pub(super) is_silent: bool,
    /// By what name its successor asks it.
    pub(super) pass: Pass,
}

/// What a daemon is started with.
pub(super) struct Start<'a> {
    pub(super) program: &'a Path,
    pub(super) name: &'a OsStr,
    pub(super) args: &'a [OsString],
    pub(super) secrets: &'a [u8],
    /// Whom it replaces.
    pub(super) predecessor: Option<&'a Pass>,
    /// Somebody wants to hear what it tells.
    pub(super) tells: bool,
}

impl Start<'_> {
    /// Starts it.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn start(&self) -> Result<Daemon, SuperviseError> {
        let spawn_error = |source: io::Error| SuperviseError::Spawn { program: self.program.to_owned(), source };
        let pid = getpid().as_raw_pid().unsigned_abs();
        let ticks = sweep::start_ticks(pid).unwrap_or_default();
        let pass = Pass::new().map_err(spawn_error)?;
        let (lifeline, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|error| spawn_error(error.into()))?;
        let passes = [(mark::SUCCESSION, Some(&pass)), (mark::PREDECESSOR, self.predecessor)];
        let passes = passes.into_iter().filter_map(|(name, pass)| Some((name.into(), pass?.text().into())));
        let secrets = [self.secrets, &private::encode(&passes.collect::<Vec<_>>())].concat();
        // They wait in the socket until the daemon reads them.
        rustix::net::send(&lifeline, &secrets, SendFlags::NOSIGNAL).map_err(|error| spawn_error(error.into()))?;
        let mut command = Command::new(self.program);
        match self.tells {
            true => command.env(mark::NOTIFIES, "1"),
            false => command.env_remove(mark::NOTIFIES),
        };
        command
            .arg0(self.name)
            .args(self.args)
            .env(mark::SUPERVISED, format!("{pid}:{ticks}"))
            .env(mark::HANDED_OVER, "1")
            .env_remove(mark::RESUMED)
            // The service manager's watchdog names the parent's pid, but the daemon answers it. Without this variable
            // it may.
            .env_remove("WATCHDOG_PID")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::from(theirs))
            .process_group(0);
        let child = command.spawn().map_err(spawn_error)?;
        // `command` holds the daemon's end of the socket until here: the daemon alone must hold it from now on.
        drop(command);
        let ticks = sweep::start_ticks(child.id()).unwrap_or_default();
        let (pid, started) = (Pid::from_child(&child), Instant::now());
        Ok(Daemon { pid, ticks, started, lifeline, is_silent: false, pass })
    }
}

impl Daemon {
    /// Passes on a signal. A daemon that has just started has no handlers yet, and the signal would kill it, so the
    /// signal waits until the daemon can take it.
    pub(super) fn forward(&self, signal: i32) {
        let Some(signal) = Signal::from_named_raw(signal) else { return };
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

    /// Kills it.
    pub(super) fn kill(&self) {
        // It was not reaped yet, so the pid is still its own.
        let _ = rustix::process::kill_process(self.pid, Signal::KILL);
    }

    /// What it has said and nobody has read.
    pub(super) fn said(&mut self) -> Option<String> {
        let mut message = [0; LONGEST];
        while !self.is_silent {
            match rustix::net::recv(&self.lifeline, &mut message[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => self.is_silent = true,
                Ok((length, _)) => {
                    return Some(String::from_utf8_lossy(message.get(..length).unwrap_or_default()).into_owned());
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_) => self.is_silent = true,
            }
        }
        None
    }
}

/// Can a daemon of this age take a signal, if this is what is seen of its handlers? Where they are hidden its age decides,
/// because a signal that is never passed on is worse than one that comes too early.
pub(super) fn takes(catches: Option<bool>, age: Duration) -> bool {
    catches.unwrap_or_else(|| age >= PAUSE * LOOKS)
}
