//! A job as one line of JSON, as every handler that passes jobs to another program sends it.

use std::io::Write as _;

use super::contract::Invocation;
use crate::job::run_variables::{push_args, push_quoted};

/// The job as one line, with the newline.
pub(super) fn line(job: &Invocation) -> Vec<u8> {
    let mut line = Vec::with_capacity(job.args.len() + 256);
    append_traced(&mut line, job);
    line.push(b'\n');
    line
}

/// Appends the job, and the trace that it continues if there is one, without a newline.
pub(super) fn append_traced(line: &mut Vec<u8>, job: &Invocation) {
    append(line, job);
    #[cfg(feature = "otel")]
    if let Some(trace) = &job.trace {
        line.pop();
        // Writing to a vector cannot fail.
        let _ = write!(line, ",\"traceparent\":\"{}\"}}", trace.context);
    }
}

/// Appends the job, without a newline.
pub(super) fn append(line: &mut Vec<u8>, job: &Invocation) {
    let Invocation { task, queue, args, identity, claim, scheduled_at, .. } = job;
    line.extend_from_slice(b"{\"id\":");
    push_quoted(line, &identity.id);
    line.extend_from_slice(b",\"claim\":");
    push_quoted(line, claim.as_str());
    line.extend_from_slice(b",\"task\":");
    push_quoted(line, task.name.as_str());
    line.extend_from_slice(b",\"queue\":");
    push_quoted(line, queue.as_str());
    line.extend_from_slice(b",\"args\":");
    push_args(line, args);
    // Writing to a vector cannot fail.
    let _ = write!(line, ",\"attempt\":{},\"redelivered\":{}", identity.attempt, identity.redelivered);
    if let Some(at) = scheduled_at {
        line.extend_from_slice(b",\"scheduled_at\":");
        push_quoted(line, at);
    }
    line.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::fixture::invocation;
    use crate::job::QueueName;

    #[test]
    fn arguments_are_never_encoded_anew_and_the_line_is_one() {
        let mut job = invocation("[1.0,\n {\"a\":\r\n\"x\\ny\", \"n\": 1e400}]");
        job.queue = QueueName::as_stored("a \"b\"");
        job.scheduled_at = Some("2026-01-01T00:00:00Z".into());
        let mut line = b"before ".to_vec();
        append(&mut line, &job);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            concat!(
                r#"before {"id":"00ff-1-7-3","claim":"00ff-1-7-3","task":"test","queue":"a \"b\"","#,
                r#""args":[1.0,  {"a":  "x\ny", "n": 1e400}],"attempt":1,"redelivered":0,"#,
                r#""scheduled_at":"2026-01-01T00:00:00Z"}"#
            )
        );
    }
}
