//! A single argument of a job, found in the JSON text that its producer wrote. Numbers are compared as they are written, so
//! that none is rounded.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::job::ecma;

/// Does the value at this path match, or one of its items? `args` is an array. A path begins in the first argument, or with
/// the number of an argument, as in the placeholders of tasks.
pub(super) fn any_at(args: &str, path: &[String], matches: &dyn Fn(&str) -> bool) -> bool {
    let Ok(all) = serde_json::from_str::<Vec<&RawValue>>(args) else { return false };
    let Some((first, rest)) = path.split_first() else { return false };
    let numbered = first.parse::<usize>().ok().and_then(|number| all.get(number));
    numbered.is_some_and(|value| follow(value, rest, matches))
        || all.first().is_some_and(|value| follow(value, path, matches))
}

fn follow(value: &RawValue, path: &[String], matches: &dyn Fn(&str) -> bool) -> bool {
    let text = value.get();
    let Some((key, rest)) = path.split_first() else { return is_or_holds(text, matches) };
    if text.starts_with('{') {
        // The last of two equal keys counts, as in ECMAScript.
        let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).unwrap_or_default();
        members.get(key.as_str()).is_some_and(|value| follow(value, rest, matches))
    } else if text.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
        let at = key.parse::<usize>().ok().and_then(|number| items.get(number));
        at.is_some_and(|value| follow(value, rest, matches))
    } else {
        false
    }
}

/// A text without its quotes, all else as it is written; or an item of an array.
fn is_or_holds(text: &str, matches: &dyn Fn(&str) -> bool) -> bool {
    let is = |text: &str| match serde_json::from_str::<Cow<'_, str>>(text) {
        Ok(string) if text.starts_with('"') => matches(&string),
        _ => matches(text),
    };
    let items = || serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_default();
    is(text) || text.starts_with('[') && items().iter().any(|item| is(item.get()))
}

/// How long a path may be: JSON that is nested deeper is no job.
pub(super) const DEEPEST: usize = ecma::MAX_DEPTH;

#[cfg(test)]
mod tests {
    use super::any_at;

    #[test]
    fn an_argument_is_found_by_its_path_and_compared_as_it_is_written() {
        let args =
            r#"[{"to":{"city":"Ber\"lin","zip":12345678901234567890123},"tags":["a","b"],"0":7},"x",[true,null]]"#;
        let at = |path: &str, value: &str| {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            any_at(args, &path, &|found| found == value)
        };
        for (path, value) in [
            ("to.city", "Ber\"lin"),
            ("0.to.city", "Ber\"lin"),
            ("to.zip", "12345678901234567890123"),
            ("tags", "b"),
            ("tags", r#"["a","b"]"#),
            ("tags.1", "b"),
            ("0", "7"),
            ("1", "x"),
            ("2.0", "true"),
            ("2", "null"),
        ] {
            assert!(at(path, value), "{path}:{value}");
        }
        for (path, value) in
            [("to", "Ber"), ("city", "Ber\"lin"), ("9", "x"), ("1.x", "x"), ("tags.2", "b"), ("tags.x", "b")]
        {
            assert!(!at(path, value), "{path}:{value}");
        }
        assert!(!any_at("no JSON", &["a".to_owned()], &|_| true));
    }
}
