//! Reads `rpc = [...]`.

use std::time::Duration;

use super::{HandlerContext, argv, process_settings};
use crate::config::element::duration::{self, Unit};
use crate::config::element::{processors, size};
use crate::config::reader::{Table, Value};
use crate::task::handler_spec::{OutputMode, RpcSpec};

/// The keys that belong to this handler.
pub(super) const KEYS: [&str; 8] =
    ["processes", "depth", "max_jobs", "max_rss", "start_timeout", "output", "retry_later", "retry_later_limit"];

/// The default of `start_timeout`.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// The smallest `max_rss`.
const MIN_RSS_BYTES: u64 = 1 << 20;

pub(super) fn read(
    rpc: &Value<'_>,
    run: &mut Table<'_>,
    context: HandlerContext<'_>,
    warnings: &mut Vec<String>,
) -> Option<RpcSpec> {
    let process = process_settings::read(run, context, warnings);
    let mut count = |key: &str, most: u64| run.take(key).and_then(|value| value.whole_number(1..=most));
    let processes = count("processes", processors::MAX_PROCESSORS).and_then(|number| usize::try_from(number).ok());
    let depth = count("depth", processors::MAX_PROCESSORS).and_then(|number| usize::try_from(number).ok());
    let max_jobs = count("max_jobs", u64::MAX);
    let max_rss = run.take("max_rss").and_then(|value| size::read(&value, MIN_RSS_BYTES));
    let start_timeout = run
        .take("start_timeout")
        .and_then(|value| duration::read(&value, Unit::Milliseconds, Duration::from_millis(1)));
    // Its type was checked with the settings of the process.
    let dollar = run.take("allow_dollar").and_then(|value| value.raw().as_bool()).unwrap_or(false);
    let output = run
        .take("output")
        .and_then(|value| value.one_of("\"log\" or \"file\"", &[("log", OutputMode::Log), ("file", OutputMode::File)]));
    let later = super::read_retry_later(run);
    Some(RpcSpec {
        argv: argv::read_plain(rpc, &process, dollar, context, warnings)?,
        process,
        processes: processes.unwrap_or(1),
        depth: depth.unwrap_or(1),
        max_jobs,
        max_rss,
        start_timeout: start_timeout.unwrap_or(START_TIMEOUT),
        output: output.unwrap_or(OutputMode::Log),
        later,
    })
}
