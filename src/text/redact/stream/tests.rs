use proptest::prelude::*;

use super::super::tests::{SECRET, documents};
use super::*;

/// Stands for the secret: characters that no other text of a test has.
const MARK: &str = "\u{e000}\u{e001}\u{e002}\u{e003}";

fn redactor() -> Redactor {
    Redactor::new(&["password".to_owned(), "Token".to_owned()])
}

/// What is shown of these parts; each says whether it continues the line before.
fn shown(parts: &[(&str, bool)]) -> Vec<String> {
    let (redactor, mut stream) = (redactor(), Stream::default());
    parts.iter().map(|(part, continued)| stream.hide(&redactor, "", part, *continued).into_owned()).collect()
}

fn shows_a_part(text: &str) -> bool {
    text.contains(|c| MARK.contains(c))
}

#[test]
fn a_secret_that_lies_over_a_cut_is_hidden_on_both_sides() {
    let line = format!(r#"{} {{"password": "{MARK}", "a": "b"}} end"#, "x".repeat(100));
    for cut in (0..line.len()).filter(|at| line.is_char_boundary(*at)) {
        let told = shown(&[(&line[..cut], false), (&line[cut..], true), ("next", false)]);
        assert!(!shows_a_part(&told.concat()), "{cut}: {told:?}");
        assert!(told[..2].concat().ends_with("end"), "{cut}: {told:?}");
        assert_eq!(told[2], "next", "{cut}");
    }
}

#[test]
fn a_value_on_the_lines_behind_its_key_is_hidden_and_what_follows_is_not() {
    let told = shown(&[
        ("{", false),
        ("  \"password\":", false),
        ("  \"x\",", false),
        ("  \"token\": {", false),
        ("    \"a\": [1, \"x}\"", false),
        ("  ]},", false),
        ("  \"b\": 1", false),
        ("'token': \"\"\"x", false),
        ("x", false),
        ("\"\"\", 'c': 2", false),
    ]);
    let expected = [
        "{",
        "  \"password\":",
        "  \"[redacted]\",",
        "  \"token\": \"[redacted]\"",
        "[redacted]",
        "[redacted],",
        "  \"b\": 1",
        "'token': [redacted]",
        "[redacted]",
        "[redacted], 'c': 2",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_was_overwritten_on_the_line_is_read_too() {
    let (redactor, mut stream) = (redactor(), Stream::default());
    assert_eq!(stream.hide(&redactor, "\"password\":", "\"x\" y", false), "\"[redacted]\" y");
    assert_eq!(stream.hide(&redactor, "90%", "100%", false), "100%");
}

#[test]
fn a_value_longer_than_what_is_kept_is_hidden_to_its_end_and_no_further() {
    let long = format!("{MARK}\\\\ [").repeat(2000);
    for (open, close) in [("\"", "\""), ("[{\"a\": [1], \"b\": \"", "\"}]"), ("{\"c\": (", ")}"), ("\"\"\"", "\"\"\"")]
    {
        let line = format!("{{\"password\": {open}{long}{close}, \"z\": 1}}");
        let pieces: Vec<String> =
            line.chars().collect::<Vec<_>>().chunks(1000).map(|piece| piece.iter().collect()).collect();
        let parts: Vec<_> = pieces.iter().enumerate().map(|(nth, piece)| (piece.as_str(), nth > 0)).collect();
        let told = shown(&parts).concat();
        assert!(!shows_a_part(&told), "{open}");
        // Unlike brackets in a string, those in a list count.
        assert!(told.ends_with(", \"z\": 1}") || open.ends_with('('), "{open}: {}", &told[told.len() - 60..]);
    }
}

#[test]
fn what_is_open_by_mistake_ends() {
    let mut parts = vec![("'password': \"never closed", false)];
    parts.resize(MOST_LINES as usize + 10, ("a line", false));
    let told = shown(&parts);
    assert_eq!((told[1].as_str(), told[MOST_LINES as usize + 5].as_str()), (HIDDEN, "a line"));
    // An apostrophe within a word ends with its line.
    assert_eq!(shown(&[("\"password\": it's", false), ("don't", false)]), ["\"password\": \"[redacted]\"", "don't"]);
    // What is kept is bounded.
    let (redactor, mut stream) = (redactor(), Stream::default());
    for part in ["\"password\": ", &"[".repeat(5000), &"\\".repeat(5000), &" ".repeat(5000)].repeat(3) {
        stream.hide(&redactor, "", part, true);
        assert!(stream.kept.len() <= KEPT);
    }
    assert_eq!(stream.hide(&redactor, "", "next", false), "next");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_part_of_a_secret_is_shown_however_the_text_is_cut(
        document in documents(), before in "(\\PC|[\"' \\\\]){0,8}", sizes in proptest::collection::vec(1_usize..40, 1..30),
        pretty in any::<bool>()
    ) {
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        let text = format!("{before} {}", text.replace(SECRET, MARK));
        let (redactor, mut stream, mut told) = (redactor(), Stream::default(), String::new());
        let mut sizes = sizes.into_iter().cycle();
        for line in text.lines() {
            let chars: Vec<char> = line.chars().collect();
            let (mut at, mut continued) = (0, false);
            loop {
                let end = chars.len().min(at + sizes.next().unwrap_or(1));
                let piece: String = chars[at..end].iter().collect();
                told.push_str(&stream.hide(&redactor, "", &piece, continued));
                (at, continued) = (end, true);
                if at == chars.len() {
                    break;
                }
            }
            told.push('\n');
        }
        prop_assert!(!shows_a_part(&told), "{} became {}", text, told);
    }

    #[test]
    fn no_text_breaks_it_and_what_is_kept_is_bounded(
        parts in proptest::collection::vec(("(\\PC|[\"'\\\\{}\\[\\](),:u0 \u{1b}]|\"token\":){0,60}", any::<bool>()), 0..20)
    ) {
        let (redactor, mut stream) = (redactor(), Stream::default());
        for (part, continued) in &parts {
            stream.hide(&redactor, "", part, *continued);
            prop_assert!(stream.kept.len() <= KEPT);
        }
    }
}
