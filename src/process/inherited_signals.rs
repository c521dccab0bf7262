//! Signals that this process inherited blocked or ignored: from a JVM, a Ruby or Python parent, `nohup`, `trap ''`.
//!
//! Both survive `exec`. Blocked, TERM would not stop a daemon and HUP not reload it; and every program that it starts
//! would inherit the same, and not be stopped by TERM at its timeout. A parent that ignores SIGCHLD leaves its children
//! no exit statuses. So what was inherited is put back to what the system starts a program with, before any thread and
//! any handler of ours is there; threads and programs inherit that.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// Signals that nobody can ignore, that report faults of this process itself, and PIPE: Rust ignores that one for itself, and
/// puts it back in each program that it starts.
const LEFT_ALONE: [Signal; 7] = [
    Signal::SIGKILL,
    Signal::SIGSTOP,
    Signal::SIGILL,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGSEGV,
    Signal::SIGPIPE,
];

/// Lets all signals reach this process, and it learn how its children end. To be called before any thread is started.
pub fn unblock() {
    // It fails for no mask.
    let _ = SigSet::empty().thread_set_mask();
    heed(Signal::SIGCHLD);
}

/// Ignores no signal any more that its parent ignored. To be called before any thread is started and any handler is
/// installed. A daemon has handlers of its own; a command leaves it as it is, so that `nohup` has its effect.
pub fn heed_all() {
    Signal::iterator().filter(|signal| !LEFT_ALONE.contains(signal)).for_each(heed);
}

#[expect(unsafe_code, reason = "the system offers no safe call for the disposition of a signal")]
fn heed(signal: Signal) {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no code runs by the default disposition. The second call puts back what the first one has returned, unchanged.
    // No other thread is there whose handler could be missed in between.
    unsafe {
        if let Ok(old) = sigaction(signal, &default)
            && !matches!(old.handler(), SigHandler::SigIgn)
        {
            let _ = sigaction(signal, &old);
        }
    }
}
