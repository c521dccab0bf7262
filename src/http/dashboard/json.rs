//! JSON for people, without reading a single value: numbers and texts stay letter by letter what their producer wrote.

/// How deep it is indented at most.
const DEEPEST: usize = 32;

/// The text with a member or an item a line. Short lists of plain values stay in one.
pub(super) fn lines(text: &str) -> String {
    let (mut out, mut depth, mut rest) = (String::with_capacity(text.len() * 2), 0_usize, text.trim());
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '"' => string(rest),
            '[' | '{' => match plain(rest) {
                Some(length) => length,
                None => {
                    depth += 1;
                    out.push(first);
                    new_line(&mut out, depth);
                    rest = rest[1..].trim_start();
                    continue;
                }
            },
            ']' | '}' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                1
            }
            ',' => {
                out.push(',');
                new_line(&mut out, depth);
                rest = rest[1..].trim_start();
                continue;
            }
            ':' => {
                out.push_str(": ");
                rest = rest[1..].trim_start();
                continue;
            }
            other if other.is_ascii_whitespace() => {
                rest = rest.trim_start();
                continue;
            }
            other => other.len_utf8(),
        };
        out.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth.min(DEEPEST)));
}

/// How long the string is that begins here.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// How long a list or object is that holds nothing, or a short list of plain values.
fn plain(text: &str) -> Option<usize> {
    const SHORT: usize = 60;
    let mut at = 1;
    while at < text.len() && at <= SHORT {
        match text.as_bytes()[at] {
            b'"' => at += string(&text[at..]),
            b']' if text.starts_with('[') => return (at < SHORT).then_some(at + 1),
            b'}' if text[1..at].trim().is_empty() => return Some(at + 1),
            b'[' | b'{' | b'}' | b']' | b':' => return None,
            _ => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_has_its_line_and_no_value_changes() {
        let text =
            r#"[1.0,{"to":"a, {b}: \"c\"","n":12345678901234567890,"é":[1, 2,3],"none":{},"deep":[{"x":null}]}]"#;
        let told = lines(text);
        assert_eq!(
            told,
            "[\n  1.0,\n  {\n    \"to\": \"a, {b}: \\\"c\\\"\",\n    \"n\": 12345678901234567890,\n    \"é\": [1, 2,3],\n    \
             \"none\": {},\n    \"deep\": [\n      {\n        \"x\": null\n      }\n    ]\n  }\n]"
        );
        assert_eq!([lines("[]"), lines(" [ \"a\" ] "), lines("7")], ["[]", "[ \"a\" ]", "7"]);
    }

    proptest::proptest! {
        #[test]
        fn what_is_json_stays_the_same_json_and_nothing_breaks_it(text in "[\\[\\]{}\":,a\\\\0-9 é]{0,60}", word in ".{0,20}") {
            let _ = lines(&text);
            let value = serde_json::json!([word, {"a": [word, 1, {"b": word}], "c": {}}, [], [[word]]]);
            let told: serde_json::Value = serde_json::from_str(&lines(&value.to_string())).unwrap();
            proptest::prop_assert_eq!(told, value);
        }
    }
}
