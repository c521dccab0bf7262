//! The working record: a claimed job and its owner, under the worker's key.
//!
//! ```json
//! {"claim":"<token>","worker":"host-windlass:7+1","id":"..","attempt":2,"redelivered":1,"later":0,
//!  "run_at":"2026-11-24T03:26:17.000Z","queue":"math","payload":{...}}
//! ```
//!
//! The claim comes first, so that ownership is one comparison of a prefix, and what is constant of
//! a worker follows it; the payload comes last,
//! spliced in raw if it is framed by braces and as an escaped string if not. `id` to `later` stand
//! only on jobs that were run before. node-resque and resque-web read run_at, queue, worker and
//! payload; their own records have no claim.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::job::{ClaimToken, Identity, QueueName, WorkerName};

/// A working record, read.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkingRecord {
    /// Whose record it is, from the key it was found under.
    pub worker: WorkerName,
    /// The claim, if a Windlass instance made it.
    pub claim: Option<ClaimToken>,
    /// Who the job is; its first claim gives its id if it was never run before.
    pub identity: Option<Identity>,
    /// The queue it was taken from.
    pub queue: Option<QueueName>,
    /// When, in the writer's format.
    pub run_at: Option<String>,
    /// The job's bytes as they stood in the queue. node-resque re-encodes them with Lua's JSON, so
    /// theirs may differ from the original.
    pub payload: Option<Bytes>,
    /// The record as it stands, for comparison.
    pub raw: Bytes,
}

impl WorkingRecord {
    /// Reads the record that stands under a worker's key; what is missing or of another type reads
    /// as absent.
    #[must_use]
    pub fn parse(worker: &WorkerName, raw: Bytes) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Members {
            claim: Option<String>,
            id: Option<String>,
            attempt: Option<u32>,
            redelivered: Option<u32>,
            later: Option<u32>,
            run_at: Option<serde_json::Value>,
            queue: Option<String>,
        }
        // The payload is cut out by its place, for it may hold what no JSON reader takes.
        const PAYLOAD: &[u8] = b",\"payload\":";
        let ours = raw.starts_with(b"{\"claim\":\"");
        let (members, payload) = if ours {
            match raw.windows(PAYLOAD.len()).position(|window| window == PAYLOAD) {
                Some(at) => {
                    let head = [&raw[..at], b"}"].concat();
                    let tail = raw.slice(at + PAYLOAD.len()..raw.len() - 1);
                    (serde_json::from_slice::<Members>(&head).unwrap_or_default(), Some(unescape(tail)))
                }
                None => (Members::default(), None),
            }
        } else {
            #[derive(Deserialize)]
            struct Foreign<'a> {
                #[serde(borrow)]
                payload: Option<&'a RawValue>,
            }
            let payload = serde_json::from_slice::<Foreign<'_>>(&raw).ok().and_then(|foreign| foreign.payload);
            let payload = payload.map(|payload| Bytes::copy_from_slice(payload.get().as_bytes()));
            (serde_json::from_slice::<Members>(&raw).unwrap_or_default(), payload)
        };
        let claim = members.claim.filter(|_| ours).map(|claim| ClaimToken::as_stored(&claim));
        let identity = claim.as_ref().map(|claim| {
            let first = Identity::first(claim);
            Identity {
                id: members.id.map_or(first.id, |id| id.into()),
                attempt: members.attempt.unwrap_or(first.attempt),
                redelivered: members.redelivered.unwrap_or(0),
                later: members.later.unwrap_or(0),
            }
        });
        Self {
            worker: worker.clone(),
            claim,
            identity,
            queue: members.queue.map(|queue| QueueName::as_stored(&queue)),
            run_at: members.run_at.and_then(|value| value.as_str().map(str::to_owned)),
            payload,
            raw,
        }
    }
}

/// Undoes the escaping of a payload that is not framed by braces: `"` and `\` behind a backslash,
/// control characters and DEL as `\u00xx`, every other byte as it is.
fn unescape(payload: Bytes) -> Bytes {
    let Some(inner) = payload.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return payload;
    };
    let mut out = Vec::with_capacity(inner.len());
    let mut at = 0;
    while let Some(&byte) = inner.get(at) {
        let hex = inner.get(at + 2..at + 6).and_then(|hex| std::str::from_utf8(hex).ok());
        match (byte, inner.get(at + 1)) {
            (b'\\', Some(b'u')) => {
                let code = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
                out.push(code.unwrap_or(b'?'));
                at += 6;
            }
            (b'\\', Some(&escaped)) => {
                out.push(escaped);
                at += 2;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_record_gives_back_the_bytes_it_was_given() {
        let worker = WorkerName::parse("h-windlass:7+1:*");
        let parse = |raw: &str| WorkingRecord::parse(&worker, Bytes::copy_from_slice(raw.as_bytes()));
        let first = parse(
            r#"{"claim":"00ff-0-1-2","run_at":"x","queue":"a,\"payload\":b","worker":"h-windlass:7+1","payload":{bad}}"#,
        );
        assert_eq!(first.payload.as_deref(), Some(&b"{bad}"[..]));
        assert_eq!(first.queue.unwrap().as_str(), "a,\"payload\":b");
        assert_eq!(first.identity.unwrap(), Identity::first(&ClaimToken::as_stored("00ff-0-1-2")));
        let again = parse(
            r#"{"claim":"00ff-0-1-2","id":"j","attempt":3,"redelivered":2,"later":1,"run_at":"x","queue":"q","worker":"w","payload":"a\"\\\u0000é"}"#,
        );
        assert_eq!(again.payload.as_deref(), Some("a\"\\\0é".as_bytes()));
        assert_eq!(again.identity.unwrap().encode(), "j 3 2 1");
    }

    #[test]
    fn records_of_other_programs_have_no_claim() {
        let worker = WorkerName::parse("vm:11800:math");
        let nr = WorkingRecord::parse(
            &worker,
            Bytes::from_static(
                br#"{"run_at":"Tue","worker":"vm:11800","payload":{"class":"add","args":[1]},"queue":"math"}"#,
            ),
        );
        assert_eq!(nr.claim, None);
        assert_eq!(nr.payload.as_deref(), Some(&br#"{"class":"add","args":[1]}"#[..]));
        assert_eq!(WorkingRecord::parse(&worker, Bytes::from_static(b"junk")).payload, None);
    }
}
