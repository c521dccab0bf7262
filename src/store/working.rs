//! The working record: a claimed job and its owner, under the worker's key.
//!
//! ```json
//! {"claim":"<token>","worker":"host-windlass:7+1","id":"..","attempt":2,"redelivered":1,"later":0,
//!  "run_at":"2026-11-24T03:26:17.000Z","queue":"math","payload":{...}}
//! ```
//!
//! The claim comes first, so that one comparison of a prefix tells the owner. The members that are constant for a worker
//! follow it. The payload comes last: raw if it is framed by braces, otherwise as an escaped string. A long one that would
//! have to be escaped stands raw behind a `=`, so that its record is hardly longer than itself and no script goes over its
//! bytes. `id` to `later` are there only for jobs that were run before. node-resque and resque-web read run_at, queue, worker and payload; their own
//! records have no claim.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::job::{Beginning, ClaimToken, Identity, PayloadView, QueueName, WorkerName, ecma};

/// A parsed working record.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkingRecord {
    /// The worker, from the key of the record.
    pub worker: WorkerName,
    /// The claim, if a Windlass instance made it.
    pub claim: Option<ClaimToken>,
    /// The identity of the job; if it was never run before, its first claim is its id.
    pub identity: Option<Identity>,
    /// The queue it was taken from.
    pub queue: Option<QueueName>,
    /// When it was claimed, in the writer's format.
    pub run_at: Option<String>,
    /// The job's bytes as they were in the queue. node-resque encodes them again with Lua's JSON, so its records may
    /// differ from the original.
    pub payload: Option<Bytes>,
    /// The bytes of the record, for comparisons.
    pub raw: Bytes,
    /// How many more bytes the record has than were read: a listing reads the beginning of a long one. Such a record equals
    /// none that is stored, so that no step is done by it.
    pub left_out: u64,
}

/// How our own records begin. The claim follows, up to the next quote: the scripts compare the same prefix.
const OURS: &[u8] = b"{\"claim\":\"";

/// Separates the members of our own records from the payload.
const PAYLOAD: &[u8] = b",\"payload\":";

/// The members of a record by name; of two equal names the last counts.
type Members<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

impl WorkingRecord {
    /// Reads the record of a worker from any bytes. Members that are missing, of another type or out of bounds read as
    /// absent. A truncated record keeps its claim, so that its owner is known.
    #[must_use]
    pub fn parse(worker: &WorkerName, raw: Bytes) -> Self {
        let claim = claim(&raw);
        let whole: Option<(Bytes, Option<Bytes>)> = match claim {
            Some(_) => split(&raw).map(|(members, payload)| (members, Some(unescape(payload)))),
            None => Some((raw.clone(), None)),
        };
        let (text, payload) = whole.unwrap_or_default();
        let members: Members<'_> = serde_json::from_slice(&text).unwrap_or_default();
        let identity = claim.as_ref().map(|claim| identity(&members).unwrap_or_else(|| Identity::first(claim)));
        let foreign = || members.get("payload").filter(|payload| payload.get() != "null");
        Self {
            worker: worker.clone(),
            identity,
            queue: member::<String>(&members, "queue").map(|queue| QueueName::as_stored(&queue)),
            run_at: member(&members, "run_at"),
            payload: payload.or_else(|| foreign().map(|payload| Bytes::copy_from_slice(payload.get().as_bytes()))),
            claim,
            raw,
            left_out: 0,
        }
    }
}

impl WorkingRecord {
    /// The class of the job, if its bytes are one.
    #[must_use]
    pub fn class(&self) -> Option<String> {
        let payload = self.payload.as_ref()?;
        let whole = PayloadView::parse(payload).ok().map(|job| job.class.into_owned());
        whole.or_else(|| Beginning::parse(payload).member("class").filter(|_| self.left_out > 0))
    }

    /// Is this the id of the job, or the claim of this run of it?
    #[must_use]
    pub fn has_id(&self, id: &str) -> bool {
        self.identity.as_ref().is_some_and(|identity| &*identity.id == id)
            || self.claim.as_ref().is_some_and(|claim| claim.as_str() == id)
    }
}

/// The claim at the beginning of a record of ours.
pub(super) fn claim(raw: &[u8]) -> Option<ClaimToken> {
    let rest = raw.strip_prefix(OURS)?;
    let token = rest.get(..rest.iter().position(|byte| *byte == b'"')?)?;
    let plain = !token.is_empty() && token.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\');
    let token = std::str::from_utf8(token).ok().filter(|_| plain)?;
    Some(ClaimToken::as_stored(token))
}

