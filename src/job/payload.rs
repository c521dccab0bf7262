//! A job's payload, `{"class","queue","args"}`, as Resque programs write it.
//!
//! Bytes read from a store are opaque and are never re-encoded; this is only a view on them.
//! Bytes that we create are exactly what node-resque would write (`ecma`).

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::ecma::{self, EcmaError};

/// A view of the bytes of a payload. Unknown members are skipped and stay in the bytes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PayloadView<'a> {
    /// The class of the payload: the name of the task.
    pub class: Cow<'a, str>,
    /// The queue the payload names, if any. Only delayed jobs are routed by it; a job that was
    /// popped belongs to the list it came from.
    pub queue: Option<Cow<'a, str>>,
    /// The occurrence of the schedule that enqueued the job, if any.
    pub scheduled_at: Option<Cow<'a, str>>,
    args: Option<&'a RawValue>,
}

/// Why bytes are not a payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPayload(pub String);

impl<'a> PayloadView<'a> {
    /// Parses a payload.
    ///
    /// # Errors
    /// Says what is wrong with anything that is not a JSON object with a string `class`, is not
    /// UTF-8, or is nested deeper than [`ecma::MAX_DEPTH`].
    pub fn parse(raw: &'a [u8]) -> Result<Self, BadPayload> {
        let text = std::str::from_utf8(raw).map_err(|error| BadPayload(format!("payload is not UTF-8: {error}")))?;
        let mut reader = serde_json::Deserializer::from_str(text);
        let view = reader
            .deserialize_any(ViewVisitor)
            .and_then(|view| reader.end().map(|()| view))
            .map_err(|error| BadPayload(format!("payload is not a job: {error}")))?;
        if raw.len() > ecma::MAX_DEPTH && ecma::depth(raw) > ecma::MAX_DEPTH {
            return Err(BadPayload(format!("payload is not a job: {}", EcmaError::TooDeep)));
        }
        Ok(view)
    }

    /// The raw arguments, if there are any.
    #[must_use]
    pub fn raw_args(&self) -> Option<&'a str> {
        self.args.map(RawValue::get)
    }

    /// The arguments as one JSON array, as the producer wrote them. Like node-resque, anything
    /// but an array counts as one argument, and missing arguments as none; `null` is what
    /// goworker writes for none.
    #[must_use]
    pub fn args(&self) -> Cow<'a, str> {
        match self.args.map(RawValue::get) {
            None | Some("null") => Cow::Borrowed("[]"),
            Some(array) if array.starts_with('[') => Cow::Borrowed(array),
            Some(one) => Cow::Owned(format!("[{one}]")),
        }
    }
}

struct ViewVisitor;

