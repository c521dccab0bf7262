//! The protocol on the pipes: JSON-RPC 2.0, one message per line.
//!
//! ```text
//!   child   {"jsonrpc":"2.0","method":"ready","params":{"depth":4}}
//!   daemon  {"jsonrpc":"2.0","id":7,"method":"perform","params":{the job}}
//!   daemon  {"jsonrpc":"2.0","method":"cancel","params":{"id":7}}
//!   child   {"jsonrpc":"2.0","method":"progress","params":{"id":7,"percent":40,"message":"copying"}}
//!   child   {"jsonrpc":"2.0","id":7,"result":null}
//!   child   {"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"...","data":{...}}}
//! ```
//!
//! A child is the user's program and may write anything. The error for any other line says what was expected.

use std::fmt::Display;
use std::io::Write as _;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::config::element::duration::MAX_DURATION;
use crate::handler::contract::Invocation;
use crate::handler::job_line;
use crate::job::{Failure, Progress};

/// How many lines of a backtrace are kept.
const BACKTRACE_LINES: usize = 128;
/// How much is kept of a message, or of one line of a backtrace, in bytes.
const TEXT_CAP: usize = 16 * 1024;
/// How much of a line that is not a message is shown.
const SHOWN: usize = 80;
/// The exception of an error without one.
const EXCEPTION: &str = "Error";

/// A message of a child.
#[derive(Debug, PartialEq)]
pub(crate) enum Message {
    /// It takes requests from now on. `depth` limits how many at once.
    Ready { depth: Option<usize> },
    /// The response to the request of this id.
    Response { id: u64, response: Response },
    /// How far the job of this request is; nothing if that cannot be read.
    Progress { id: u64, progress: Option<Progress> },
}

/// How a job ended, as the child reports it.
#[derive(Debug, PartialEq)]
pub(crate) enum Response {
    /// Done.
    Result(Option<String>),
    /// The job should run again later, after this delay if one is given.
    Later(Option<Duration>),
    /// Failed.
    Error(Failure),
}

/// Appends the request to perform a job.
pub(super) fn perform(out: &mut Vec<u8>, id: u64, job: &Invocation) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"perform\",\"params\":");
    job_line::append_traced(out, job);
    out.extend_from_slice(b"}\n");
}

/// Appends the notification that asks the child to cancel a job.
pub(super) fn cancel(out: &mut Vec<u8>, id: u64) {
    let _ = writeln!(out, "{{\"jsonrpc\":\"2.0\",\"method\":\"cancel\",\"params\":{{\"id\":{id}}}}}");
}

/// The members of any message.
#[derive(Deserialize)]
struct MessageMembers<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// `null` is a value too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct ReadyParams {
    #[serde(default)]
    depth: Option<usize>,
}

#[derive(Deserialize)]
struct ErrorMembers<'a> {
    message: String,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// The members of an error's `data` that have a meaning. The child may put anything else beside them.
#[derive(Deserialize, Default)]
struct ErrorData<'a> {
    #[serde(borrow, default)]
    exception: Option<&'a RawValue>,
    #[serde(borrow, default)]
    backtrace: Option<&'a RawValue>,
    #[serde(borrow, default)]
    retry_later: Option<&'a RawValue>,
}

/// Is an object that is no message meant as one, although it does not say `"jsonrpc"`? Logs are often objects, too.
pub(super) fn is_meant(line: &[u8]) -> bool {
    serde_json::from_slice::<MessageMembers<'_>>(line).is_ok_and(|members| {
        let is_answer = members.id.is_some() && (members.result.is_some() || members.error.is_some());
        is_answer || members.method.is_some_and(|method| method.get() == "\"ready\"")
    })
}

