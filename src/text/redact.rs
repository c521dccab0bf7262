//! Hides the values of secret keys in a text that may be JSON, hold JSON, or be the beginning of JSON.
//!
//! ```text
//!   text --> find `"key":` anywhere --> the range of its value --> ranges of all levels --> the text without them
//!    |                                                                  ^
//!    +--> the text with its escapes read, as if all of it stood in a string --+   (again while escapes are left)
//! ```
//!
//! A text is not parsed, because much of what is logged is no JSON: messages that quote arguments, lines of output, texts that
//! were cut. Each place where a secret key may begin is tried instead. JSON inside of a string has its quotes escaped, so the
//! text is read again with its escapes undone, once for each `level`. What a level finds is hidden in the text itself. A text
//! that comes in parts is hidden by a [`Stream`].
//!
//! The texts are bounded when an event is made, and each level is read on its own, so that memory stays within a small multiple of
//! a bound that is small.

mod level;
mod stream;
mod value;

use std::borrow::Cow;
use std::ops::Range;

use self::level::Level;
use self::value::{Key, Structure, end_of_value, is_quote};

pub use self::stream::Stream;

/// What stands for a secret.
const HIDDEN: &str = "[redacted]";
/// The same where a string is to stand.
const HIDDEN_STRING: &str = "\"[redacted]\"";
/// How many values are told apart at one level; from the next one on everything is hidden. Each takes one look through the
/// text, and anyone who wrote it must not keep the log busy.
const MOST: usize = 64;
/// How deep JSON may stand in strings in JSON. What is deeper is hidden as a whole.
const DEEPEST: usize = 8;

/// The keys whose values are hidden, in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redactor {
    keys: Vec<Vec<char>>,
}

/// What is hidden in a text.
#[derive(Debug, Default)]
struct Found {
    hidden: Vec<(Range<usize>, &'static str)>,
    /// A key or its value that may go on behind the text: the first one.
    open: Option<Open>,
    /// Are there too many values, or is it too deep, to tell what goes on?
    lost: bool,
}

/// A key or a value that may go on behind the text.
#[derive(Debug)]
struct Open {
    /// Where the key begins.
    from: usize,
    /// Its value, if that has begun.
    value: Option<OpenValue>,
}

#[derive(Debug)]
struct OpenValue {
    begin: usize,
    /// What is open in it, as it stands in the text.
    opened: Vec<Range<usize>>,
    /// Where its last character begins that cannot be read alone.
    last: usize,
    /// Is a string open?
    in_string: bool,
    /// Does it end with the line?
    ends_with_line: bool,
}

impl Redactor {
    /// For these keys.
    #[must_use]
    pub fn new(keys: &[String]) -> Self {
        Self { keys: keys.iter().filter(|key| !key.is_empty()).map(|key| value::folded(key)).collect() }
    }

    /// Does it hide nothing at all?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.keys.is_empty()
    }

    /// The text without the values of the keys.
    #[must_use]
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.keys.is_empty() || !may_hold_key(text) {
            return Cow::Borrowed(text);
        }
        let mut found = self.find(text);
        if found.hidden.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(found.without(text, 0))
    }

    /// The same for these lines of one output, in their order.
    #[must_use]
    pub fn hide_lines(&self, lines: Vec<String>) -> Vec<String> {
        if self.is_idle() {
            return lines;
        }
        let mut stream = Stream::default();
        lines.into_iter().map(|line| stream.hide(self, "", &line, false).into_owned()).collect()
    }

    fn find(&self, text: &str) -> Found {
        let mut found = Found::default();
        let mut level = Level::of(text);
        for depth in 0.. {
            self.find_in(&level, depth, &mut found);
            let Some(inner) = level.unescaped() else { break };
            if depth == DEEPEST {
                return Found { hidden: vec![(0..text.len(), HIDDEN)], lost: true, ..found };
            }
            level = inner;
        }
        found
    }

    /// Adds where the values of the keys stand at this level.
    fn find_in(&self, level: &Level, depth: usize, found: &mut Found) {
        let chars = &level.chars[..];
        let outer = found.hidden.len();
        let mut nth = 0;
        // Also within what is hidden already: in a text that is no JSON, one value can end inside of another one.
        for (quote, c) in chars.iter().enumerate().filter(|(_, c)| is_quote(**c)) {
            let begin = match self.key_at(chars, quote) {
                Key::None => continue,
                Key::Cut => {
                    found.opens(Open { from: level.at(quote), value: None });
                    continue;
                }
                Key::Value(begin) => begin,
            };
            // An outer level has read the same value, and all that belongs to it.
            let start = level.at(begin);
            let is_read = found.hidden.iter().take(outer).any(|(hidden, _)| hidden.start == start);
            let is_too_much = nth == MOST;
            let (end, open) = if is_too_much { (chars.len(), None) } else { end_of_value(chars, begin, !is_read) };
            let range = level.range(begin..end);
            if !range.is_empty() {
                // A quote of our own would end the string in which an inner level stands.
                let string = depth == 0 && *c == '"';
                found.hidden.push((range, if string { HIDDEN_STRING } else { HIDDEN }));
            }
            if is_too_much {
                found.lost = true;
                break;
            }
            if let Some(Structure { opened, last, in_string, ends_with_line }) = open {
                let opened = opened.into_iter().map(|at| level.range(at)).collect();
                let value = OpenValue { begin: start, opened, last: level.at(last), in_string, ends_with_line };
                found.opens(Open { from: level.at(quote), value: Some(value) });
            }
            nth += 1;
        }
    }

    /// What stands at this quote, if one of the keys does.
    fn key_at(&self, chars: &[char], quote: usize) -> Key {
        let mut best = Key::None;
        for key in &self.keys {
            match value::key_at(chars, quote, key) {
                Key::None => {}
                Key::Cut => best = Key::Cut,
                found @ Key::Value(_) => return found,
            }
        }
        best
    }
}

