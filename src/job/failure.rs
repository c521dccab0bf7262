//! Failures, and the record of one in the `failed` list.
//!
//! The record is node-resque's, key for key: worker, queue, payload, exception, error, backtrace,
//! failed_at. resque-web demands a string worker, a string failed_at and an array backtrace.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::DateTime;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::ecma::quote;
use super::identity::Identity;
use super::payload::PayloadView;

/// How the error of a job begins that no task had the name of, as node-resque words it.
const UNKNOWN_CLASS: &str = "No job defined for class \"";

/// The second backtrace line of a stuck job. node-resque's `retryStuckJobs` recognises it.
pub const STUCK_MARKER: &str = "queue#forceCleanWorker";

/// The third backtrace line of a stuck job that Windlass recorded; node-resque writes its own name there.
pub const STUCK_BY_US: &str = "windlass";

/// The class in the record of bytes that are not a job. node-resque has no name for this case.
pub const UNPARSEABLE: &str = "(unparseable)";

/// The former name of [`UNPARSEABLE`]. resque-web took it for a tag and did not show it.
const UNPARSEABLE_BEFORE: &str = "<unparseable>";

/// The run that failed.
#[derive(Debug, Clone, Copy)]
pub struct FailedRun<'a> {
    /// The identity of the job.
    pub identity: &'a Identity,
    /// How long it ran, in milliseconds, if that is known.
    pub ms: Option<u64>,
    /// Somebody cancelled it.
    pub cancelled: bool,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The error's class, such as `Error` or `Timeout`.
    pub exception: String,
    /// The error's message.
    pub error: String,
    /// The backtrace, line by line.
    pub backtrace: Vec<String>,
    /// A process of the run was killed by SIGKILL, and it is not known who sent it. It may have been another instance that
    /// took this one for dead.
    pub killed: bool,
}

impl Failure {
    /// A failure without backtrace.
    #[must_use]
    pub fn new(exception: impl Into<String>, error: impl Into<String>) -> Self {
        Self { exception: exception.into(), error: error.into(), backtrace: Vec::new(), killed: false }
    }

    /// The same failure, of a process that somebody may have killed.
    #[must_use]
    pub fn killed_if(self, killed: bool) -> Self {
        Self { killed, ..self }
    }

    /// The same failure with this backtrace, line by line.
    #[must_use]
    pub fn with_backtrace(self, backtrace: Vec<String>) -> Self {
        Self { backtrace, ..self }
    }

    /// The failure of a job whose class is unknown here, worded like node-resque's.
    #[must_use]
    pub fn unknown_class(class: &str) -> Self {
        Self::new("Error", format!("{UNKNOWN_CLASS}{class}\""))
    }

    /// The failure of a job whose worker vanished, with node-resque's words and marker.
    #[must_use]
    pub fn stuck(host: &str, now_ms: i64) -> Self {
        const WORDS: &str = "Worker Timeout (killed manually)";
        Self {
            exception: WORDS.to_owned(),
            error: WORDS.to_owned(),
            backtrace: vec![
                format!("killed by {host} at {}", js_date(now_ms)),
                STUCK_MARKER.to_owned(),
                STUCK_BY_US.to_owned(),
            ],
            killed: false,
        }
    }

    /// The bytes of the record for a job without a known run. `worker` is the name without queues; `payload` are the
    /// job's bytes, which go in verbatim if they are an object, and as text under [`UNPARSEABLE`] if not. White space around an
    /// object is lost when the record is read.
    #[must_use]
    pub fn record(&self, worker: &str, queue: &str, payload: &[u8], now_ms: i64) -> Bytes {
        self.write(worker, queue, payload, now_ms, "")
    }

