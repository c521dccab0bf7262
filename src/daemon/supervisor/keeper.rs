//! The parent's loop: it keeps one daemon that works, those that it has replaced, and at times the one that is about to.
//!
//! ```text
//!   HUP, and another program on disk; URG --> rehearsal: the new program reads the configuration
//!     --> rising: a daemon of the new program starts; the old one works
//!     --> it works: it lets the old one retire, and the parent executes the new program
//! ```
//!
//! Whatever fails before the new daemon works changes nothing.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, getpid};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGURG, SIGUSR1, SIGUSR2};
use tokio::time::Instant;

use super::carried::{self, Carried};
use super::child::{Daemon, Start};
use super::signals::Signals;
use super::{SuperviseError, code, program};
use crate::daemon::stops::Stops;
use crate::daemon::succession::Pass;
use crate::daemon::systemd::{self, Teller};
use crate::process::leftovers::{self, Marks};
use crate::process::{mark, sweep};
use crate::telemetry::stderr::write_line;

/// How long until a daemon that died is started again, while older ones let their jobs end.
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// The exit code of a configuration that is wrong: it does not become right by trying again.
const WRONG: u8 = 64;

/// How the parent itself was started.
pub(super) struct Origin {
    /// Its program, and the command line.
    pub(super) program: PathBuf,
    pub(super) line: Vec<OsString>,
    pub(super) secrets: Vec<u8>,
    /// Can another program take over, and does the line say `run` only implicitly?
    pub(super) upgrades: Option<bool>,
}

impl Origin {
    /// Starts a daemon, with the parent's own arguments unless there are others.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn start(
        &self,
        program: &Path,
        args: Option<&[OsString]>,
        predecessor: Option<&Pass>,
        tells: bool,
    ) -> Result<Daemon, SuperviseError> {
        let (name, own) = self.line.split_first().map_or((OsStr::new("windlass"), &[][..]), |(name, own)| (name, own));
        Start { program, name, args: args.unwrap_or(own), secrets: &self.secrets, predecessor, tells }.start()
    }
}

/// What is under way.
pub(super) enum Step {
    /// A program shows whether it can take over.
    Rehearsal { daemon: Daemon, program: PathBuf, until: Instant },
    /// A daemon of this program starts.
    Rising { pid: Pid, program: PathBuf, until: Instant, is_given_up: bool },
    /// The program is to be executed.
    Execution { program: PathBuf },
    /// The daemon that died is started again then.
    Again { at: Instant },
}

/// The parent's state.
pub(super) struct Keeper {
    pub(super) origin: Origin,
    pub(super) signals: Signals,
    pub(super) stops: Stops,
    pub(super) teller: Option<Teller>,
    pub(super) daemons: Vec<Daemon>,
    /// The daemon that works, or worked last.
    pub(super) current: Pid,
    pub(super) step: Option<Step>,
    pub(super) is_paused: bool,
    pub(super) is_stopping: bool,
    /// HUP came while another daemon was about to take over.
    pub(super) reloads: bool,
    /// The current daemon was told to end by mistake.
    pub(super) is_owed: bool,
    /// How the current daemon ended, if it has.
    pub(super) code: u8,
}

impl Keeper {
    /// Starts a daemon.
    ///
    /// # Errors
    /// If it cannot be watched over.
    pub(super) fn begin(origin: Origin) -> Result<Self, SuperviseError> {
        // The handlers are installed before the daemon exists, so that no signal is lost: it waits until it can be forwarded.
        let signals = Signals::new().map_err(SuperviseError::Signals)?;
        rustix::process::set_child_subreaper(Some(getpid())).map_err(|error| SuperviseError::Reaper(error.into()))?;
        let teller = systemd::teller().map_err(SuperviseError::Teller)?;
        let daemon = origin.start(&origin.program, None, None, teller.is_some())?;
        Ok(Self::new(origin, signals, teller, (daemon.pid, false), vec![daemon]))
    }

