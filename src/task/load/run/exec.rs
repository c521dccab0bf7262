//! Reads `exec = [...]`.

use super::{HandlerContext, argv, process_settings};
use crate::config::reader::{Table, Value};
use crate::task::handler_spec::{ExecSpec, OutputMode, ResultMode, StdinMode};

/// The keys that belong to this handler only.
pub(super) const KEYS: [&str; 8] =
    ["stdin", "output", "result", "progress", "allow_dash", "allow_code", "retry_later", "retry_later_limit"];

pub(super) fn read(
    exec: &Value<'_>,
    run: &mut Table<'_>,
    context: HandlerContext<'_>,
    warnings: &mut Vec<String>,
) -> Option<ExecSpec> {
    let process = process_settings::read(run, context, warnings);
    let stdin = run.take("stdin").and_then(|value| {
        value.one_of("\"job\" or \"none\"", &[("job", StdinMode::Job), ("none", StdinMode::Nothing)])
    });
    let stdin = stdin.unwrap_or_default();
    let output = read_output(run);
    let result =
        run.take("result").and_then(|value| value.one_of("\"last_line\"", &[("last_line", ResultMode::LastLine)]));
    let progress = run.take("progress").and_then(|value| value.boolean()).unwrap_or(false);
    let mut allows = |key: &str| run.take(key).and_then(|value| value.boolean()).unwrap_or(false);
    let allowed = argv::Allowed {
        dash: allows("allow_dash"),
        code: allows("allow_code"),
        dollar: allows("allow_dollar"),
        stdin: stdin == StdinMode::Nothing,
    };
    let later = super::read_retry_later(run);
    let argv = argv::read(exec, &process, allowed, context, warnings)?;
    Some(ExecSpec {
        argv: argv.items,
        options_end_from: argv.options_end_from,
        process,
        stdin,
        output: output.unwrap_or(OutputMode::Log),
        result: result.unwrap_or(ResultMode::Nothing),
        progress,
        allow_dash: allowed.dash,
        later,
    })
}

pub(super) fn read_output(run: &mut Table<'_>) -> Option<OutputMode> {
    let words = [("log", OutputMode::Log), ("discard", OutputMode::Discard), ("file", OutputMode::File)];
    run.take("output").and_then(|value| value.one_of("\"log\", \"discard\" or \"file\"", &words))
}
