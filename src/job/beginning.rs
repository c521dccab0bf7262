//! What the beginning of a long JSON object tells: its members up to the place where its text was cut.
//!
//! Listings read no more of a record than they show, so that its length costs nothing. What follows is not known to be JSON.

use serde::de::DeserializeOwned;

/// The members at the beginning of an object.
#[derive(Debug, Default)]
pub struct Beginning<'a> {
    whole: Vec<(&'a [u8], &'a [u8])>,
    cut: Option<(&'a [u8], &'a [u8])>,
}

impl<'a> Beginning<'a> {
    /// Reads it. What begins no object has no members.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Self {
        let mut found = Self::default();
        let mut at = skip_space(text, 0);
        if text.get(at) != Some(&b'{') {
            return found;
        }
        loop {
            at = skip_space(text, at + 1);
            let Some(name_end) = string_end(text, at) else { return found };
            let colon = skip_space(text, name_end);
            if text.get(colon) != Some(&b':') {
                return found;
            }
            let name = text.get(at + 1..name_end - 1).unwrap_or_default();
            let begin = skip_space(text, colon + 1);
            let Some(end) = value_end(text, begin) else {
                found.cut = Some((name, text.get(begin..).unwrap_or_default()));
                return found;
            };
            found.whole.push((name, text.get(begin..end).unwrap_or_default()));
            at = skip_space(text, end);
            if text.get(at) != Some(&b',') {
                return found;
            }
        }
    }

    /// A member that is whole, as it is written. Of two equal names the last counts.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a [u8]> {
        self.whole.iter().rev().find(|(known, _)| *known == name.as_bytes()).map(|(_, value)| *value)
    }

    /// A member that is whole and of this type.
    #[must_use]
    pub fn member<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(self.raw(name)?).ok()
    }

    /// The beginning of the member that was cut, if it has this name.
    #[must_use]
    pub fn cut(&self, name: &str) -> Option<&'a [u8]> {
        self.cut.filter(|(known, _)| *known == name.as_bytes()).map(|(_, value)| value)
    }
}

fn skip_space(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| b" \t\r\n".contains(byte)).count()
}

/// Where the string ends that begins here, behind its last quote.
fn string_end(text: &[u8], from: usize) -> Option<usize> {
    if text.get(from) != Some(&b'"') {
        return None;
    }
    let mut at = from + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Where the value ends that begins here. `None`: not in this text.
fn value_end(text: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut depth) = (from, 0_usize);
    loop {
        match text.get(at)? {
            b'"' => at = string_end(text, at)?,
            b'{' | b'[' => (at, depth) = (at + 1, depth + 1),
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => (at, depth) = (at + 1, depth - 1),
            b',' if depth == 0 => return Some(at),
            byte if depth == 0 && at > from && byte.is_ascii_whitespace() => return Some(at),
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 && matches!(text.get(at - 1), Some(b'"' | b'}' | b']')) {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_up_to_where_the_text_was_cut() {
        let whole = r#" { "class" : "Add", "n":12 ,"inner":{"class":"no","a":["}",{}]},"args":["a\"\\",1]}"#;
        let all = Beginning::parse(whole.as_bytes());
        assert_eq!((all.member::<String>("class").as_deref(), all.member::<i64>("n")), (Some("Add"), Some(12)));
        assert_eq!(all.raw("inner"), Some(&br#"{"class":"no","a":["}",{}]}"#[..]));
        assert_eq!((all.raw("args"), all.cut("args")), (Some(&br#"["a\"\\",1]"#[..]), None));
        for end in 0..whole.len() {
            let begun = Beginning::parse(&whole.as_bytes()[..end]);
            for name in ["class", "n", "inner", "args"] {
                assert!(begun.raw(name).is_none_or(|value| Some(value) == all.raw(name)), "{name} at {end}");
            }
        }
        let cut = Beginning::parse(br#"{"queue":"q","payload":{"class":"Add","args":["lo"#);
        let payload = Beginning::parse(cut.cut("payload").unwrap());
        assert_eq!(payload.member::<String>("class").as_deref(), Some("Add"));
        assert_eq!((payload.cut("args"), payload.raw("args")), (Some(&br#"["lo"#[..]), None));
        let twice = Beginning::parse(br#"{"queue":"a","queue":"b","x":"#);
        assert_eq!(twice.member::<String>("queue").as_deref(), Some("b"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reader(text in r#"[\[\]{}":,\\ a1é]{0,60}"#, raw in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            for text in [text.as_bytes(), &raw, &[b"{\"a\":", &raw[..]].concat()] {
                let begun = Beginning::parse(text);
                let _ = (begun.raw("a"), begun.cut("a"), begun.member::<String>("a"));
            }
        }
    }
}
