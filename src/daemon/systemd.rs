//! What systemd is told, where it asks to be told.

use sd_notify::NotifyState;

/// We work.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// We wait, or do something else than working.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// We are on our way out.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

fn tell(state: &[NotifyState<'_>]) {
    // Without NOTIFY_SOCKET this does nothing; a socket that refuses is no reason to fail a job.
    let _ = sd_notify::notify(state);
}
