//! A job as one line of JSON: what every handler that speaks to somebody else sends.

use std::io::Write as _;

use super::contract::Invocation;
use crate::job::ecma::quote;

/// The job as one line, with its end.
pub(super) fn line(job: &Invocation) -> Vec<u8> {
    let mut line = Vec::with_capacity(job.args.len() + 256);
    append(&mut line, job);
    line.push(b'\n');
    line
}

/// Appends the job, without a line's end. The arguments go in as they are; a raw line break in JSON can only be blank
/// space between tokens, and becomes a space.
pub(super) fn append(line: &mut Vec<u8>, job: &Invocation) {
    let Invocation { task, queue, args, identity, claim, scheduled_at, instance: _ } = job;
    line.extend_from_slice(b"{\"id\":");
    push_quoted(line, &identity.id);
    line.extend_from_slice(b",\"claim\":");
    push_quoted(line, claim.as_str());
    line.extend_from_slice(b",\"task\":");
    push_quoted(line, task.name.as_str());
    line.extend_from_slice(b",\"queue\":");
    push_quoted(line, queue.as_str());
    line.extend_from_slice(b",\"args\":");
    let begin = line.len();
    line.extend_from_slice(args);
    for byte in line.iter_mut().skip(begin).filter(|byte| matches!(byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
    // Writing to a vector cannot fail.
    let _ = write!(line, ",\"attempt\":{},\"redelivered\":{}", identity.attempt, identity.redelivered);
    if let Some(at) = scheduled_at {
        line.extend_from_slice(b",\"scheduled_at\":");
        push_quoted(line, at);
    }
    line.push(b'}');
}

/// A string as JSON. Names hardly ever need an escape.
fn push_quoted(line: &mut Vec<u8>, text: &str) {
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
    use crate::handler::fixture::invocation;
    use crate::job::QueueName;

    proptest::proptest! {
        #[test]
        fn any_name_is_quoted_as_json_stringify_does(text in ".*") {
            let mut line = Vec::new();
            push_quoted(&mut line, &text);
            proptest::prop_assert_eq!(line, quote(&text).into_bytes());
        }
    }

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
