//! The signals of the parent, which it waits for together with what its daemons say.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::signal::SigSet;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGURG, SIGUSR1, SIGUSR2};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

use super::child::Daemon;

const ALL: [i32; 9] = [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT, SIGCHLD, SIGURG];

/// The signals that have come.
pub(super) struct Signals(SignalDelivery<UnixStream, SignalOnly>);

impl Signals {
    /// Installs the handlers, and lets come what was held back.
    ///
    /// # Errors
    /// If the system takes no handlers.
    pub(super) fn new() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let signals = SignalDelivery::with_pipe(read, write, SignalOnly, ALL)?;
        release();
        Ok(Self(signals))
    }

    /// Waits for a signal, for a daemon's word, or until this time is over.
    pub(super) fn wait(&self, daemons: &[Daemon], patience: Option<Duration>) {
        let mut watched = vec![PollFd::new(self.0.get_read(), PollFlags::IN)];
        let speaking = daemons.iter().filter(|daemon| !daemon.is_silent);
        watched.extend(speaking.map(|daemon| PollFd::from_borrowed_fd(daemon.lifeline.as_fd(), PollFlags::IN)));
        let patience = patience.map(|patience| Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        });
        // Whatever it says, all is looked at.
        let _ = poll(&mut watched, patience.as_ref());
    }

    /// Those that have come since the last call.
    pub(super) fn come(&mut self) -> Vec<i32> {
        self.0.pending().collect()
    }

    /// Holds back what comes from now on, also over the execution of a program, and returns what has come before.
    pub(super) fn hold(&mut self) -> Vec<i32> {
        // It fails for no set.
        let _ = SigSet::all().thread_block();
        self.come()
    }
}

/// Lets signals come.
pub(super) fn release() {
    let _ = SigSet::empty().thread_set_mask();
}
