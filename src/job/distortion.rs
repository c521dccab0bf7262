//! Detects jobs whose arguments another program may have changed.

use serde_json::Value;

use super::ecma::quote;
use super::failure::{FailureView, STUCK_BY_US};
use super::payload::PayloadView;

impl FailureView {
    /// May this job's arguments differ from the enqueued ones? node-resque's workers record their jobs through Lua's
    /// JSON, which turns `[]` into `{}` and keeps 14 digits of a number; a program that cleans such a worker has only
    /// that record. When node-resque cleans a worker of Windlass, it reads the record with JavaScript's numbers.
    #[must_use]
    pub fn may_be_distorted(&self) -> bool {
        let of_windlass = self.worker.as_deref().is_some_and(|worker| worker.contains("-windlass:"));
        let by_windlass = self.backtrace.get(2).is_some_and(|line| line == STUCK_BY_US);
        let job = self.payload.as_ref().and_then(|payload| PayloadView::parse(payload).ok());
        let Some(args) = job.as_ref().and_then(PayloadView::raw_args).filter(|_| !(of_windlass && by_windlass)) else {
            return false;
        };
        let Distortions { empty_object, long_number } = Distortions::of(args);
        // `[{}]` is what a task without inputs gets, and it is unlikely to have been `[[]]`.
        long_number || (empty_object && !of_windlass && args != "[{}]")
    }
}

/// May Lua's JSON have written other arguments like this, or these in another order?
#[must_use]
pub fn may_be_changed_by_lua(json: &str) -> bool {
    fn orders(value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().any(orders),
            Value::Object(members) => members.len() > 1 || members.values().any(orders),
            _ => false,
        }
    }
    Distortions::of(json) != Distortions::default() || serde_json::from_str(json).is_ok_and(|value| orders(&value))
}

/// A text that is the same for all JSON texts that Lua's JSON cannot tell apart; `None` for what is no JSON.
#[must_use]
pub fn lua_form(json: &str) -> Option<String> {
    fn write(value: &Value, form: &mut String) {
        match value {
            Value::Array(items) if !items.is_empty() => {
                form.push('[');
                for item in items {
                    write(item, form);
                    form.push(',');
                }
                form.push(']');
            }
            Value::Array(_) => form.push_str("{}"),
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(name, _)| *name);
                form.push('{');
                for (name, value) in members {
                    form.push_str(&quote(name));
                    form.push(':');
                    write(value, form);
                    form.push(',');
                }
                form.push('}');
            }
            // With 14 digits, and without the sign of a zero.
            Value::Number(number) => form.push_str(&format!("{:.13e}", number.as_f64().unwrap_or(f64::NAN) + 0.0)),
            Value::String(text) => form.push_str(&quote(text)),
            Value::Null | Value::Bool(_) => form.push_str(&value.to_string()),
        }
    }
    let mut form = String::new();
    write(&serde_json::from_str(json).ok()?, &mut form);
    Some(form)
}

/// Signs that another program's numbers and lists have changed a JSON text.
#[derive(Debug, Default, PartialEq, Eq)]
struct Distortions {
    empty_object: bool,
    long_number: bool,
}

impl Distortions {
    fn of(json: &str) -> Self {
        /// The number of digits that Lua's JSON keeps.
        const DIGITS: usize = 14;
        let bytes = json.as_bytes();
        let mut distortions = Self::default();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    at += 1;
                    while bytes.get(at).is_some_and(|&byte| byte != b'"') {
                        at += if bytes[at] == b'\\' { 2 } else { 1 };
                    }
                }
                b'{' => distortions.empty_object |= json[at + 1..].trim_start().starts_with('}'),
                b'-' | b'0'..=b'9' => {
                    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                    let number = &bytes[at..];
                    let number = &number[..number.iter().position(|byte| !is_part(byte)).unwrap_or(number.len())];
                    let digits = number.iter().filter(|byte| byte.is_ascii_digit());
                    distortions.long_number |= digits.skip_while(|&&digit| digit == b'0').count() >= DIGITS;
                    distortions.long_number |= number.iter().any(|byte| matches!(byte, b'e' | b'E'));
                    at += number.len() - 1;
                }
                _ => {}
            }
            at += 1;
        }
        distortions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_programs_json_may_have_changed_is_seen() {
        let distortions = |json: &str| (Distortions::of(json).empty_object, Distortions::of(json).long_number);
        for fine in ["[]", r#"["a\" {} 1e9 123456789012345678",{"b":[],"{}":1}]"#, "[1795490778000,-0.5,0.001]", "null"]
        {
            assert_eq!(distortions(fine), (false, false), "{fine}");
        }
        for object in ["{}", "[{}]", "[[1,{ }]]", r#"["\"",{"ids":{}}]"#] {
            assert_eq!(distortions(object), (true, false), "{object}");
        }
        for number in ["[1.7000000000001e+15]", r#"["\"",1E3]"#, "[123456789012345678]", "[3.1415926535898]"] {
            assert_eq!(distortions(number), (false, true), "{number}");
        }
    }

    #[test]
    fn what_lua_cannot_tell_apart_has_one_form() {
        let alike = |one: &str, other: &str| lua_form(one).unwrap() == lua_form(other).unwrap();
        // As a node-resque worker recorded them, and as JavaScript spells the arguments.
        assert!(alike(r#"[{"ids":{},"big":1.7000000000001e+15}]"#, r#"[{"big":1700000000000123,"ids":[]}]"#));
        assert!(alike(r#"["a\/b\u007f",1e+20,-0]"#, "[\"a/b\u{7f}\",100000000000000000000,0]"));
        assert!(alike("[0.12345678901235]", "[0.1234567890123456]"));
        assert!(alike("{}", "[]"));
        for (one, other) in
            [("[1]", "[2]"), ("[1]", r#"["1"]"#), ("[[]]", "[]"), ("[null]", "[false]"), ("[1,2]", "[2,1]")]
        {
            assert!(!alike(one, other), "{one} {other}");
        }
        assert_eq!(lua_form("[1"), None);
        assert!(!may_be_changed_by_lua(r#"[1,"a b",{"n":[0.5]}]"#));
        assert!(may_be_changed_by_lua(r#"[{"a":1,"b":2}]"#) && may_be_changed_by_lua("[1e+20]"));
    }

    #[test]
    fn whose_record_it_is_decides_what_may_be_bent() {
        let bent = |worker: &str, by: &str, args: &str| {
            FailureView::parse(
                format!(
                    r#"{{"worker":"{worker}","payload":{{"class":"a","args":{args}}},"backtrace":["x","queue#forceCleanWorker","{by}"]}}"#
                )
                .as_bytes(),
            ).may_be_distorted()
        };
        let (ours, theirs, long) = ("h-windlass:1+1", "h:1", "[12345678901234567890]");
        assert!(!bent(ours, "windlass", long) && !bent(ours, "windlass", "{}"));
        assert!(bent(ours, "node-resque", long) && !bent(ours, "node-resque", "[1,{}]"));
        assert!(bent(theirs, "windlass", "[1,{}]") && bent(theirs, "node-resque", long));
        assert!(bent(theirs, "windlass", "{}"), "an empty list of arguments");
        assert!(!bent(theirs, "windlass", "[{}]"), "a task without inputs");
    }
}
