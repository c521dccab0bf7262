//! Reads `exec = [...]`.

use super::{HandlerContext, argv, process_settings};
use crate::config::reader::{Table, Value};
use crate::task::handler_spec::{ExecSpec, OutputMode, ResultMode};

/// The keys that belong to this handler only.
pub(super) const KEYS: [&str; 5] = ["output", "result", "allow_dash", "retry_later", "retry_later_limit"];

pub(super) fn read(
    exec: &Value<'_>,
    run: &mut Table<'_>,
    context: HandlerContext<'_>,
    warnings: &mut Vec<String>,
) -> Option<ExecSpec> {
    let process = process_settings::read(run, context, warnings);
    let output = run.take("output").and_then(|value| {
        value.one_of("\"log\" or \"discard\"", &[("log", OutputMode::Log), ("discard", OutputMode::Discard)])
    });
    let result =
        run.take("result").and_then(|value| value.one_of("\"last_line\"", &[("last_line", ResultMode::LastLine)]));
    let allow_dash = run.take("allow_dash").and_then(|value| value.boolean());
    let later = super::read_retry_later(run);
    Some(ExecSpec {
        argv: argv::read(exec, &process, context, warnings)?,
        process,
        output: output.unwrap_or(OutputMode::Log),
        result: result.unwrap_or(ResultMode::Nothing),
        allow_dash: allow_dash.unwrap_or(false),
        later,
    })
}
