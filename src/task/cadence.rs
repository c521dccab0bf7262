//! When a periodic task runs by itself.

use std::time::Duration;

use super::calendar::Calendar;

/// What makes a task periodic.
#[derive(Debug, Clone, PartialEq)]
pub enum Cadence {
    /// `frequency`: this long after the run before was due; whole seconds, at least one.
    Every(Duration),
    /// `schedule`: whenever the calendar says.
    Calendar(Calendar),
}