    /// The bytes that [`record`](Self::record) writes, with the failed run as the last member. That member has only
    /// ASCII and integers, so that JavaScript rewrites it byte for byte.
    #[must_use]
    pub fn record_of(&self, run: FailedRun<'_>, worker: &str, queue: &str, payload: &[u8], now_ms: i64) -> Bytes {
        let FailedRun { identity: Identity { id, attempt, redelivered, .. }, ms, cancelled } = run;
        let ms = ms.map_or_else(String::new, |ms| format!(",\"ms\":{ms}"));
        let cancelled = if cancelled { ",\"cancelled\":1" } else { "" };
        let id = quote(id);
        let run =
            format!(",\"windlass\":{{\"id\":{id},\"attempt\":{attempt},\"redelivered\":{redelivered}{ms}{cancelled}}}");
        self.write(worker, queue, payload, now_ms, &run)
    }

    fn write(&self, worker: &str, queue: &str, payload: &[u8], now_ms: i64, run: &str) -> Bytes {
        let (payload, hex) = match (std::str::from_utf8(payload), PayloadView::parse(payload)) {
            (Ok(text), Ok(_)) => (Cow::Borrowed(text), None),
            (Ok(text), Err(_)) => (wrap(text), None),
            // JSON cannot contain bytes that are not UTF-8: the record has the readable part as text and the exact
            // bytes as hex.
            (Err(_), _) => (wrap(&String::from_utf8_lossy(payload)), Some(hex(payload))),
        };
        let backtrace: Vec<String> = self.backtrace.iter().map(|line| quote(line)).collect();
        let hex = hex.map_or_else(String::new, |hex| format!(",\"payload_hex\":\"{hex}\""));
        Bytes::from(format!(
            "{{\"worker\":{},\"queue\":{},\"payload\":{payload},\"exception\":{},\"error\":{},\"backtrace\":[{}],\"failed_at\":{}{hex}{run}}}",
            quote(worker),
            quote(queue),
            quote(&self.exception),
            quote(&self.error),
            backtrace.join(","),
            quote(&js_date(now_ms)),
        ))
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.exception, self.error)
    }
}

fn wrap(text: &str) -> Cow<'static, str> {
    Cow::Owned(format!("{{\"class\":\"{UNPARSEABLE}\",\"args\":[{}]}}", quote(text)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A time as JavaScript's `Date.prototype.toString` writes it in UTC.
#[must_use]
pub fn js_date(ms: i64) -> String {
    let date = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    date.format("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)").to_string()
}

/// A time as ISO 8601 in UTC with milliseconds.
#[must_use]
pub fn iso_date(ms: i64) -> String {
    let date = DateTime::from_timestamp_millis(ms).unwrap_or_default();
    date.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A view of a failure record of any program. Members that are missing or have another type read as absent, because a
/// foreign record must not stop a listing.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct FailureView {
    /// The worker that ran the job.
    pub worker: Option<String>,
    /// The queue the job came from.
    pub queue: Option<String>,
    /// The job's bytes as they stood in the queue, if the record holds a job.
    pub payload: Option<Bytes>,
    /// The error's class.
    pub exception: Option<String>,
    /// The error's message.
    pub error: Option<String>,
    /// The lines of the backtrace that are strings.
    pub backtrace: Vec<String>,
    /// When it failed, in the writer's format.
    pub failed_at: Option<String>,
    /// When resque-web retried it, if it did.
    pub retried_at: Option<String>,
    /// The identity of the job and the number of the failed run, if Windlass wrote the record.
    pub identity: Option<Identity>,
    /// How long that run was, in milliseconds.
    pub ms: Option<u64>,
    /// Did somebody cancel that run? A job's own exception may have any name, so that its name does not tell.
    pub cancelled: bool,
}

impl FailureView {
    /// Reads a record; bytes that are not a JSON object read as a record without members.
    #[must_use]
    pub fn parse(record: &[u8]) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct RecordMembers<'a> {
            #[serde(borrow)]
            worker: Option<&'a RawValue>,
            #[serde(borrow)]
            queue: Option<&'a RawValue>,
            #[serde(borrow)]
            payload: Option<&'a RawValue>,
            #[serde(borrow)]
            payload_hex: Option<&'a RawValue>,
            #[serde(borrow)]
            exception: Option<&'a RawValue>,
            #[serde(borrow)]
            error: Option<&'a RawValue>,
            #[serde(borrow)]
            backtrace: Option<&'a RawValue>,
            #[serde(borrow)]
            failed_at: Option<&'a RawValue>,
            #[serde(borrow)]
            retried_at: Option<&'a RawValue>,
            #[serde(borrow)]
            windlass: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct RunMember {
            id: String,
            attempt: u32,
            #[serde(default)]
            redelivered: u32,
            #[serde(default)]
            ms: Option<u64>,
            #[serde(default)]
            cancelled: u8,
        }
        let members: RecordMembers<'_> = serde_json::from_slice(record).unwrap_or_default();
        let text = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let run = members.windlass.and_then(|raw| serde_json::from_str::<RunMember>(raw.get()).ok());
        let payload = text(members.payload_hex)
            .and_then(|hex| unhex(&hex))
            .or_else(|| members.payload.map(|raw| original(raw.get())));
        Self {
            worker: text(members.worker),
            queue: text(members.queue),
            payload,
            exception: text(members.exception),
            error: text(members.error),
            backtrace: members
                .backtrace
                .and_then(|raw| serde_json::from_str::<Vec<serde_json::Value>>(raw.get()).ok())
                .unwrap_or_default()
                .into_iter()
                .filter_map(|line| line.as_str().map(str::to_owned))
                .collect(),
            failed_at: text(members.failed_at),
            retried_at: text(members.retried_at),
            identity: run.as_ref().and_then(|run| Identity::from_record(&run.id, run.attempt, run.redelivered)),
            ms: run.as_ref().and_then(|run| run.ms),
            cancelled: run.is_some_and(|run| run.cancelled == 1),
        }
    }

    /// Did it fail because no task had its name?
    #[must_use]
    pub fn is_unknown_class(&self) -> bool {
        let class = |error: &str| error.strip_prefix(UNKNOWN_CLASS).is_some_and(|class| class.ends_with('"'));
        self.error.as_deref().is_some_and(class)
    }

    /// Did its worker vanish during the run?
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.backtrace.get(1).is_some_and(|line| line == STUCK_MARKER)
    }
}

