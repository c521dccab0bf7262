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
//! text is read again with its escapes undone, once for each level. What a level finds is hidden in the text itself.
//!
//! The texts are bounded when an event is made, and each level is read on its own, so that memory stays within a small multiple of
//! a bound that is small.

use std::borrow::Cow;
use std::ops::Range;

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

/// A text at some level: its characters, and which bytes of the text itself each stands for.
struct Level {
    chars: Vec<char>,
    /// Where each begins; one more than there are characters.
    begins: Vec<u32>,
}

impl Redactor {
    /// For these keys.
    #[must_use]
    pub fn new(keys: &[String]) -> Self {
        Self { keys: keys.iter().filter(|key| !key.is_empty()).map(|key| folded(key)).collect() }
    }

    /// Does it hide nothing at all?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.keys.is_empty()
    }

    /// The text without the values of the keys.
    #[must_use]
    pub fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        // A quote around a key is there, or it is written with a backslash.
        if self.keys.is_empty() || !text.contains(['"', '\'', '\\']) {
            return Cow::Borrowed(text);
        }
        let mut hidden: Vec<(Range<usize>, &str)> = Vec::new();
        let mut level = Level::of(text);
        for depth in 0.. {
            self.find(&level, depth, &mut hidden);
            let Some(inner) = level.unescaped() else { break };
            if depth == DEEPEST {
                return Cow::Borrowed(HIDDEN);
            }
            level = inner;
        }
        if hidden.is_empty() {
            return Cow::Borrowed(text);
        }
        hidden.sort_by_key(|(range, _)| range.start);
        let (mut out, mut at) = (String::with_capacity(text.len()), 0);
        for (Range { start, end }, instead) in hidden {
            // A range within the last one is hidden already; one that goes on behind it prolongs it.
            if start >= at {
                out.push_str(text.get(at..start).unwrap_or_default());
                out.push_str(instead);
            }
            at = at.max(end);
        }
        out.push_str(text.get(at..).unwrap_or_default());
        Cow::Owned(out)
    }

    /// Adds where the values of the keys stand at this level.
    fn find(&self, level: &Level, depth: usize, hidden: &mut Vec<(Range<usize>, &str)>) {
        let chars = &level.chars[..];
        // Also within what is hidden already: in a text that is no JSON, one value can end inside of another one.
        let quotes = chars.iter().enumerate().filter(|(_, c)| is_quote(**c));
        let values = quotes.filter_map(|(quote, c)| Some((self.value_behind(chars, quote)?, *c)));
        for (nth, (begin, quote)) in values.enumerate() {
            let value = begin..if nth < MOST { end_of_value(chars, begin) } else { chars.len() };
            if !value.is_empty() {
                // A quote of our own would end the string in which an inner level stands.
                let string = depth == 0 && quote == '"';
                hidden.push((level.range(value), if string { HIDDEN_STRING } else { HIDDEN }));
            }
            if nth == MOST {
                break;
            }
        }
    }

    /// Where the value begins, if one of the keys stands at this quote.
    fn value_behind(&self, chars: &[char], quote: usize) -> Option<usize> {
        self.keys.iter().find_map(|key| behind_key(chars, quote, key))
    }
}

impl Level {
    fn of(text: &str) -> Self {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let (mut chars, mut begins) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
        for (at, c) in text.char_indices() {
            chars.push(c);
            begins.push(offset(at));
        }
        begins.push(offset(text.len()));
        Self { chars, begins }
    }

    fn range(&self, chars: Range<usize>) -> Range<usize> {
        let begin = |at: usize| self.begins.get(at).or(self.begins.last()).map_or(0, |&at| at as usize);
        begin(chars.start)..begin(chars.end)
    }

    /// The text with its escapes read; `None` if it has none.
    fn unescaped(&self) -> Option<Self> {
        if !self.chars.contains(&'\\') {
            return None;
        }
        let mut inner =
            Self { chars: Vec::with_capacity(self.chars.len()), begins: Vec::with_capacity(self.begins.len()) };
        let mut at = 0;
        while at < self.chars.len() {
            let (c, length) = unescape(self.chars.get(at..).unwrap_or_default());
            inner.chars.push(c);
            inner.begins.extend(self.begins.get(at));
            at += length;
        }
        inner.begins.extend(self.begins.last());
        Some(inner)
    }
}

/// The first character of a text in a string, and how many characters it is written with. What is no escape is itself.
fn unescape(text: &[char]) -> (char, usize) {
    match *text {
        ['\\', 'u', a, b, c, d, ..] => {
            let digit = |c: char| c.to_digit(16);
            let code = (|| Some(((digit(a)? * 16 + digit(b)?) * 16 + digit(c)?) * 16 + digit(d)?))();
            // Half of a pair is no character. No key that matters has one.
            code.map_or(('u', 2), |code| (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 6))
        }
        ['\\', c, ..] => match c {
            'n' => ('\n', 2),
            'r' => ('\r', 2),
            't' => ('\t', 2),
            'b' | 'f' => (' ', 2),
            _ => (c, 2),
        },
        // An escape that was cut.
        ['\\'] | [] => (' ', 1),
        [c, ..] => (c, 1),
    }
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'')
}

fn folded(text: &str) -> Vec<char> {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// Where the value begins, if this key stands at this quote.
fn behind_key(chars: &[char], quote: usize, key: &[char]) -> Option<usize> {
    let mut at = quote + 1;
    let mut left = key;
    while !left.is_empty() {
        let (c, length) = unescape(chars.get(at..).filter(|rest| !rest.is_empty())?);
        for c in c.to_lowercase() {
            let (first, rest) = left.split_first()?;
            if *first != c {
                return None;
            }
            left = rest;
        }
        at += length;
    }
    if chars.get(at) != chars.get(quote) {
        return None;
    }
    at = behind_blanks(chars, at + 1);
    // JSON and Python, or Ruby.
    at += match chars.get(at..)? {
        [':', ..] => 1,
        ['=', '>', ..] => 2,
        _ => return None,
    };
    Some(behind_blanks(chars, at))
}

fn behind_blanks(chars: &[char], from: usize) -> usize {
    chars.iter().skip(from).position(|c| !c.is_whitespace()).map_or(chars.len(), |blanks| from + blanks)
}

/// Where the value that begins here ends. A value that does not end was cut.
fn end_of_value(chars: &[char], from: usize) -> usize {
    let mut open: u32 = 0;
    let mut at = from;
    while let Some(&c) = chars.get(at) {
        match c {
            quote if is_quote(quote) => {
                at = end_of_string(chars, at);
                if open == 0 {
                    return at;
                }
                continue;
            }
            '[' | '{' => open += 1,
            ']' | '}' if open > 0 => {
                open -= 1;
                if open == 0 {
                    return at + 1;
                }
            }
            ',' | ']' | '}' if open == 0 => return at,
            c if open == 0 && c.is_whitespace() => return at,
            _ => {}
        }
        at += 1;
    }
    chars.len()
}

/// Behind the quote that ends the string at this quote.
fn end_of_string(chars: &[char], quote: usize) -> usize {
    let mut at = quote + 1;
    while let Some(c) = chars.get(at) {
        if Some(c) == chars.get(quote) {
            return at + 1;
        }
        at += if *c == '\\' { 2 } else { 1 };
    }
    chars.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    const SECRET: &str = "s3cr3t";

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
    fn documents() -> impl Strategy<Value = Value> {
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
