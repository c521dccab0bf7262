//! How programs receive a job: environment variables, and the parts of a line of JSON.

use super::ecma::quote;

/// All variables that describe one run. A program that serves another run, or many, must not inherit them.
pub const ALL: [&str; 8] = [
    "WINDLASS_JOB_ID",
    "WINDLASS_CLAIM",
    "WINDLASS_QUEUE",
    "WINDLASS_ATTEMPT",
    ARGS,
    ARGS_OMITTED,
    SCHEDULED_AT,
    STATUS_FD,
];
/// The variables that not every run has.
pub const OPTIONAL: [&str; 4] = [ARGS, ARGS_OMITTED, SCHEDULED_AT, STATUS_FD];
/// The number of the descriptor on which the program tells how far it is.
pub const STATUS_FD: &str = "WINDLASS_STATUS_FD";
/// The occurrence of the schedule that enqueued the job.
pub const SCHEDULED_AT: &str = "WINDLASS_SCHEDULED_AT";
/// The trace that a program continues.
#[cfg(feature = "otel")]
pub const TRACEPARENT: &str = "TRACEPARENT";
/// What vendors add to a trace. It belongs to the parent that it came with.
#[cfg(feature = "otel")]
pub const TRACESTATE: &str = "TRACESTATE";
const ARGS: &str = "WINDLASS_ARGS";
const ARGS_OMITTED: &str = "WINDLASS_ARGS_OMITTED";

/// The longest arguments that are passed in the environment, because the size of a variable is limited.
pub const ENV_ARGS_CAP: usize = 64 * 1024;

/// The variable with the arguments, or the one that says that only the line contains them.
#[must_use]
pub fn args_variable(args: &[u8]) -> (&'static str, &str) {
    match std::str::from_utf8(args) {
        Ok(args) if args.len() <= ENV_ARGS_CAP && !args.contains('\0') => (ARGS, args),
        _ => (ARGS_OMITTED, "1"),
    }
}

/// Appends the arguments to a line unchanged, except that a line break becomes a space. In JSON, a raw line break can
/// only be blank space between tokens.
pub fn push_args(line: &mut Vec<u8>, args: &[u8]) {
    let begin = line.len();
    line.extend_from_slice(args);
    for byte in line.iter_mut().skip(begin).filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

/// Appends a string as JSON. The fast path is a string without escapes, as names usually are.
pub fn push_quoted(line: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        line.push(b'"');
        line.extend_from_slice(text.as_bytes());
        line.push(b'"');
    } else {
        line.extend_from_slice(quote(text).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_name_is_quoted_as_json_stringify_does(text in ".*") {
            let mut line = Vec::new();
            push_quoted(&mut line, &text);
            proptest::prop_assert_eq!(line, quote(&text).into_bytes());
        }
    }

    #[test]
    fn arguments_that_no_variable_can_hold_are_omitted() {
        assert_eq!(args_variable(b"[1]"), (ARGS, "[1]"));
        let long = format!("[\"{}\"]", "x".repeat(ENV_ARGS_CAP));
        for args in [&b"[\"\0\"]"[..], b"[\"\xff\"]", long.as_bytes()] {
            assert_eq!(args_variable(args), (ARGS_OMITTED, "1"));
        }
    }
}
