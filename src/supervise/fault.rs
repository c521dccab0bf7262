//! Faults on order, in debug builds alone: how the tests strike each loop of the real program.
//!
//! `WINDLASS_PANIC_IN` names a task and `WINDLASS_STRIKE_WHEN` a file: when the file is there, the task panics at its next
//! turn. `WINDLASS_HANG_IN` names a task that blocks its thread instead. That task counts as hung after some seconds, so
//! that a test need not wait for a minute.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// How long the task that is to hang may go without a turn: longer than it ever does before.
const HUNG: Duration = Duration::from_secs(4);

struct Order {
    panic_in: Option<String>,
    hang_in: Option<String>,
    when: PathBuf,
}

static ORDER: OnceLock<Option<Order>> = OnceLock::new();

fn order() -> Option<&'static Order> {
    if !cfg!(debug_assertions) {
        return None;
    }
    let read = || {
        let when = PathBuf::from(std::env::var_os("WINDLASS_STRIKE_WHEN")?);
        Some(Order {
            panic_in: std::env::var("WINDLASS_PANIC_IN").ok(),
            hang_in: std::env::var("WINDLASS_HANG_IN").ok(),
            when,
        })
    };
    ORDER.get_or_init(read).as_ref()
}

/// Panics or blocks this thread, if that was ordered for this task or thread.
pub fn strike(task: &str) {
    let Some(order) = order() else { return };
    let (panics, hangs) = (order.panic_in.as_deref() == Some(task), order.hang_in.as_deref() == Some(task));
    if !(panics || hangs) || !order.when.exists() {
        return;
    }
    assert!(!panics, "ordered by a test");
    loop {
        std::thread::park();
    }
}

/// How long a task may go without a turn, if that was ordered.
pub(super) fn longest(task: &str) -> Option<Duration> {
    order().filter(|order| order.hang_in.as_deref() == Some(task)).map(|_| HUNG)
}