/// The members of a record of ours, as an object of their own, and its payload. They are separated by position, because
/// the payload need not be JSON. `None` if the record is truncated.
fn split(raw: &Bytes) -> Option<(Bytes, Bytes)> {
    let at = raw.windows(PAYLOAD.len()).position(|window| window == PAYLOAD)?;
    let (begin, end) = (at + PAYLOAD.len(), raw.len().checked_sub(1)?);
    let whole = raw.ends_with(b"}") && begin <= end;
    whole.then(|| (Bytes::from([&raw[..at], b"}"].concat()), raw.slice(begin..end)))
}

/// A member of this type; of another type it counts as absent.
fn member<T: DeserializeOwned>(members: &Members<'_>, name: &str) -> Option<T> {
    serde_json::from_str(members.get(name)?.get()).ok()
}

/// The identity of a job that was run before; `None` unless all of its parts are there and within bounds.
fn identity(members: &Members<'_>) -> Option<Identity> {
    let id: String = member(members, "id")?;
    Identity::stored(
        &id,
        member(members, "attempt")?,
        member(members, "redelivered")?,
        member(members, "later").unwrap_or(0),
    )
}

/// The longest payload that is escaped, as in `claim.lua`.
const ESCAPED: usize = 1 << 20;

/// Stands before a payload that is longer and would have to be escaped.
pub(super) const MARK: u8 = b'=';