    /// Goes on where the program before has stopped.
    ///
    /// # Errors
    /// If that cannot be taken over.
    pub(super) fn resume(mut origin: Origin) -> Result<Self, SuperviseError> {
        let signals = Signals::new().map_err(SuperviseError::Signals)?;
        let Carried { is_paused, current, daemons, secrets } = carried::take().map_err(SuperviseError::Carried)?;
        origin.secrets = secrets;
        let teller = systemd::teller().map_err(SuperviseError::Teller)?;
        let older = daemons.len().saturating_sub(1);
        write_line(&format!(
            "upgraded to windlass {} ({}): process {current} works, older daemons that let their jobs end: {older}",
            env!("CARGO_PKG_VERSION"),
            origin.program.display()
        ));
        let mut keeper = Self::new(origin, signals, teller, (current, is_paused), daemons);
        if is_paused {
            keeper.watch_stops();
        }
        Ok(keeper)
    }

    fn new(
        origin: Origin,
        signals: Signals,
        teller: Option<Teller>,
        (current, is_paused): (Pid, bool),
        daemons: Vec<Daemon>,
    ) -> Self {
        Self {
            origin,
            signals,
            stops: Stops::default(),
            teller,
            daemons,
            current,
            step: None,
            is_paused,
            is_stopping: false,
            reloads: false,
            is_owed: false,
            code: 0,
        }
    }

    /// Watches over all daemons until the last one has ended. Returns the exit code.
    pub(super) fn keep(mut self) -> u8 {
        loop {
            // Children that ended before the handlers were there are found, too.
            self.reap();
            self.listen();
            self.go_on();
            if self.daemons.is_empty() {
                return self.end();
            }
            self.signals.wait(&self.daemons, self.patience());
            for signal in self.signals.come() {
                self.obey(signal);
            }
        }
    }

    fn end(mut self) -> u8 {
        let killed = sweep::kill_descendants();
        if killed > 0 {
            write_line(&format!("killed {killed} processes that the daemon left behind"));
        }
        self.reap();
        if let Some(teller) = self.teller.take() {
            teller.end();
        }
        self.code
    }

    pub(super) fn current(&self) -> Option<&Daemon> {
        self.daemons.iter().find(|daemon| daemon.pid == self.current)
    }

    pub(super) fn obey(&mut self, signal: i32) {
        match signal {
            SIGCHLD => {}
            // The daemon has a process group of its own, so job control stops only the parent. The SIGCONT that ends
            // such a stop is not meant for the daemon.
            SIGCONT if self.is_paused && self.stops.just_ended() => {
                write_line("SIGCONT after a stop: still paused; SIGCONT again resumes");
            }
            SIGUSR2 | SIGCONT => {
                self.is_paused = signal == SIGUSR2;
                if self.is_paused {
                    self.watch_stops();
                }
                self.forward(signal);
            }
            SIGTERM | SIGINT | SIGQUIT => {
                self.is_stopping = true;
                if let Some(Step::Rehearsal { daemon, .. }) = &self.step {
                    daemon.kill();
                }
                match &mut self.step {
                    Some(Step::Rising { is_given_up, .. }) => *is_given_up = true,
                    other => *other = None,
                }
                self.forward(signal);
            }
            SIGUSR1 => self.forward(signal),
            SIGURG => self.upgrade(program::find(self.name())),
            SIGHUP => match program::find(self.name()).filter(|found| !program::is_ours(found)) {
                Some(found) if self.origin.upgrades.is_some() => self.upgrade(Some(found)),
                _ if self.step.is_some() => self.reloads = true,
                _ => self.forward_to_current(SIGHUP),
            },
            other => self.forward(other),
        }
    }

    pub(super) fn name(&self) -> &OsStr {
        self.origin.line.first().map(OsString::as_os_str).unwrap_or_default()
    }

    fn watch_stops(&mut self) {
        if let Err(error) = self.stops.watch() {
            write_line(&format!("any SIGCONT ends this pause, even one after a stop: {error}"));
        }
    }

    fn forward(&self, signal: i32) {
        self.daemons.iter().for_each(|daemon| daemon.forward(signal));
    }

