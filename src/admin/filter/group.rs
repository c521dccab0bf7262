//! Failures of one kind: the same task, the same class of error, and the same message but for its numbers, ids and quoted
//! parts. Of a program that ended with another status than 0 the last line that it wrote to stderr is a part of the message,
//! because the status alone tells little.

use super::digest_of;
use crate::job::{FailureView, PayloadView, last_words};
use crate::text::cut::cut;

/// How much of a name is kept.
const SHOWN: usize = 200;
/// How much of a message tells what kind it is.
const LONGEST: usize = 300;
/// The fewest digits that are taken for an id, if letters are among them.
const ID_DIGITS: usize = 6;

/// A kind of failures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::admin) struct Group {
    /// Its id, which depends on the rest alone.
    pub(in crate::admin) id: String,
    /// The class of the jobs; `None`: they are no jobs.
    pub(in crate::admin) class: Option<String>,
    /// The class of the error.
    pub(in crate::admin) exception: Option<String>,
    /// The first line of the message, masked.
    pub(in crate::admin) error: String,
}

impl Group {
    pub(in crate::admin) fn of(view: &FailureView, job: Option<&PayloadView<'_>>) -> Self {
        let class = job.map(|job| job.class.clone().into_owned());
        let mut error = masked(view.error.as_deref().unwrap_or_default());
        if let Some(line) = last_words(view.exception.as_deref(), &view.backtrace) {
            error = format!("{error}: {}", masked(line));
        }
        let id = digest_of([
            class.as_deref().unwrap_or_default(),
            if class.is_some() { "" } else { "-" },
            view.exception.as_deref().unwrap_or_default(),
            &error,
        ]);
        let shown = |text: &str| cut(text, SHOWN);
        Self { id, class: class.as_deref().map(shown), exception: view.exception.as_deref().map(shown), error }
    }
}

/// The first line that is not blank, in which numbers are `N`, ids `ID` and quoted parts `".."`.
fn masked(error: &str) -> String {
    let line = error.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let line = line.get(..line.floor_char_boundary(LONGEST)).unwrap_or(line);
    let (mut out, mut rest) = (String::with_capacity(line.len()), line);
    let mut before: Option<char> = None;
    while let Some(first) = rest.chars().next() {
        // An apostrophe within a word is none of a pair of quotes.
        let opens = matches!(first, '"' | '`') || first == '\'' && !before.is_some_and(char::is_alphanumeric);
        if opens && let Some(end) = rest[1..].find(first) {
            out.extend([first, '.', '.', first]);
            rest = &rest[end + 2..];
            before = Some(first);
            continue;
        }
        if begins_with_uuid(rest) {
            out.push_str("ID");
            rest = &rest[UUID.0..];
            before = Some('D');
            continue;
        }
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let word = &rest[..rest.find(|letter| !is_part(letter)).unwrap_or(rest.len())];
        if word.is_empty() {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            before = Some(first);
            continue;
        }
        mask_word(&mut out, word);
        rest = &rest[word.len()..];
        before = word.chars().last();
    }
    out
}

/// A word without what differs from failure to failure.
fn mask_word(out: &mut String, word: &str) {
    let hex = word.strip_prefix("0x").unwrap_or(word);
    let is_hex = !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    let has_digit = hex.bytes().any(|byte| byte.is_ascii_digit());
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        out.push('N');
    } else if is_hex && (hex.len() < word.len() || has_digit && hex.len() >= ID_DIGITS) {
        out.push_str("ID");
    } else {
        // A number within a word, such as the 7 of `shard7`.
        let mut in_number = false;
        for letter in word.chars() {
            if !letter.is_ascii_digit() {
                out.push(letter);
            } else if !in_number {
                out.push('N');
            }
            in_number = letter.is_ascii_digit();
        }
    }
}

/// How long a UUID is, and how many digits each part has.
const UUID: (usize, [usize; 5]) = (36, [8, 4, 4, 4, 12]);

/// Does a text begin with a UUID?
fn begins_with_uuid(text: &str) -> bool {
    let Some(uuid) = text.get(..UUID.0) else { return false };
    let parts = uuid.split('-').map(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(part.len()));
    parts.eq(UUID.1.map(Some))
}

#[cfg(test)]
mod tests {
    use super::{Group, masked};
    use crate::job::FailureView;

    #[test]
    fn what_a_program_said_last_tells_its_failures_apart() {
        let of = |exception: &str, said: &str| {
            let record = format!(
                r#"{{"payload":{{"class":"a","args":[]}},"exception":"{exception}","error":"exited with 3","backtrace":["first",{said},""]}}"#
            );
            Group::of(&FailureView::parse(record.as_bytes()), None)
        };
        let (one, same, other) =
            (of("ExitStatus", "\"no 7\""), of("ExitStatus", "\" no 12 \""), of("ExitStatus", "\"late\""));
        assert_eq!((one.error.as_str(), &one.id), ("exited with N: no N", &same.id));
        assert_ne!(one.id, other.id);
        assert_eq!(of("TypeError", "\"at line 7\"").error, "exited with N", "a stack tells where, and not what");
    }

    #[test]
    fn what_differs_from_failure_to_failure_is_masked() {
        for (error, kind) in [
            ("exit status 1", "exit status N"),
            ("\n  no space on /dev/sda1 at 12:30:01.5\nmore", "no space on /dev/sdaN at N:N:N.N"),
            ("user 4711 not found", "user N not found"),
            ("couldn't open 'a b.txt'", "couldn't open '..'"),
            ("key \"x\" and `y z` missing", "key \"..\" and `..` missing"),
            ("row 550e8400-e29b-41d4-a716-446655440000 is gone", "row ID is gone"),
            ("at 0x7ffe12 of deadbeef01", "at ID of ID"),
            ("a facade of cafes", "a facade of cafes"),
            ("shard7 \u{fc}ber 99 \"open", "shardN \u{fc}ber N \"open"),
            ("", ""),
        ] {
            assert_eq!(masked(error), kind, "{error}");
        }
        assert!(masked(&"\u{fc}1".repeat(1000)).len() <= super::LONGEST);
    }
}
