//! Panics on order, in debug builds alone: how the tests strike each loop of the real program.
//!
//! `WINDLASS_PANIC_IN` names a task, `WINDLASS_PANIC_WHEN` a file: at its next turn after the file is there it panics.

use std::path::PathBuf;
use std::sync::OnceLock;

static ORDER: OnceLock<Option<(String, PathBuf)>> = OnceLock::new();

/// Panics if that was ordered for this task.
pub(super) fn strike(task: &str) {
    let ordered = || {
        let name = std::env::var("WINDLASS_PANIC_IN").ok()?;
        Some((name, PathBuf::from(std::env::var_os("WINDLASS_PANIC_WHEN")?)))
    };
    if let Some((name, when)) = ORDER.get_or_init(ordered)
        && name == task
        && when.exists()
    {
        panic!("ordered by a test");
    }
}
