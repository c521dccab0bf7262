//! The steps of an upgrade, as the parent takes them: [`keeper`](super::keeper) tells them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGUSR2};
use tokio::time::Instant;

use super::carried::{self, FORMAT, MOST};
use super::keeper::{AGAIN, Keeper, Step};
use super::program;
use super::signals::release;
use crate::daemon::systemd;
use crate::telemetry::stderr::write_line;
use crate::text::clean;

/// How long a rehearsal may take, and how long a new daemon may take until it works.
const PATIENCE: Duration = Duration::from_secs(60);

impl Keeper {
    /// Begins to replace the daemon that works by one of this program.
    pub(super) fn upgrade(&mut self, found: Option<PathBuf>) {
        let Some(is_implicit) = self.origin.upgrades else {
            return write_line("this program cannot be replaced while it runs; restart it");
        };
        if self.is_stopping {
            return write_line("no other program takes over, because this one stops");
        }
        if matches!(self.step, Some(Step::Again { .. })) {
            self.step = None;
        }
        if self.step.is_some() {
            self.reloads = true;
            return write_line(
                "another daemon is about to take over; when that is done, the configuration is read anew",
            );
        }
        if self.daemons.len() + 1 >= MOST {
            return write_line(&format!("no other daemon takes over: {} let their jobs end", self.daemons.len() - 1));
        }
        let Some(program) = found else {
            return self.refused(&format!("there is no program {}", self.name().display()));
        };
        write_line(&format!("{} is to take over: it reads the configuration", program.display()));
        let args = self.origin.line.get(1..).unwrap_or_default();
        let args = program::rehearsal(args, is_implicit, FORMAT);
        match self.origin.start(&program, Some(&args), None, false) {
            Ok(daemon) => self.step = Some(Step::Rehearsal { daemon, program, until: Instant::now() + PATIENCE }),
            Err(error) => self.refused(&format!("failed to {error}")),
        }
    }

    /// Nothing changes.
    pub(super) fn refused(&mut self, why: &str) {
        let is_owed = self.current().is_none() && !self.is_stopping;
        self.step = is_owed.then(|| Step::Again { at: Instant::now() + AGAIN });
        write_line(&format!("the upgrade is refused and nothing was changed: {why}"));
        self.tell(&format!("STATUS=working; an upgrade was refused: {}", clean::line(why)));
        if std::mem::take(&mut self.reloads) {
            self.forward_to_current(SIGHUP);
        }
    }

    /// Starts a daemon that replaces the one that works, or that worked last.
    pub(super) fn rise(&mut self, program: PathBuf) {
        let older = self.current().or(self.daemons.last()).map(|daemon| &daemon.pass);
        match self.origin.start(&program, None, older, true) {
            Ok(daemon) => {
                if self.is_paused {
                    daemon.forward(SIGUSR2);
                }
                let until = Instant::now() + PATIENCE;
                self.step = Some(Step::Rising { pid: daemon.pid, program, until, is_given_up: false });
                self.daemons.push(daemon);
            }
            Err(error) => self.refused(&format!("failed to {error}")),
        }
    }

    /// How long nothing is to be done.
    pub(super) fn patience(&self) -> Option<Duration> {
        let until = match &self.step {
            Some(Step::Rehearsal { until, .. } | Step::Rising { until, is_given_up: false, .. }) => *until,
            Some(Step::Again { at }) => *at,
            Some(Step::Execution { .. }) => Instant::now(),
            Some(Step::Rising { .. }) | None => return None,
        };
        Some(until.saturating_duration_since(Instant::now()))
    }

    /// Does what is due.
    pub(super) fn go_on(&mut self) {
        let now = Instant::now();
        match &mut self.step {
            Some(Step::Rehearsal { daemon, program, until }) if *until <= now => {
                daemon.kill();
                let why = format!("{} did not read the configuration within {PATIENCE:?}", program.display());
                self.refused(&why);
            }
            Some(Step::Rising { pid, until, is_given_up, .. }) if *until <= now && !*is_given_up => {
                *is_given_up = true;
                write_line(&format!("the new daemon does not work within {PATIENCE:?}; it is stopped"));
                let _ = rustix::process::kill_process(*pid, Signal::TERM);
            }
            Some(Step::Again { at }) if *at <= now => {
                self.step = None;
                // What is executed, even if it is not on disk any more.
                self.rise(PathBuf::from("/proc/self/exe"));
            }
            Some(Step::Execution { program }) => {
                let program = program.clone();
                self.execute(&program);
            }
            _ => {}
        }
    }

    /// Executes the new program, unless it is the one that this process executes. Its parent is the same one then.
    fn execute(&mut self, program: &Path) {
        if !program::is_ours(program) && !self.is_stopping {
            let come = self.signals.hold();
            if !come.is_empty() {
                // They come first; what follows is done right after.
                release();
                return come.into_iter().for_each(|signal| self.obey(signal));
            }
            if let Some(teller) = self.teller.take() {
                teller.end();
            }
            let state = (self.is_paused, self.current);
            let error = carried::execute(program, &self.origin.line, state, &self.daemons, &self.origin.secrets);
            release();
            write_line(&format!("the new daemon works, but this parent goes on with its old program: {error}"));
            self.teller = systemd::teller().ok().flatten();
        }
        self.step = None;
        if std::mem::take(&mut self.reloads) {
            self.forward_to_current(SIGHUP);
        }
    }
}