/// Undoes the escaping of a payload that is not framed by braces. Control characters and DEL may be `\u00xx`, the usual
/// ones also a letter behind a backslash; any other byte behind a backslash stands for itself.
fn unescape(payload: Bytes) -> Bytes {
    if payload.first() == Some(&MARK) {
        return payload.slice(1..);
    }
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
                out.push(match escaped {
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    itself => itself,
                });
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

/// A record of ours. `identity` is `None` for a job that was never run before.
#[must_use]
pub(super) fn encode(
    worker: &WorkerName,
    claim: &ClaimToken,
    identity: Option<&Identity>,
    run_at: &str,
    queue: &str,
    payload: &[u8],
) -> Bytes {
    let identity = identity.map_or_else(String::new, |identity| {
        let Identity { id, attempt, redelivered, later } = identity;
        let id = ecma::quote(id);
        format!(",\"id\":{id},\"attempt\":{attempt},\"redelivered\":{redelivered},\"later\":{later}")
    });
    let head = format!(
        "{{\"claim\":{},\"worker\":{}{identity},\"run_at\":{},\"queue\":{},\"payload\":",
        ecma::quote(claim.as_str()),
        ecma::quote(worker.name()),
        ecma::quote(run_at),
        ecma::quote(queue),
    );
    let mut raw = Vec::with_capacity(head.len() + payload.len() + 3);
    raw.extend_from_slice(head.as_bytes());
    if payload.starts_with(b"{") && payload.ends_with(b"}") {
        raw.extend_from_slice(payload);
    } else {
        escape(payload, &mut raw);
    }
    raw.push(b'}');
    Bytes::from(raw)
}

/// A payload that is no object as a string, byte for byte recoverable.
fn escape(payload: &[u8], raw: &mut Vec<u8>) {
    let is_plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f | 0x7f);
    if payload.len() > ESCAPED && !payload.iter().all(is_plain) {
        raw.push(MARK);
        raw.extend_from_slice(payload);
        return;
    }
    let digit = |half: u8| char::from_digit(u32::from(half), 16).map_or(b'0', |digit| digit as u8);
    raw.push(b'"');
    for &byte in payload {
        match byte {
            b'"' | b'\\' => raw.extend_from_slice(&[b'\\', byte]),
            0..=0x1f | 0x7f => raw.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]),
            _ => raw.push(byte),
        }
    }
    raw.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let worker = WorkerName::new("h-windlass:7+1", "*");
        let claim = ClaimToken::new("00ff", 0, 1, 2);
        let again = Identity::first(&claim).redelivered();
        let long = [b'\x01'; ESCAPED + 1];
        for payload in [&br#"{"class":"a"}"#[..], b"{bad}", b"{", b"a\"\\\0\x7f\xff\n", b"", b"=", &long, b"\"=\""] {
            for identity in [None, Some(&again)] {
                let raw = encode(&worker, &claim, identity, "2026", "q,\"payload\":", payload);
                assert!(raw.len() < 6 * payload.len().min(ESCAPED) + 300 + payload.len(), "{}", raw.len());
                let read = WorkingRecord::parse(&worker, raw);
                assert_eq!(read.claim.as_ref(), Some(&claim));
                assert_eq!(read.payload.as_deref(), Some(payload));
                assert_eq!(read.queue.unwrap().as_str(), "q,\"payload\":");
                assert_eq!(read.identity.unwrap(), identity.cloned().unwrap_or_else(|| Identity::first(&claim)));
            }
        }
    }

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
        // As the script of the Redis engine writes it, in the server's own JSON.
        let script = parse(r#"{"claim":"00ff-0-1-2","payload":"\b\t\n\f\r\/\u001f\u007f"}"#);
        assert_eq!(script.payload.as_deref(), Some(&b"\x08\t\n\x0c\r/\x1f\x7f"[..]));
        let marked = parse("{\"claim\":\"00ff-0-1-2\",\"payload\":=\"a\n\\\"}");
        assert_eq!(marked.payload.as_deref(), Some(&b"\"a\n\\\""[..]));
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
        let odd =
            WorkingRecord::parse(&worker, Bytes::from_static(br#"{"queue":7,"queue":"q","run_at":1,"payload":null}"#));
        assert_eq!((odd.queue.unwrap().as_str(), odd.run_at, odd.payload), ("q", None, None));
    }

    #[test]
    fn a_record_that_was_cut_short_keeps_its_owner_and_nothing_else() {
        let worker = WorkerName::parse("x:1:*");
        let whole = r#"{"claim":"00ff-0-1-2","run_at":"x","queue":"q","worker":"w","payload":{}}"#;
        for end in 0..whole.len() {
            let record = WorkingRecord::parse(&worker, Bytes::copy_from_slice(&whole.as_bytes()[..end]));
            let owner = record.claim.as_ref().map(|claim| claim.instance().to_owned());
            assert_eq!(owner.as_deref(), (end >= 21).then_some("00ff"), "{end}");
            // The last cut leaves `{}` as `{`: a payload that is no job, which is on record as it stands.
            assert_eq!(record.payload.is_some(), end == whole.len() - 1, "{end}");
        }
        for none in
            [r#"{"claim":"","payload":{}}"#, r#"{"claim":"a\"","payload":{}}"#, r#"{"claim":"a b","payload":{}}"#]
        {
            assert_eq!(WorkingRecord::parse(&worker, Bytes::from_static(none.as_bytes())).claim, None, "{none}");
        }
    }

    #[test]
    fn an_identity_out_of_its_bounds_is_none() {
        let worker = WorkerName::parse("x:1:*");
        for odd in [
            r#""id":"j","attempt":4294967296,"redelivered":0"#,
            r#""id":"j","attempt":0,"redelivered":0"#,
            r#""id":"j","attempt":-1,"redelivered":0"#,
            r#""id":"j","attempt":1"#,
            r#""id":"a b","attempt":1,"redelivered":0"#,
            r#""id":7,"attempt":1,"redelivered":0"#,
        ] {
            let raw = format!(r#"{{"claim":"00ff-0-1-2",{odd},"queue":"q","payload":{{}}}}"#);
            let record = WorkingRecord::parse(&worker, Bytes::from(raw));
            assert_eq!(record.identity.unwrap().id.as_ref(), "00ff-0-1-2", "{odd}");
            assert_eq!(record.queue.unwrap().as_str(), "q", "{odd}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reader(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let record = WorkingRecord::parse(&WorkerName::parse("x:1:*"), Bytes::from(raw.clone()));
            proptest::prop_assert_eq!(&record.raw[..], &raw[..]);
        }

        #[test]
        fn no_change_to_a_record_breaks_the_reader(
            at in 0usize..120, cut in 0usize..120, with in proptest::collection::vec(proptest::num::u8::ANY, 0..4)
        ) {
            let mut raw = br#"{"claim":"00ff-0-1-2","id":"j","attempt":3,"redelivered":2,"later":1,"run_at":"x","queue":"q","payload":"a\"\u0000"}"#.to_vec();
            let at = at.min(raw.len());
            let end = (at + cut).min(raw.len());
            raw.splice(at..end, with);
            let record = WorkingRecord::parse(&WorkerName::parse("x:1:*"), Bytes::from(raw));
            proptest::prop_assert_eq!(record.claim.is_some(), record.identity.is_some());
        }
    }
}
