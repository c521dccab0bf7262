//! Waits until a condition holds, or checks that it holds for a while.

use std::thread::sleep;
use std::time::Duration;

use tokio::time::Instant;
use windlass::clock::{Clock, SystemClock};

/// How long anything may take before its test fails. Only a failing test waits that long.
const PATIENCE: Duration = Duration::from_secs(40);

/// How often a condition is looked at.
const PACE: Duration = Duration::from_millis(5);

/// Waits until the condition holds.
///
/// # Panics
/// If it does not hold in time; `what` names the condition.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    eventually_some(what, || holds().then_some(()));
}

/// Waits until there is a value, and gives it.
///
/// # Panics
/// If there is none in time; `what` names the condition.
pub(crate) fn eventually_some<T>(what: &str, mut value: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = value() {
            return value;
        }
        assert!(Instant::now() < until, "waited {PATIENCE:?} in vain: {what}");
        sleep(PACE);
    }
}

/// Looks again and again, until `over`, whether the condition holds.
///
/// # Panics
/// If it does not hold once, or `over` never holds; `what` names the condition.
pub(crate) fn throughout(what: &str, mut over: impl FnMut() -> bool, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(holds(), "did not hold throughout: {what}");
        if over() {
            return;
        }
        // What other processes do sends no signal here: ask again, with a deadline.
        assert!(Instant::now() < until, "held, but was not over in {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(1));
    }
}

/// A condition that comes true after this time: for watching that something does not happen.
pub(crate) fn after(time: Duration) -> impl FnMut() -> bool {
    let until = Instant::now() + time;
    move || Instant::now() >= until
}

/// Now, in milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> i64 {
    SystemClock.now_ms()
}
