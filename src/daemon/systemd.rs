//! What systemd is told, where it asks to be told.
//!
//! ```text
//!   daemon proper --(its stdin, a socket)--> parent --(NOTIFY_SOCKET)--> systemd
//! ```
//!
//! Only the parent speaks to systemd, which believes no other process of the service (`NotifyAccess=main`): a job could say
//! that all is well, or name another main process. What the parent passes on it got from the daemon proper, over a socket
//! that no job has.
//!
//! Both have a thread of their own for that: a send waits while the other side's queue is full, and nobody else may wait for
//! that. Messages arrive in the order in which they were told.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use sd_notify::NotifyState;

use crate::process::mark;
use crate::supervise::scope::own_thread;
use crate::text::clean;

/// Within so many microseconds a start that waits says another word: longer than any try takes.
const NEXT_WORD: u32 = 120_000_000;
/// How many messages wait for a service manager that reads none. Later ones are dropped.
const CAPACITY: usize = 64;
/// The longest message that is passed on.
const LONGEST: usize = 4096;
/// The stack of the parent's thread, which calls little.
const STACK: usize = 64 * 1024;

/// The longest line of a message. A status names queues and stores, and those names are the work of others.
const LONGEST_LINE: usize = 500;

/// Was it told that we are ready? Until then a reload must not say so.
static READY: AtomicBool = AtomicBool::new(false);

/// To the thread that tells systemd, if there is one.
static THREAD: OnceLock<Option<SyncSender<String>>> = OnceLock::new();

/// We work.
pub fn ready(status: &str) {
    READY.store(true, Ordering::SeqCst);
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// We read our configuration anew; [`reloaded`] is to follow.
pub fn reloading() {
    if !READY.load(Ordering::SeqCst) {
        return;
    }
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]),
        Err(_) => tell(&[NotifyState::Reloading, NotifyState::Status("reloading")]),
    }
}

/// The reload is over, whatever came of it.
pub fn reloaded(status: &str) {
    if READY.load(Ordering::SeqCst) {
        ready(status);
    }
}

/// We wait, or do something else than working.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// We cannot begin yet, and try again. systemd would end a start that takes long (`TimeoutStartSec=`).
pub fn waiting(status: &str) {
    tell(&[NotifyState::ExtendTimeoutUsec(NEXT_WORD), NotifyState::Status(status)]);
}

/// We drain.
pub fn stopping() {
    READY.store(false, Ordering::SeqCst);
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// How long systemd waits for a word before it takes us for hung, if it watches us.
pub fn patience() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero())
}

/// All long-lived tasks turn.
pub fn alive() {
    if patience().is_some() {
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    let Some(thread) = THREAD.get_or_init(start) else { return };
    // A full queue means that the service manager has read nothing for minutes.
    let _ = thread.try_send(message(states));
}

/// The states, one a line, whatever stands in a status: a second line of a status would be an order to systemd.
fn message(states: &[NotifyState<'_>]) -> String {
    let line = |state: &NotifyState<'_>| {
        let state = state.to_string();
        let state = clean::line(&state);
        format!("{}\n", state.get(..state.floor_char_boundary(LONGEST_LINE)).unwrap_or_default())
    };
    states.iter().map(line).collect()
}

/// Does a service manager want this process, the parent, to tell it?
pub(super) fn listens() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// For the parent: passes on what the daemon proper says on this socket, until the daemon has ended. The receiver learns
/// when all is passed on.
pub(super) fn pass_on(socket: OwnedFd) -> io::Result<Receiver<()>> {
    let (sender, ended) = sync_channel(1);
    let pass = move || {
        own_thread("the messages to systemd");
        let mut message = [0; LONGEST];
        loop {
            match rustix::net::recv(&socket, &mut message[..], RecvFlags::empty()) {
                Ok((0, _)) => break,
                Ok((length, _)) => {
                    let text = String::from_utf8_lossy(message.get(..length).unwrap_or_default());
                    // A socket that refuses is no reason to end.
                    let _ = sd_notify::notify(&[NotifyState::Custom(&text)]);
                }
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        // The parent may have ended its wait.
        let _ = sender.send(());
    };
    std::thread::Builder::new().name("systemd".to_owned()).stack_size(STACK).spawn(pass)?;
    Ok(ended)
}

/// Starts the thread, if a service manager wants to be told.
fn start() -> Option<SyncSender<String>> {
    std::env::var_os(mark::NOTIFIES)?;
    let (sender, messages) = sync_channel::<String>(CAPACITY);
    let send = move || {
        own_thread("the messages to systemd");
        for message in messages {
            // Without a parent this process ends anyway.
            let _ = rustix::net::send(io::stdin().as_fd(), message.trim_end().as_bytes(), SendFlags::NOSIGNAL);
        }
    };
    std::thread::Builder::new().name("systemd".to_owned()).spawn(send).ok().map(|_| sender)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_status_is_one_clean_line(status in "(\\PC|[\\x00-\\x1f\\x7f-\\x9f\u{2028}\u{202e}]|\nMAINPID=1){0,400}") {
            let message = message(&[NotifyState::Ready, NotifyState::Status(&status)]);
            prop_assert_eq!(message.matches('\n').count(), 2);
            prop_assert!(!message.replace('\n', "").contains(clean::is_unsafe));
            prop_assert!(message.starts_with("READY=1\nSTATUS="));
            prop_assert!(message.lines().all(|line| line.len() <= LONGEST_LINE));
        }
    }
}
