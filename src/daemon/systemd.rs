//! What systemd is told, where it asks to be told.
//!
//! A thread of its own tells it: a send to the service manager's socket waits while the socket's queue is full, and nobody
//! else may wait for that. Messages arrive in the order in which they were told.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::supervise::scope::own_thread;

/// How many messages wait for a service manager that reads none. Later ones are dropped.
const CAPACITY: usize = 64;

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
    let mut message = String::new();
    for state in states {
        // Writing to a string does not fail.
        let _ = writeln!(message, "{state}");
    }
    // A full queue means that the service manager has read nothing for minutes.
    let _ = thread.try_send(message);
}

/// Starts the thread, if a service manager wants to be told.
fn start() -> Option<SyncSender<String>> {
    std::env::var_os("NOTIFY_SOCKET")?;
    let (sender, messages) = sync_channel::<String>(CAPACITY);
    let send = move || {
        own_thread("the messages to systemd");
        for message in messages {
            // A socket that refuses is no reason to fail a job.
            let _ = sd_notify::notify(&[NotifyState::Custom(message.trim_end())]);
        }
    };
    std::thread::Builder::new().name("systemd".to_owned()).spawn(send).ok().map(|_| sender)
}
