//! JSON as ECMAScript's `JSON.stringify` writes it.
//!
//! Resque programs compare jobs by their bytes (`del`, duplicate detection, lock keys), so the jobs we create and the
//! lock keys we compute must be exactly what node-resque would write: integer-like keys first and in numeric order, the
//! other keys in order of insertion, the last of two equal keys winning in the first one's place, numbers as
//! `Number::toString`, only the necessary escapes, lone surrogates as lower-case `\ud83d`.
//!
//! serde_json cannot hold a lone surrogate, so this works on the text itself, after serde_json
//! has checked that it is JSON.

use serde_json::value::RawValue;

/// The deepest nesting that is accepted. It is the limit of Redis' JSON decoder, so a node-resque worker can claim
/// every job that we accept.
pub const MAX_DEPTH: usize = 1000;

/// Why a text has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EcmaError {
    /// Not JSON; the message says where and why.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// Nested too deeply.
    #[error("nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// Checks that a text is JSON, not nested deeper than [`MAX_DEPTH`].
///
/// # Errors
/// Says where the text stops being JSON.
pub fn check(text: &str) -> Result<(), EcmaError> {
    // RawValue skips over values of any depth without recursion.
    serde_json::from_str::<&RawValue>(text).map_err(|error| EcmaError::Syntax(error.to_string()))?;
    if depth(text.as_bytes()) > MAX_DEPTH { Err(EcmaError::TooDeep) } else { Ok(()) }
}

/// How deep the brackets of a valid JSON text nest.
#[must_use]
pub fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => at = string_end(json, at),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// The index of the quote that closes the string opening at `open`.
fn string_end(json: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    json.len()
}

/// The text `JSON.stringify(JSON.parse(text))` would give.
///
/// # Errors
/// Says where the text stops being JSON.
pub fn canonical(text: &str) -> Result<String, EcmaError> {
    check(text)?;
    let mut writer = Writer { json: text.as_bytes(), text, at: 0, out: String::with_capacity(text.len()) };
    writer.value();
    Ok(writer.out)
}

/// A string as `JSON.stringify` writes it.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_char(&mut out, c);
    }
    out.push('"');
    out
}

fn push_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        c if u32::from(c) < 0x20 => push_unit(out, u32::from(c)),
        c => out.push(c),
    }
}

fn push_unit(out: &mut String, unit: u32) {
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.push(char::from_digit((unit >> shift) & 0xf, 16).unwrap_or('0'));
    }
}

/// Rewrites one checked JSON text. Recursion is bounded by [`MAX_DEPTH`].
struct Writer<'a> {
    json: &'a [u8],
    text: &'a str,
    at: usize,
    out: String,
}