/// Reads a message.
///
/// # Errors
/// Says what was expected and what was found.
pub(crate) fn parse(line: &[u8]) -> Result<Message, String> {
    let no_object = |why: &dyn Display| format!("expected one JSON object a line, found {} ({why})", shown(line));
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(no_object(&"text that is no message belongs on stderr"));
    }
    let members: MessageMembers<'_> = serde_json::from_slice(line).map_err(|error| no_object(&error))?;
    if members.jsonrpc.is_none_or(|version| version.get() != "\"2.0\"") {
        return Err(format!("expected \"jsonrpc\":\"2.0\", found {}", shown(line)));
    }
    if let Some(method) = members.method {
        return match method.get() {
            "\"ready\"" if members.id.is_none() => ready(members.params),
            "\"progress\"" if members.id.is_none() => Ok(progress(members.params)),
            _ => {
                Err(format!("expected an answer or the notification \"ready\" or \"progress\", found {}", shown(line)))
            }
        };
    }
    let id = members.id.and_then(|id| id.get().parse().ok());
    let id = id.ok_or_else(|| format!("expected the \"id\" of a request, found {}", shown(line)))?;
    let response = match (members.result, members.error) {
        (Some(result), None) => Response::Result(text(result)),
        (None, Some(error)) => failure(error)?,
        _ => return Err(format!("expected \"result\" or \"error\", one of both, found {}", shown(line))),
    };
    Ok(Message::Response { id, response })
}

/// Reads an object. Serde would also take an array as the members' values in order.
fn object<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    let object = Some(raw.get()).filter(|json| json.starts_with('{'));
    object.and_then(|json| serde_json::from_str(json).ok())
}

fn ready(params: Option<&RawValue>) -> Result<Message, String> {
    let Some(params) = params else { return Ok(Message::Ready { depth: None }) };
    let read = object::<ReadyParams>(params).filter(|params| params.depth != Some(0));
    let params = read.ok_or_else(|| {
        let found = shown(params.get().as_bytes());
        format!(
            "expected \"params\" of \"ready\" to be an object whose \"depth\" is a whole number from 1, found {found}"
        )
    })?;
    Ok(Message::Ready { depth: params.depth })
}

/// What cannot be read is no reason to end the child: it says nothing about how a job ended.
fn progress(params: Option<&RawValue>) -> Message {
    #[derive(Deserialize)]
    struct Params {
        id: u64,
    }
    let id = params.and_then(object::<Params>).map_or(u64::MAX, |params| params.id);
    Message::Progress { id, progress: params.and_then(|params| Progress::told(params.get().as_bytes())) }
}

/// A result as text: a string as it is, `None` for `null`, any other value as JSON.
fn text(result: &RawValue) -> Option<String> {
    match result.get() {
        "null" => None,
        json if json.starts_with('"') => {
            // A lone surrogate is valid JSON, but not valid text.
            Some(serde_json::from_str(json).unwrap_or_else(|_| json.to_owned()))
        }
        json => Some(json.to_owned()),
    }
}

fn failure(error: &RawValue) -> Result<Response, String> {
    let members: ErrorMembers<'_> = object(error).ok_or_else(|| {
        let found = shown(error.get().as_bytes());
        format!("expected \"error\" to be an object with a string \"message\", found {found}")
    })?;
    // `data` may be any JSON value; only an object is read.
    let data: ErrorData<'_> = members.data.and_then(object).unwrap_or_default();
    let string = |raw: &RawValue| serde_json::from_str::<String>(raw.get()).ok();
    let mut failure = Failure {
        exception: data.exception.and_then(string).filter(|name| !name.is_empty()).unwrap_or(EXCEPTION.to_owned()),
        error: members.message,
        backtrace: data.backtrace.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default(),
        killed: false,
    };
    match data.retry_later.map(|later| (later.get(), later_of(later))) {
        None | Some(("false" | "null", _)) => {}
        Some(("true", _)) => return Ok(Response::Later(None)),
        Some((_, Some(delay))) => return Ok(Response::Later(Some(delay))),
        Some((json, None)) => {
            let found = shown(json.as_bytes());
            failure.error = format!(
                "expected retry_later to be true, milliseconds or a duration such as \"30s\" (at most 10 years), found {found}: {}",
                failure.error
            );
        }
    }
    for text in [&mut failure.exception, &mut failure.error].into_iter().chain(&mut failure.backtrace) {
        shorten(text);
    }
    failure.backtrace.truncate(BACKTRACE_LINES);
    Ok(Response::Error(failure))
}