impl Found {
    fn opens(&mut self, open: Open) {
        if self.open.as_ref().is_none_or(|first| open.from < first.from) {
            self.open = Some(open);
        }
    }

    /// The text from there on, without what is hidden.
    fn without(&mut self, text: &str, from: usize) -> String {
        self.hidden.sort_by_key(|(range, _)| range.start);
        let (mut out, mut at) = (String::with_capacity(text.len() - from), from);
        for (Range { start, end }, instead) in &self.hidden {
            // A range within the last one is hidden already; one that goes on behind it prolongs it.
            if *start >= at {
                out.push_str(text.get(at..*start).unwrap_or_default());
                out.push_str(instead);
            } else if at == from && *end > at {
                out.push_str(HIDDEN);
            }
            at = at.max(*end);
        }
        out.push_str(text.get(at..).unwrap_or_default());
        out
    }
}

/// A quote around a key is there, or it is written with a backslash.
fn may_hold_key(text: &str) -> bool {
    text.contains(['"', '\'', '\\'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    pub(super) const SECRET: &str = "s3cr3t";

    fn hide(text: &str) -> String {
        Redactor::new(&["password".to_owned(), "Token".to_owned()]).hide(text).into_owned()
    }

    #[test]
    fn values_are_hidden_wherever_their_key_stands() {
        for (text, shown) in [
            (
                r#"[{"user":"a","Password":"x","n":[{"password":{"y":[1,"}"]}}]}]"#,
                r#"[{"user":"a","Password":"[redacted]","n":[{"password":"[redacted]"}]}]"#,
            ),
            (r#"failed on {"token" : 12e3, "b": 1}: "5"#, r#"failed on {"token" : "[redacted]", "b": 1}: "5"#),
            (r#"it's 5" long: {"token":"a\"b"}!"#, r#"it's 5" long: {"token":"[redacted]"}!"#),
            (r#"{"a":"{\"token\":\"x\",\"b\":2}"}"#, r#"{"a":"{\"token\":[redacted],\"b\":2}"}"#),
            (r#"{"\u0074oken":"a\"b","c":1}"#, r#"{"\u0074oken":"[redacted]","c":1}"#),
            (r#"{"a":"{\u0022token\u0022:7}"}"#, r#"{"a":"{\u0022token\u0022:[redacted]}"}"#),
            ("{'token': 'x', \"token\"=>\"y\"}", "{'token': [redacted], \"token\"=>\"[redacted]\"}"),
            (r"C:\users\", r"C:\users\"),
            (r#"[{"password":"x... (5000 bytes)"#, r#"[{"password":"[redacted]""#),
            (r#"[{"password":[1,{"a... (5000 bytes)"#, r#"[{"password":"[redacted]""#),
            (r#"{"tokens":"x","atoken":"y"}"#, r#"{"tokens":"x","atoken":"y"}"#),
            ("no JSON: token", "no JSON: token"),
            (r#"{"token": ("u", "x"), "a": 1}"#, r#"{"token": "[redacted]", "a": 1}"#),
            (r#"{"token": """x""", "a": 1}"#, r#"{"token": "[redacted]", "a": 1}"#),
            ("{'token': 'it''x', 'a': 1}", "{'token': [redacted], 'a': 1}"),
            (r#"{"token": "a" "x" + 'y', "a": 1}"#, r#"{"token": "[redacted]", "a": 1}"#),
            (r#""{""token"":""x"",""a"":1}""#, r#""{""token"":"[redacted]",""a"":1}""#),
            ("\"token\":\r\"x\" y", "\"token\":\r\"[redacted]\" y"),
            (
                "\u{1b}[34;1m\"token\"\u{1b}[0m\u{1b}[1;39m:\u{1b}[0m \u{1b}[0;32m\"x\"\u{1b}[0m, 1",
                "\u{1b}[34;1m\"token\"\u{1b}[0m\u{1b}[1;39m:\u{1b}[0m \u{1b}[0;32m\"[redacted]\", 1",
            ),
            (r#""\u001b[34m\"token\"\u001b[0m: 7, 1""#, r#""\u001b[34m\"token\"\u001b[0m: [redacted], 1""#),
            (r#"{"to\x6ben": "x"}"#, r#"{"to\x6ben": "[redacted]"}"#),
        ] {
            assert_eq!(hide(text), shown, "{text}");
        }
        let mut deep = format!("{{\"token\":\"{SECRET}\"}}");
        for _ in 0..12 {
            deep = json!([deep]).to_string();
            assert!(!hide(&deep).contains(SECRET));
            if deep.len() > 40_000 {
                break;
            }
        }
        let escaped = |times: usize| (0..times).fold("{\"a\":1}".to_owned(), |text, _| json!([text]).to_string());
        assert_eq!(hide(&escaped(DEEPEST)), escaped(DEEPEST), "as deep as it is read");
        assert_eq!(hide(&escaped(DEEPEST + 1)), HIDDEN, "what is not read is not shown, whatever it holds");
        assert_eq!(Redactor::new(&[]).hide(r#"{"token":1}"#), r#"{"token":1}"#);
        // A value that begins by mistake ends inside of another one.
        assert!(!hide(&format!(r#"{{"a":"'token': '","password":"it's {SECRET}"}}"#)).contains(SECRET));
        // Many are still all hidden, without a look through the whole text for each.
        assert!(!hide(&format!("{{\"token\":[\"{SECRET}\",").repeat(1000)).contains(SECRET));
    }

    /// JSON with the secret under a secret key and nowhere else, at some depth, possibly inside of strings.
    pub(super) fn documents() -> impl Strategy<Value = Value> {
        let secret = prop_oneof![
            Just(json!(SECRET)),
            Just(json!([1, SECRET, "\"\\"])),
            Just(json!({ "in": [SECRET], "}": format!("\"{SECRET}") })),
            Just(json!(json!({ "x": SECRET }).to_string())),
        ];
        let key = prop_oneof![Just("password"), Just("PassWord"), Just("token")];
        let other = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "(\\PC|[\"'\\\\{}\\[\\],: \n]){0,8}".prop_map(Value::from),
        ];
        let leaf = (key, secret, other.clone(), "[a-c\"\\\\: ]{0,3}").prop_map(|(key, secret, other, name)| {
            Value::Object(Map::from_iter([(name, other), (key.to_owned(), secret)]))
        });
        leaf.prop_recursive(5, 24, 3, move |inner| {
            prop_oneof![
                (other.clone(), inner.clone(), other.clone()).prop_map(|(a, b, c)| json!([a, b, c])),
                ("(\\PC|[\"'\\\\]){0,4}", inner.clone()).prop_map(|(name, inner)| json!({ name: inner })),
                inner.clone().prop_map(|inner| json!(inner.to_string())),
                inner.prop_map(|inner| json!({ "text": serde_json::to_string_pretty(&inner).unwrap() })),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn no_secret_is_left_in_any_json_or_any_part_of_it(
            document in documents(), before in "(\\PC|[\"' \\\\]){0,8}", cut in 0.0..1.0_f64, pretty in any::<bool>()
        ) {
            let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
            prop_assert!(!hide(&text).contains(SECRET), "{text}");
            // Within other words, and cut at any place.
            let text = format!("{before} {text}");
            let end = text.floor_char_boundary((text.len() as f64 * cut) as usize);
            prop_assert!(!hide(&text[..end]).contains(SECRET), "{}", &text[..end]);
        }

        #[test]
        fn no_text_breaks_it_and_without_a_key_nothing_changes(text in "(\\PC|[\"'\\\\{}\\[\\],:u0 \n]|\"token\":){0,60}") {
            let shown = hide(&text);
            prop_assert!(shown.len() <= text.len() + HIDDEN_STRING.len() * (1 + text.len() / 8));
            if !text.to_lowercase().contains("token") && !text.contains('\\') {
                prop_assert_eq!(shown, text);
            }
        }
    }
}