impl Writer<'_> {
    fn peek(&mut self) -> u8 {
        while matches!(self.json.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.json.get(self.at).copied().unwrap_or_default()
    }

    fn value(&mut self) {
        match self.peek() {
            b'{' => self.object(),
            b'[' => self.array(),
            b'"' => self.string(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str) {
        self.at += word.len();
        self.out.push_str(word);
    }

    fn number(&mut self) {
        let start = self.at;
        while matches!(self.json.get(self.at), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        // Rust rounds decimal text correctly, as ECMAScript demands; beyond the range both give infinity.
        match self.text[start..self.at].parse::<f64>() {
            Ok(number) if number.is_finite() => self.out.push_str(ryu_js::Buffer::new().format_finite(number)),
            _ => self.out.push_str("null"),
        }
        // Checked JSON has no byte here that begins no value; step over it so that the loop always ends.
        if self.at == start {
            self.at += 1;
        }
    }

    fn string(&mut self) {
        let end = string_end(self.json, self.at);
        let inner = &self.text[self.at + 1..end];
        self.at = end + 1;
        self.out.push('"');
        if inner.contains('\\') {
            unescape_into(inner, &mut self.out)
        } else {
            self.out.push_str(inner)
        }
        self.out.push('"');
    }

    fn array(&mut self) {
        self.at += 1;
        self.out.push('[');
        let mut first = true;
        while self.peek() != b']' {
            if self.peek() == b',' {
                self.at += 1;
            }
            if !first {
                self.out.push(',');
            }
            first = false;
            self.value();
        }
        self.at += 1;
        self.out.push(']');
    }

    fn object(&mut self) {
        self.at += 1;
        // Keys and values are written into texts of their own, because the order is known only at the end.
        let mut members: Vec<(String, String)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        while self.peek() != b'}' {
            if self.peek() == b',' {
                self.at += 1;
                self.peek();
            }
            let before = std::mem::take(&mut self.out);
            self.string();
            let key = std::mem::take(&mut self.out);
            self.peek();
            self.at += 1; // the colon
            self.value();
            let value = std::mem::replace(&mut self.out, before);
            match places.get(&key) {
                Some(&place) => {
                    let (_, old): &mut (String, String) = &mut members[place];
                    *old = value;
                }
                None => {
                    places.insert(key.clone(), members.len());
                    members.push((key, value));
                }
            }
        }
        self.at += 1;
        // Stable: other keys keep their order of insertion behind the integer-like ones.
        members.sort_by_key(|(key, _)| array_index(key).map_or((1, 0), |index| (0, index)));
        self.out.push('{');
        for (place, (key, value)) in members.iter().enumerate() {
            if place > 0 {
                self.out.push(',');
            }
            self.out.push_str(key);
            self.out.push(':');
            self.out.push_str(value);
        }
        self.out.push('}');
    }
}

/// The number of a quoted key that ECMAScript orders as an array index: canonical decimals from 0
/// to 2^32-2.
fn array_index(quoted: &str) -> Option<u32> {
    let digits = quoted.strip_prefix('"')?.strip_suffix('"')?;
    if digits.is_empty() || digits.len() > 10 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    digits.parse::<u32>().ok().filter(|&index| index != u32::MAX)
}

/// Rewrites the inside of a JSON string with ECMAScript's escapes.
fn unescape_into(inner: &str, out: &mut String) {
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (simple, used) = match rest.as_bytes().get(at + 1) {
            Some(b'u') => {
                let unit = code_unit(&rest[at..]);
                match unit {
                    0xd800..=0xdbff => {
                        let low = code_unit(rest.get(at + 6..).unwrap_or_default());
                        if (0xdc00..=0xdfff).contains(&low) {
                            let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                            out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                            (None, 12)
                        } else {
                            push_unit(out, unit);
                            (None, 6)
                        }
                    }
                    0xdc00..=0xdfff => {
                        push_unit(out, unit);
                        (None, 6)
                    }
                    _ => (char::from_u32(unit), 6),
                }
            }
            Some(b'b') => (Some('\u{8}'), 2),
            Some(b'f') => (Some('\u{c}'), 2),
            Some(b'n') => (Some('\n'), 2),
            Some(b'r') => (Some('\r'), 2),
            Some(b't') => (Some('\t'), 2),
            Some(&byte) => (Some(char::from(byte)), 2),
            None => (None, 1),
        };
        if let Some(c) = simple {
            push_char(out, c);
        }
        rest = rest.get(at + used..).unwrap_or_default();
    }
    out.push_str(rest);
}

/// The code unit of a text that begins with `\u` and four hexadecimal digits; 0 if it does not.
fn code_unit(text: &str) -> u32 {
    text.strip_prefix("\\u").and_then(|hex| hex.get(..4)).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What node prints for `JSON.stringify(JSON.parse(text))`.
    #[test]
    fn texts_come_out_as_node_prints_them() {
        for (given, wanted) in [
            (
                r#"{"b":1,"2":1,"a":1,"10":1,"1":1,"01":1,"-1":1,"4294967295":1,"4294967294":1}"#,
                r#"{"1":1,"2":1,"10":1,"4294967294":1,"b":1,"a":1,"01":1,"-1":1,"4294967295":1}"#,
            ),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
            (
                "[1.0,-0,1e20,1e21,1e-6,1e-7,9007199254740993,1E400,0.1,123456789012345680000]",
                "[1,0,100000000000000000000,1e+21,0.000001,1e-7,9007199254740992,null,0.1,123456789012345680000]",
            ),
            (
                r#" [ "\u0041\/\u001f\u007f\u2028\u00fc\b\t\"\\" , { } , [ ] ] "#,
                "[\"A/\\u001f\u{7f}\u{2028}ü\\b\\t\\\"\\\\\",{},[]]",
            ),
            (
                r#"["\uD83D\uDE00","\uD83D","\uDE00x","\ud83d\u0041","\ud83d\ud83d\ude00"]"#,
                "[\"😀\",\"\\ud83d\",\"\\ude00x\",\"\\ud83dA\",\"\\ud83d😀\"]",
            ),
            (r#"{"\u0061":null,"a":true}"#, r#"{"a":true}"#),
            ("false", "false"),
        ] {
            assert_eq!(canonical(given).as_deref(), Ok(wanted), "{given}");
        }
    }

    #[test]
    fn the_canonical_form_is_its_own_canonical_form() {
        let once = canonical(r#"{"2":[1.5e3,{"x":"\ud800"}],"1":"ü\n"}"#).unwrap();
        assert_eq!(canonical(&once).as_deref(), Ok(once.as_str()));
    }

    #[test]
    fn what_is_no_json_is_refused_by_place() {
        for bad in ["", "{bad", "[1,2", "nul", "01", "[1] x", "\"\u{1}\"", "NaN"] {
            assert!(matches!(canonical(bad), Err(EcmaError::Syntax(_))), "{bad:?}");
        }
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(canonical(&deep(MAX_DEPTH)).is_ok());
        assert_eq!(canonical(&deep(MAX_DEPTH + 1)), Err(EcmaError::TooDeep));
        assert_eq!(depth(br#"{"a":"[[[","b":["\"[",[]]}"#), 3);
    }

    #[test]
    fn strings_get_only_the_necessary_escapes() {
        assert_eq!(quote("a\"b\\c/\u{1}\u{8}é"), "\"a\\\"b\\\\c/\\u0001\\bé\"");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_refused_or_rewritten_to_json(text in "[\\[\\]{}\",:0-9eE.\\\\u \\-dtruefalsn+😀]{0,40}") {
            if let Ok(out) = canonical(&text) {
                proptest::prop_assert!(check(&out).is_ok());
            }
        }

        #[test]
        fn any_string_survives_quoting(text in ".*") {
            let back: String = serde_json::from_str(&quote(&text)).unwrap();
            proptest::prop_assert_eq!(back, text);
        }
    }
}