    pub(super) fn forward_to_current(&self, signal: i32) {
        self.current().into_iter().for_each(|daemon| daemon.forward(signal));
    }

    /// Takes up what has ended.
    fn reap(&mut self) {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => self.ended(pid, status),
                Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn ended(&mut self, pid: Pid, status: WaitStatus) {
        if let Some(Step::Rehearsal { daemon, .. }) = &self.step
            && daemon.pid == pid
            && let Some(Step::Rehearsal { program, .. }) = self.step.take()
        {
            return match status.exit_status() {
                Some(0) => self.rise(program),
                _ => self.refused(&format!("{} {}", program.display(), ended_with(status))),
            };
        }
        // What it said before its end comes first: it may have begun to work.
        self.listen();
        let Some(index) = self.daemons.iter().position(|daemon| daemon.pid == pid) else { return };
        let daemon = self.daemons.remove(index);
        if !self.daemons.is_empty() {
            sweep_after(&daemon);
        }
        if let Some(Step::Rising { pid: rising, .. }) = &self.step
            && *rising == pid
        {
            self.step = None;
            self.rising_ended(status);
        } else if pid == self.current {
            self.current_ended(status);
        } else if self.is_stopping && self.code == 0 {
            self.code = code(status);
        }
    }

    /// The daemon that was about to take over has ended.
    fn rising_ended(&mut self, status: WaitStatus) {
        if self.is_stopping {
            return;
        }
        if self.current().is_some() {
            self.refused(&format!("the new daemon {} before it worked", ended_with(status)));
        } else {
            self.current_ended(status);
        }
    }

    fn current_ended(&mut self, status: WaitStatus) {
        self.code = code(status);
        if std::mem::take(&mut self.is_owed) && self.code == 0 {
            self.code = 1;
        }
        let goes_on = matches!(self.step, Some(Step::Rehearsal { .. } | Step::Rising { .. }));
        if self.daemons.is_empty() || self.is_stopping || goes_on || [0, WRONG].contains(&self.code) {
            return;
        }
        write_line(&format!(
            "the daemon {}; older ones let their jobs end, and it is started again in {AGAIN:?}",
            ended_with(status)
        ));
        self.step = Some(Step::Again { at: Instant::now() + AGAIN });
    }

    /// Hears what the daemons say, and passes on what the one that works says.
    fn listen(&mut self) {
        let said: Vec<(Pid, Vec<String>)> = self
            .daemons
            .iter_mut()
            .map(|daemon| (daemon.pid, std::iter::from_fn(|| daemon.said()).collect()))
            .collect();
        // An older one that says that it ends was told so by a newer one that has said before that it works. It was read
        // before that one, and is looked at after it, so that nobody hears of its end.
        let said = said.into_iter().rev().flat_map(|(pid, messages)| messages.into_iter().map(move |text| (pid, text)));
        for (pid, message) in said {
            if message.lines().any(|line| line == "READY=1")
                && let Some(Step::Rising { pid: rising, program, is_given_up, .. }) = &self.step
                && *rising == pid
            {
                // It works a moment too late: it was told to end, and so has the older one been.
                self.is_owed = *is_given_up;
                self.step = Some(Step::Execution { program: program.clone() });
                self.current = pid;
                self.code = 0;
            }
            if pid == self.current {
                self.tell(&message);
            }
        }
    }

    pub(super) fn tell(&self, message: &str) {
        if let Some(teller) = &self.teller {
            teller.tell(message);
        }
    }
}

/// Kills what a daemon left behind while others go on.
fn sweep_after(daemon: &Daemon) {
    let (boot_id, pid) = (sweep::boot_id(), daemon.pid.as_raw_pid().unsigned_abs());
    let pid_namespace = sweep::pid_namespace();
    let marks = Marks::of(mark::Daemon { boot_id: &boot_id, pid_namespace, pid, started_ticks: daemon.ticks });
    let killed = leftovers::kill(&marks).killed;
    if killed > 0 {
        write_line(&format!("killed {killed} processes that daemon {pid} left behind"));
    }
}

fn ended_with(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
    }
}
