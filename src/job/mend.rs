//! A job with other arguments or another queue. All other members of its bytes stay as they are.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::ecma::quote;
use super::name::QueueName;
use super::payload::{Args, BadPayload, PayloadView, Text};

/// The bytes of a job with these arguments, and for this queue if its bytes name one.
///
/// # Errors
/// If the bytes are no job.
pub fn mended(raw: &[u8], args: Option<&Args>, queue: Option<&QueueName>) -> Result<Bytes, BadPayload> {
    PayloadView::parse(raw)?;
    let members: Members<'_> = serde_json::from_slice(raw).map_err(|error| BadPayload(error.to_string()))?;
    let args = args.map(Args::as_str);
    let queue = queue.map(|queue| quote(queue.as_str()));
    let (mut out, mut has_args) = (String::with_capacity(raw.len()), false);
    let mut write = |key: &str, value: &str| {
        out.push(if out.is_empty() { '{' } else { ',' });
        out.push_str(&format!("{}:{value}", quote(key)));
    };
    for (key, value) in &members.0 {
        let new = match &**key {
            // Of equal members the last counts, so that all of them become equal.
            "args" => {
                has_args = true;
                args
            }
            "queue" => queue.as_deref(),
            _ => None,
        };
        write(key, new.unwrap_or(value.get()));
    }
    if let (Some(args), false) = (args, has_args) {
        write("args", args);
    }
    out.push('}');
    Ok(Bytes::from(out))
}

/// The members of an object in their order, their values as they are written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_changes() {
        let args = Args::from_json("[{\"to\": 1.50}]").unwrap();
        let queue = QueueName::new("a\"b").unwrap();
        for (raw, mended_to) in [
            (
                r#"{"class":"x","queue":"q","args":[1],"n":12345678901234567890123, "scheduled_at":"\u00e9"}"#,
                r#"{"class":"x","queue":"a\"b","args":[{"to":1.5}],"n":12345678901234567890123,"scheduled_at":"\u00e9"}"#,
            ),
            (r#"{"args":null,"class":"x"}"#, r#"{"args":[{"to":1.5}],"class":"x"}"#),
            (r#"{"class":"x"}"#, r#"{"class":"x","args":[{"to":1.5}]}"#),
            (r#"{"args":1,"class":"x","args":2}"#, r#"{"args":[{"to":1.5}],"class":"x","args":[{"to":1.5}]}"#),
        ] {
            assert_eq!(mended(raw.as_bytes(), Some(&args), Some(&queue)).unwrap(), mended_to);
        }
        let raw = r#"{"class":"x","args":[1.0],"queue":"q"}"#;
        assert_eq!(mended(raw.as_bytes(), None, None).unwrap(), raw);
        for bad in ["", "[]", "{}", "{\"class\":1}", "junk"] {
            assert!(mended(bad.as_bytes(), Some(&args), None).is_err(), "{bad}");
        }
    }
}
