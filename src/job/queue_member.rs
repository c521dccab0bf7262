//! Writes the queue into the payload of a job that is delayed, so that the job returns to that queue.
//!
//! A delayed job is routed by its payload alone. Ruby's and Go's jobs name no queue, and a payload may name another
//! queue than the list from which the job was claimed. Every promoter reads `queue` as a member of the payload:
//! node-resque, resque-scheduler and Windlass.

use bytes::Bytes;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::ecma::quote;
use super::payload::{PayloadView, Text};

/// The payload with this queue as its `queue` member. A payload that already names the queue is unchanged. Another
/// value of `queue` is replaced; a missing member is inserted after `class`, where node-resque writes it. All other
/// bytes are unchanged. Bytes that are not a job are unchanged as well.
#[must_use]
pub fn with_queue(payload: &Bytes, queue: &str) -> Bytes {
    let Some(members) = PayloadView::parse(payload).ok().and_then(|_| QueueMembers::read(payload)) else {
        return payload.clone();
    };
    if !members.queues.is_empty() && members.queues.iter().all(|found| found.value.as_deref() == Some(queue)) {
        return payload.clone();
    }
    let quoted = quote(queue);
    let mut out = Vec::with_capacity(payload.len() + quoted.len() + 9);
    if members.queues.is_empty() {
        let (before, after) = payload.split_at(members.class_end);
        for part in [before, b",\"queue\":", quoted.as_bytes(), after] {
            out.extend_from_slice(part);
        }
        return Bytes::from(out);
    }
    let mut at = 0;
    // Some readers take the first of two equal members and others the last, so all of them get the queue.
    for found in members.queues {
        out.extend_from_slice(&payload[at..found.start]);
        out.extend_from_slice(quoted.as_bytes());
        at = found.end;
    }
    out.extend_from_slice(&payload[at..]);
    Bytes::from(out)
}

/// The positions of the members of a payload that matter here.
struct QueueMembers {
    /// The end of the last `class`.
    class_end: usize,
    /// The values of `queue`, in order.
    queues: Vec<ValueSpan>,
}

/// The start and end of a value, and its text if it is a string.
struct ValueSpan {
    start: usize,
    end: usize,
    value: Option<String>,
}

impl QueueMembers {
    fn read(payload: &[u8]) -> Option<Self> {
        struct Reader(usize);
        impl<'de> Visitor<'de> for Reader {
            type Value = QueueMembers;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                // A raw value borrows from the text, so its address gives its position.
                let place = |raw: &RawValue| {
                    let start = raw.get().as_ptr() as usize - self.0;
                    (start, start + raw.get().len())
                };
                let mut members = QueueMembers { class_end: 0, queues: Vec::new() };
                while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
                    match &*key {
                        "class" => members.class_end = place(map.next_value::<&'de RawValue>()?).1,
                        "queue" => {
                            let raw = map.next_value::<&'de RawValue>()?;
                            let (start, end) = place(raw);
                            members.queues.push(ValueSpan { start, end, value: serde_json::from_str(raw.get()).ok() });
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(members)
            }
        }
        let text = std::str::from_utf8(payload).ok()?;
        serde_json::Deserializer::from_str(text).deserialize_map(Reader(text.as_ptr() as usize)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(payload: &str) -> String {
        String::from_utf8(with_queue(&Bytes::copy_from_slice(payload.as_bytes()), "math").to_vec()).unwrap()
    }

    #[test]
    fn a_payload_without_queue_becomes_node_resques() {
        assert_eq!(named(r#"{"class":"rt","args":["x"]}"#), r#"{"class":"rt","queue":"math","args":["x"]}"#);
        assert_eq!(named(r#"{"class":"rt"}"#), r#"{"class":"rt","queue":"math"}"#);
        assert_eq!(named(r#"{"args":[1.0],"class":"rt"}"#), r#"{"args":[1.0],"class":"rt","queue":"math"}"#);
        assert_eq!(
            named("{ \"class\" :\t\"a\\u0062\" , \"args\": [ 1 ] }\n"),
            "{ \"class\" :\t\"a\\u0062\",\"queue\":\"math\" , \"args\": [ 1 ] }\n"
        );
        assert_eq!(
            named(r#"{"class":"a","class":"b","args":null,"id":"x"}"#),
            r#"{"class":"a","class":"b","queue":"math","args":null,"id":"x"}"#
        );
        // Members of an argument are not members of the payload.
        assert_eq!(
            named(r#"{"args":[{"class":"c","queue":"q"}],"class":"rt"}"#),
            r#"{"args":[{"class":"c","queue":"q"}],"class":"rt","queue":"math"}"#
        );
    }

    #[test]
    fn whatever_the_payload_names_instead_is_replaced() {
        for other in ["\"other\"", "null", "\"\"", "7", "[\"math\"]", "{\"a\":1}", "\"\\ud83d\"", "\"Math\""] {
            let payload = format!(r#"{{"class":"rt","args":[1.0],"queue": {other} ,"more":true}}"#);
            assert_eq!(named(&payload), r#"{"class":"rt","args":[1.0],"queue": "math" ,"more":true}"#, "{other}");
        }
        assert_eq!(
            named(r#"{"queue":"a","class":"rt","qu\u0065ue":null}"#),
            r#"{"queue":"math","class":"rt","qu\u0065ue":"math"}"#
        );
    }

    #[test]
    fn a_payload_that_names_the_queue_and_bytes_that_are_no_job_stay() {
        for stays in [
            r#"{"class":"rt","queue":"math","args":["\ud83d",1.0]}"#,
            r#"{"class":"rt","args":[],"queue":"math"}"#,
            r#"{"class":"rt","queue":"m\u0061th","queue":"math"}"#,
            "{bad",
            "null",
            "[1]",
            "",
            r#"{"args":[]}"#,
            r#"{"class":"x"} y"#,
        ] {
            assert_eq!(named(stays), stays);
        }
        let bytes = Bytes::from_static(b"{\"class\":\"\xff\"}");
        assert_eq!(with_queue(&bytes, "math"), bytes);
        let quoted = with_queue(&Bytes::from_static(br#"{"class":"a"}"#), "a\"\\\n\u{e9}");
        assert_eq!(quoted, r#"{"class":"a","queue":"a\"\\\né"}"#);
        assert_eq!(PayloadView::parse(&quoted).unwrap().queue.as_deref(), Some("a\"\\\n\u{e9}"));
    }
}