/// The original bytes of the job in the queue; a wrapped text is unwrapped.
fn original(payload: &str) -> Bytes {
    #[derive(Deserialize)]
    struct WrappedPayload {
        class: String,
        args: (String,),
    }
    match serde_json::from_str::<WrappedPayload>(payload) {
        Ok(wrapped) if [UNPARSEABLE, UNPARSEABLE_BEFORE].contains(&wrapped.class.as_str()) => {
            Bytes::from(wrapped.args.0)
        }
        _ => Bytes::copy_from_slice(payload.as_bytes()),
    }
}

fn unhex(hex: &str) -> Option<Bytes> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |byte: u8| char::from(byte).to_digit(16);
    let pairs =
        digits.chunks_exact(2).map(|pair| Some(u8::try_from(nibble(pair[0])? * 16 + nibble(pair[1])?).unwrap_or(0)));
    pairs.collect::<Option<Vec<u8>>>().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHEN: i64 = 1_795_490_778_000;

    #[test]
    fn a_record_is_node_resques_byte_for_byte() {
        let failure = Failure {
            exception: "TypeError".into(),
            error: "bad \"thing\"".into(),
            backtrace: vec!["    at x".into()],
            killed: false,
        };
        let record = failure.record("vm:11800", "math", br#"{"class":"boom","queue":"math","args":[1.0]}"#, WHEN);
        assert_eq!(
            std::str::from_utf8(&record).unwrap(),
            r#"{"worker":"vm:11800","queue":"math","payload":{"class":"boom","queue":"math","args":[1.0]},"exception":"TypeError","error":"bad \"thing\"","backtrace":["    at x"],"failed_at":"Tue Nov 24 2026 03:26:18 GMT+0000 (Coordinated Universal Time)"}"#
        );
    }

    #[test]
    fn the_failed_run_is_the_last_member_and_is_read_back() {
        let identity = Identity::from_record("00ff-0-1-2", 2, 1).unwrap();
        let run = |ms| FailedRun { identity: &identity, ms, cancelled: false };
        let failure = Failure::new("Error", "x");
        let record = failure.record_of(run(Some(812)), "w:1", "q", b"{bad", WHEN);
        let text = std::str::from_utf8(&record).unwrap();
        let last = r#","windlass":{"id":"00ff-0-1-2","attempt":2,"redelivered":1,"ms":812}}"#;
        assert!(text.ends_with(last), "{text}");
        assert_eq!(crate::job::ecma::canonical(text).unwrap(), text, "JavaScript must write it again as it is");
        let view = FailureView::parse(&record);
        assert_eq!((view.identity, view.ms, view.cancelled), (Some(identity.clone()), Some(812), false));
        let cancelled = failure.record_of(FailedRun { cancelled: true, ..run(None) }, "w:1", "q", b"{}", WHEN);
        let text = std::str::from_utf8(&cancelled).unwrap();
        assert_eq!(crate::job::ecma::canonical(text).unwrap(), text, "JavaScript must write it again as it is");
        assert!(FailureView::parse(&cancelled).cancelled, "{text}");
        let unknown = failure.record_of(run(None), "w:1", "q", b"{}", WHEN);
        assert!(unknown.ends_with(br#""redelivered":1}}"#));
        assert_eq!(FailureView::parse(&unknown).identity, Some(identity));
    }

    #[test]
    fn what_is_no_run_is_passed_over() {
        for run in ["7", "null", "{}", r#"{"id":"a b","attempt":1}"#, r#"{"id":"","attempt":1}"#, r#"{"id":"a"}"#] {
            let view = FailureView::parse(format!(r#"{{"worker":"w","windlass":{run}}}"#).as_bytes());
            assert_eq!((view.worker.as_deref(), view.identity, view.ms), (Some("w"), None, None), "{run}");
        }
    }

    #[test]
    fn whatever_stood_in_the_queue_can_be_taken_back_out_of_its_record() {
        for raw in
            [&b"{bad"[..], b"null", b"\"str\"", b"[1,2]", b"", b"\xff\xfe{", br#"{"class":"x","args":["\ud83d",1.0]}"#]
        {
            let record = Failure::new("Error", "no job").record("w:1", "q", raw, WHEN);
            assert!(serde_json::from_slice::<&RawValue>(&record).is_ok());
            assert_eq!(FailureView::parse(&record).payload.as_deref(), Some(raw));
        }
    }

    #[test]
    fn records_of_strangers_are_read_as_far_as_they_go() {
        let go = FailureView::parse(br#"{"failed_at":"x","payload":null,"backtrace":null,"worker":"w","queue":7}"#);
        assert_eq!((go.worker.as_deref(), go.queue, go.backtrace.len()), (Some("w"), None, 0));
        assert!(FailureView::parse(b"not json").worker.is_none());
        let before = FailureView::parse(br#"{"payload":{"class":"<unparseable>","args":["{bad"]}}"#);
        assert_eq!(before.payload.as_deref(), Some(&b"{bad"[..]));
        assert!(FailureView::parse(&Failure::stuck("h", WHEN).record("w", "q", b"{}", WHEN)).is_stuck());
        assert_eq!(iso_date(WHEN), "2026-11-24T03:26:18.000Z");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reader(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let view = FailureView::parse(&raw);
            let _ = (view.is_stuck(), view.may_be_distorted());
        }

        #[test]
        fn no_text_breaks_the_reader(text in "(\\{|\\}|\\[|\\]|,|:|\"payload\"|\"windlass\"|\"class\"|\"args\"|\"worker\"|\"error\"|\"backtrace\"|\"<unparseable>\"|null|-?[0-9]{1,25}|\"\\\\u[d8][0-9a-f]{3}\"|\\PC){0,24}") {
            let view = FailureView::parse(text.as_bytes());
            let _ = (view.is_stuck(), view.may_be_distorted());
        }
    }
}
