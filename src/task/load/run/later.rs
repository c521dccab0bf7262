//! Reads what "later" means when a handler says so.

use std::time::Duration;

use crate::config::element::duration::{self, Unit};
use crate::config::element::redeliveries;
use crate::config::reader::Table;
use crate::task::handler_spec::Later;

pub(super) fn read(run: &mut Table<'_>) -> Later {
    let shortest = Duration::from_millis(1);
    let delay = run.take("retry_later").and_then(|value| duration::read(&value, Unit::Milliseconds, shortest));
    let limit = run.take("retry_later_limit").and_then(|value| redeliveries::read(&value));
    let default = Later::default();
    Later { delay: delay.unwrap_or(default.delay), limit: limit.unwrap_or(default.limit) }
}
