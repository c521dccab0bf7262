//! A job as one line of JSON: what every handler that speaks to somebody else sends.

use super::contract::Invocation;
use crate::job::ecma::quote;

/// The job as one line of JSON, with the line's end. The arguments go in as they are; a raw line break in JSON can
/// only be blank space between tokens, and becomes a space.
pub(super) fn job_line(job: &Invocation) -> Vec<u8> {
    let Invocation { task, queue, args, identity, claim, .. } = job;
    let mut line = format!(
        "{{\"id\":{},\"claim\":{},\"task\":{},\"queue\":{},\"args\":",
        quote(&identity.id),
        quote(claim.as_str()),
        quote(task.name.as_str()),
        quote(queue.as_str()),
    )
    .into_bytes();
    line.extend(args.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    let (attempt, redelivered) = (identity.attempt, identity.redelivered);
    line.extend_from_slice(format!(",\"attempt\":{attempt},\"redelivered\":{redelivered}").as_bytes());
    if let Some(at) = &job.scheduled_at {
        line.extend_from_slice(format!(",\"scheduled_at\":{}", quote(at)).as_bytes());
    }
    line.extend_from_slice(b"}\n");
    line
}
