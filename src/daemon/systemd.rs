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
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use nix::sys::signal::SigSet;
use rustix::net::SendFlags;
use sd_notify::NotifyState;
use tokio::sync::oneshot;

use crate::process::mark;
use crate::supervise::scope::own_thread;
use crate::text::clean;

/// Within so many microseconds a start that waits says another word: longer than any try takes.
const NEXT_WORD: u32 = 120_000_000;
/// How many messages wait for a service manager that reads none. Later ones are dropped.
const CAPACITY: usize = 64;
/// The longest message that is passed on.
pub(super) const LONGEST: usize = 4096;
/// How long a service manager may take to read the last messages.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The stack of the parent's thread, which calls little.
const STACK: usize = 64 * 1024;

/// The longest line of a message. A status names queues and stores, and those names are the work of others.
const LONGEST_LINE: usize = 500;

/// Was it told that we are ready? Until then a reload must not say so.
static READY: AtomicBool = AtomicBool::new(false);

/// To the thread that tells systemd, if there is one.
static THREAD: OnceLock<Option<SyncSender<Word>>> = OnceLock::new();

/// What the thread does.
enum Word {
    Tell(String),
    /// All before it was told.
    Told(oneshot::Sender<()>),
}

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

/// Another daemon has taken over. Who watches us does not take that for a stop.
pub fn replaced() {
    READY.store(false, Ordering::SeqCst);
    tell(&[NotifyState::Status("another daemon has taken over; running jobs end")]);
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
    let _ = thread.try_send(Word::Tell(message(states)));
}

/// Waits until the parent has got all that was told so far, or does not take it.
pub(super) async fn told() {
    let Some(thread) = THREAD.get_or_init(start) else { return };
    let (sender, told) = oneshot::channel();
    if thread.try_send(Word::Told(sender)).is_ok() {
        // The parent always reads, unless it hangs.
        let _ = tokio::time::timeout(LAST_WORDS, told).await;
    }
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

/// For the parent: passes on what daemons say.
pub(super) struct Teller {
    messages: SyncSender<String>,
    ended: Receiver<()>,
}

/// Starts the thread that passes on, if a service manager wants this process, the parent, to tell it.
///
/// # Errors
/// If no thread can be started.
pub(super) fn teller() -> io::Result<Option<Teller>> {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return Ok(None);
    }
    let (messages, to_tell) = sync_channel::<String>(CAPACITY);
    let (sender, ended) = sync_channel(1);
    let pass = move || {
        own_thread("the messages to systemd");
        // The parent takes them, even while it executes another program.
        let _ = SigSet::all().thread_block();
        for text in to_tell {
            // A socket that refuses is no reason to end.
            let _ = sd_notify::notify(&[NotifyState::Custom(&text)]);
        }
        // The parent may have ended its wait.
        let _ = sender.send(());
    };
    std::thread::Builder::new().name("systemd".to_owned()).stack_size(STACK).spawn(pass)?;
    Ok(Some(Teller { messages, ended }))
}

impl Teller {
    /// Passes on a message. One for which there is no room any more is dropped.
    pub(super) fn tell(&self, message: &str) {
        let _ = self.messages.try_send(message.to_owned());
    }

    /// Waits until all is passed on. A service manager that does not read is not waited for any longer.
    pub(super) fn end(self) {
        drop(self.messages);
        let _ = self.ended.recv_timeout(LAST_WORDS);
    }
}

/// Starts the thread, if a service manager wants to be told.
fn start() -> Option<SyncSender<Word>> {
    std::env::var_os(mark::NOTIFIES)?;
    let (sender, words) = sync_channel::<Word>(CAPACITY);
    let send = move || {
        own_thread("the messages to systemd");
        for word in words {
            match word {
                // Without a parent this process ends anyway.
                Word::Tell(message) => {
                    let _ = rustix::net::send(io::stdin().as_fd(), message.trim_end().as_bytes(), SendFlags::NOSIGNAL);
                }
                // It may have ended its wait.
                Word::Told(sender) => drop(sender.send(())),
            }
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
