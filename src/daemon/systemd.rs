//! What systemd is told, where it asks to be told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// Was it told that we are ready? Until then a reload must not say so.
static READY: AtomicBool = AtomicBool::new(false);

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

/// We are on our way out.
pub fn stopping() {
    READY.store(false, Ordering::SeqCst);
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// After how long without a word systemd takes us for hung, if it watches us.
pub fn patience() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero())
}

/// All of us turns.
pub fn alive() {
    if patience().is_some() {
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    // Without NOTIFY_SOCKET this does nothing; a socket that refuses is no reason to fail a job.
    let _ = sd_notify::notify(state);
}
