//! What systemd is told, where it asks to be told.

use std::sync::atomic::{AtomicBool, Ordering};

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

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

/// Says that the thread which polls this still turns, for as long as it is polled: twice in the time after which
/// systemd would take us for hung.
pub async fn keep_alive() -> std::convert::Infallible {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero()) else {
        return std::future::pending().await;
    };
    let mut ticks = interval(patience / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    // Without NOTIFY_SOCKET this does nothing; a socket that refuses is no reason to fail a job.
    let _ = sd_notify::notify(state);
}