/// A delay in the forms of `retry_later` in a task file: at least a millisecond, and at most what the configuration
/// allows.
fn later_of(raw: &RawValue) -> Option<Duration> {
    let delay = if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
        humantime::parse_duration(text.trim()).ok()?
    } else {
        let ms: f64 = serde_json::from_str(raw.get()).ok()?;
        Duration::try_from_secs_f64(ms / 1000.0).ok()?
    };
    (delay <= MAX_DURATION).then(|| delay.max(Duration::from_millis(1)))
}

fn shorten(text: &mut String) {
    if text.len() > TEXT_CAP {
        text.truncate(text.floor_char_boundary(TEXT_CAP));
        text.push_str("...");
    }
}

/// The beginning of a line, for messages.
pub(super) fn shown(line: &[u8]) -> String {
    let beginning = String::from_utf8_lossy(line.get(..SHOWN).unwrap_or(line));
    format!("{:?}{}", beginning.trim_end(), if line.len() > SHOWN { "..." } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::fixture::invocation;

    fn read(line: &str) -> Result<Message, String> {
        parse(line.as_bytes())
    }

    fn response(rest: &str) -> Response {
        match read(&format!("{{\"jsonrpc\":\"2.0\",\"id\":7,{rest}}}")) {
            Ok(Message::Response { id: 7, response }) => response,
            other => panic!("{other:?}"),
        }
    }

    fn error(data: &str) -> Response {
        response(&format!("\"error\":{{\"code\":1,\"message\":\"boom\",\"data\":{data}}}"))
    }

    #[test]
    fn requests_are_a_line_each() {
        let mut out = Vec::new();
        perform(&mut out, 7, &invocation("[1,\n2]"));
        cancel(&mut out, 7);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            r#"{"jsonrpc":"2.0","id":7,"method":"perform","params":{"id":"00ff-1-7-3","claim":"00ff-1-7-3","task":"test","queue":"mail","args":[1, 2],"attempt":1,"redelivered":0}}"#
        );
        assert_eq!(lines[1..], [r#"{"jsonrpc":"2.0","method":"cancel","params":{"id":7}}"#]);
    }

    #[test]
    fn results_are_kept_as_text() {
        for (json, text) in [
            ("null", None),
            (r#""a\nb""#, Some("a\nb")),
            ("1.0", Some("1.0")),
            (r#"{"b":1,"a":[1e400]}"#, Some(r#"{"b":1,"a":[1e400]}"#)),
            (r#""\ud800""#, Some(r#""\ud800""#)),
        ] {
            assert_eq!(response(&format!("\"result\":{json}")), Response::Result(text.map(str::to_owned)), "{json}");
        }
        assert_eq!(response("\"result\":1,\"more\":{}"), Response::Result(Some("1".into())));
        assert_eq!(
            response("\"result\":1,\"error\":null"),
            Response::Result(Some("1".into())),
            "as some libraries write"
        );
    }

    #[test]
    fn errors_are_failures() {
        let full = error(r#"{"exception":"TypeError","backtrace":["a","b"],"more":1}"#);
        let failure = |exception: &str, backtrace: &[&str]| {
            let backtrace = backtrace.iter().map(ToString::to_string).collect();
            Response::Error(Failure::new(exception, "boom").with_backtrace(backtrace))
        };
        assert_eq!(full, failure("TypeError", &["a", "b"]));
        for data in ["null", "1", "\"x\"", "{}", r#"{"exception":1,"backtrace":"x"}"#, r#"{"retry_later":false}"#] {
            assert_eq!(error(data), failure("Error", &[]), "{data}");
        }
        assert_eq!(response(r#""error":{"message":"boom"}"#), failure("Error", &[]));
        let long = error(&format!(r#"{{"backtrace":[{}"x"]}}"#, "\"x\",".repeat(1000)));
        assert!(matches!(long, Response::Error(failure) if failure.backtrace.len() == BACKTRACE_LINES));
        let long = response(&format!(r#""error":{{"message":"{}"}}"#, "ü".repeat(TEXT_CAP)));
        assert!(matches!(long, Response::Error(failure) if failure.error.len() <= TEXT_CAP + 3));
    }

    #[test]
    fn later_is_true_or_a_duration() {
        for (json, ms) in
            [("true", None), ("1500", Some(1500)), ("0.5", Some(1)), ("0", Some(1)), ("\"2m\"", Some(120_000))]
        {
            let delay = error(&format!("{{\"retry_later\":{json}}}"));
            let Response::Later(delay) = delay else { panic!("{json}: {delay:?}") };
            assert_eq!(delay.map(|delay| delay.as_millis()), ms, "{json}");
        }
        for json in ["-1", "\"soon\"", "[]", "1e300", "\"11years\"", "1e12"] {
            let Response::Error(failure) = error(&format!("{{\"retry_later\":{json}}}")) else { panic!("{json}") };
            assert!(failure.error.starts_with("expected retry_later to be true"), "{}", failure.error);
        }
    }

    #[test]
    fn readiness_may_lower_the_depth() {
        let ready = |params: &str| read(&format!("{{\"jsonrpc\":\"2.0\",\"method\":\"ready\"{params}}}"));
        for (params, depth) in [("", None), (",\"params\":{}", None), (",\"params\":{\"depth\":3}", Some(3))] {
            assert_eq!(ready(params), Ok(Message::Ready { depth }));
        }
        for params in [",\"params\":{\"depth\":0}", ",\"params\":{\"depth\":\"3\"}", ",\"params\":[3]", ",\"id\":1"] {
            assert!(ready(params).is_err(), "{params}");
        }
    }

    #[test]
    fn what_is_no_message_is_told_by_what_was_expected() {
        for (line, stderr) in [
            ("hello", "expected one JSON object a line, found \"hello\""),
            ("", "expected one JSON object a line"),
            ("[]", "expected one JSON object a line"),
            ("{\"id\":1,\"result\":1}", "expected \"jsonrpc\":\"2.0\""),
            ("{\"jsonrpc\":\"1.0\",\"id\":1,\"result\":1}", "expected \"jsonrpc\":\"2.0\""),
            ("{\"jsonrpc\":\"2.0\",\"result\":1}", "expected the \"id\""),
            ("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"message\":\"x\"}}", "expected the \"id\""),
            ("{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":1}", "expected the \"id\""),
            ("{\"jsonrpc\":\"2.0\",\"id\":1}", "expected \"result\" or \"error\""),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"error\":{\"message\":\"x\"}}", "expected \"result\" or"),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":\"x\"}", "expected \"error\" to be an object"),
            ("{\"jsonrpc\":\"2.0\",\"method\":\"status\"}", "expected an answer or the notification \"ready\""),
            ("{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"result\":1}", "expected one JSON object"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.starts_with(stderr), "{line}: {error}");
        }
        assert!(parse(b"\xff\xfe").is_err());
        assert!(read(&"x".repeat(1000)).unwrap_err().len() < 300);
    }

    proptest::proptest! {
        #[test]
        fn no_line_breaks_the_reader(line in ".*", rest in "[\\[\\]{}\":,a-z0-9.]{0,40}") {
            let _ = super::super::stray::read(line.as_bytes(), |_| true);
            let _ = read(&line);
            let _ = read(&format!("{{\"jsonrpc\":\"2.0\",{rest}"));
        }
    }
}
