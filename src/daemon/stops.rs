//! Whether SIGCONT ended a stop of this process.
//!
//! A shell's `fg`, `bg` and `kill -CONT` after `kill -STOP` send the same signal as a person who resumes a paused instance,
//! and nothing in `/proc` shows later that a process was stopped. But on Linux `epoll_wait` fails with EINTR when
//! its process was stopped and goes on, even in a thread that no signal can reach (signal(7)). So a thread that blocks all
//! signals and waits for nothing is interrupted by stops alone: no clock is compared, and it never wakes otherwise.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::sys::signal::SigSet;
use rustix::event::epoll;
use rustix::io::Errno;
use tokio::time::Instant;

use crate::supervise::scope::own_thread;

/// How long after SIGCONT the watching thread may take to run. The kernel wakes all threads of the process together.
const TOGETHER: Duration = Duration::from_millis(200);
/// A debugger and a frozen control group also interrupt the thread, without a SIGCONT. An interruption that is older than
/// this is not taken for a stop.
const RECENT: Duration = Duration::from_secs(1);
/// The stack of the thread, which calls little.
const STACK: usize = 64 * 1024;

/// Watches for stops of this process. It begins with the first pause, because before it SIGCONT changes nothing.
#[derive(Debug, Default)]
pub(super) struct Stops(Option<Receiver<Instant>>);

impl Stops {
    /// Begins to watch, unless it does already.
    ///
    /// # Errors
    /// Fails when the system gives no thread or no descriptor.
    pub(super) fn watch(&mut self) -> io::Result<()> {
        if self.0.is_some() {
            return Ok(());
        }
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let (interrupted, stops) = channel();
        let (ready, is_ready) = channel();
        let wait = move || {
            own_thread("the watch for stops");
            if SigSet::all().thread_block().is_err() {
                return;
            }
            drop(ready);
            let mut none = Vec::with_capacity(1);
            while let Ok(_) | Err(Errno::INTR) = epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut none), None) {
                if interrupted.send(Instant::now()).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("stops".to_owned()).stack_size(STACK).spawn(wait)?;
        // Signals may interrupt the thread until it has blocked them.
        let _: Result<(), _> = is_ready.recv();
        self.0 = Some(stops);
        Ok(())
    }

    /// Called at a SIGCONT: did it end a stop?
    pub(super) fn just_ended(&self) -> bool {
        let Some(stops) = &self.0 else { return false };
        let first = stops.recv_timeout(TOGETHER);
        // `try_iter` empties the channel, because several stops may have happened.
        first.into_iter().chain(stops.try_iter()).any(|at| at.elapsed() < RECENT)
    }
}