impl<'de> Visitor<'de> for ViewVisitor {
    type Value = PayloadView<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a string \"class\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut class, mut queue, mut args, mut scheduled_at) = (None, None, None, None);
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            // As in ECMAScript, the last of two equal members counts.
            match &*key {
                "class" => class = Some(map.next_value::<Text<'de>>()?.0),
                // A queue that is not a string is ignored; the job is not refused.
                "queue" => {
                    let raw = map.next_value::<&'de RawValue>()?;
                    queue = serde_json::from_str::<Text<'de>>(raw.get()).ok().map(|text| text.0);
                }
                "scheduled_at" => {
                    let raw = map.next_value::<&'de RawValue>()?;
                    scheduled_at = serde_json::from_str::<Text<'de>>(raw.get()).ok().map(|text| text.0);
                }
                "args" => args = Some(map.next_value::<&'de RawValue>()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let class = class.ok_or_else(|| A::Error::missing_field("class"))?;
        Ok(PayloadView { class, queue, scheduled_at, args })
    }
}

/// A string that is borrowed unless it has escapes.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// A job's arguments: one JSON array in canonical form.
#[derive(Clone, PartialEq, Eq)]
pub struct Args(String);

impl Args {
    /// The arguments that a periodic task's job may have: ours first, then ActionHero's. All mean "no arguments" there.
    pub const PERIODIC: [&'static str; 3] = ["[{}]", "[null]", "[]"];

    /// Each of [`PERIODIC`](Self::PERIODIC).
    #[must_use]
    pub fn all_periodic() -> [Self; 3] {
        Self::PERIODIC.map(|args| Self(args.to_owned()))
    }

    /// Are these arguments of a periodic task's job?
    #[must_use]
    pub fn are_periodic(&self) -> bool {
        Self::PERIODIC.contains(&self.as_str())
    }

    /// No arguments, `[]`.
    #[must_use]
    pub fn none() -> Self {
        Self("[]".to_owned())
    }

    /// The arguments of a periodic task, `[{}]`: one empty set of inputs.
    #[must_use]
    pub fn periodic() -> Self {
        Self("[{}]".to_owned())
    }

    /// Reads arguments from JSON text; anything but an array becomes one argument.
    ///
    /// # Errors
    /// Says where the text stops being JSON.
    pub fn from_json(text: &str) -> Result<Self, EcmaError> {
        let canonical = ecma::canonical(text)?;
        Ok(Self(if canonical.starts_with('[') { canonical } else { format!("[{canonical}]") }))
    }

    /// The canonical form of a payload's arguments, as lock keys need it.
    ///
    /// # Errors
    /// As [`from_json`](Self::from_json); a payload that was parsed gives none.
    pub fn of(payload: &PayloadView<'_>) -> Result<Self, EcmaError> {
        Self::from_json(&payload.args())
    }

    /// The array's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The bytes of a job, exactly as node-resque would write them.
#[must_use]
pub fn encode(class: &str, queue: &str, args: &Args) -> Bytes {
    Bytes::from(format!(
        "{{\"class\":{},\"queue\":{},\"args\":{}}}",
        ecma::quote(class),
        ecma::quote(queue),
        args.as_str()
    ))
}

/// The bytes of a job that a schedule enqueues: those of [`encode`] with the occurrence (RFC 3339) as the last member.
/// Other programs skip unknown members.
#[must_use]
pub fn encode_scheduled(class: &str, queue: &str, args: &Args, scheduled_at: &str) -> Bytes {
    Bytes::from(format!(
        "{{\"class\":{},\"queue\":{},\"args\":{},\"scheduled_at\":{}}}",
        ecma::quote(class),
        ecma::quote(queue),
        args.as_str(),
        ecma::quote(scheduled_at)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(raw: &str) -> String {
        PayloadView::parse(raw.as_bytes()).unwrap().args().into_owned()
    }

    #[test]
    fn we_write_what_node_resque_writes() {
        let bytes = encode("add", "math", &Args::from_json("[1,2]").unwrap());
        assert_eq!(&bytes[..], br#"{"class":"add","queue":"math","args":[1,2]}"#);
        assert_eq!(Args::from_json("\"one\"").unwrap().as_str(), "[\"one\"]");
    }

    #[test]
    fn payloads_of_every_producer_are_read() {
        let ruby = PayloadView::parse(br#"{"class":"Add","args":[1,2]}"#).unwrap();
        assert_eq!((&*ruby.class, ruby.queue.as_deref()), ("Add", None));
        let twice = PayloadView::parse(br#"{"class":"a","cl\u0061ss":"b","queue":"q","extra":{"x":1}}"#).unwrap();
        assert_eq!((&*twice.class, twice.queue.as_deref()), ("b", Some("q")));
        assert_eq!(args(r#"{"class":"x"}"#), "[]");
        assert_eq!(args(r#"{"class":"x","args":null}"#), "[]");
        assert_eq!(args(r#"{"class":"x","args":{}}"#), "[{}]");
        assert_eq!(args(r#"{"class":"x","args":"s"}"#), "[\"s\"]");
        assert_eq!(args(r#"{"class":"x","queue":7,"args":[1.0,"\ud83d"]}"#), r#"[1.0,"\ud83d"]"#);
    }

    #[test]
    fn broken_payloads_are_refused_and_say_why() {
        let deep = format!(r#"{{"class":"x","args":{}{}}}"#, "[".repeat(1100), "]".repeat(1100));
        for bad in
            ["", "{bad", "null", "\"str\"", "[1,2]", r#"{"args":[]}"#, r#"{"class":1}"#, r#"{"class":"x"} y"#, &deep]
        {
            let error = PayloadView::parse(bad.as_bytes()).unwrap_err();
            assert!(error.0.starts_with("payload is not"), "{error}");
        }
        assert!(PayloadView::parse(b"{\"class\":\"\xff\"}").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reader(raw in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            if let Ok(view) = PayloadView::parse(&raw) {
                let _ = Args::of(&view);
            }
        }

        #[test]
        fn no_text_breaks_the_reader(text in "(\\{|\\}|\\[|\\]|,|:|\"class\"|\"queue\"|\"args\"|null|-?[0-9]{1,25}|\"\\\\u[d8][0-9a-f]{3}\"|\\PC){0,24}") {
            if let Ok(view) = PayloadView::parse(text.as_bytes()) {
                let _ = Args::of(&view);
            }
        }
    }
}
