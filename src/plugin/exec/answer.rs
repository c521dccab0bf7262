//! The answers of a plugin program, and the outcome that it is told.

use serde::Deserialize;

use crate::job::Outcome;
use crate::job::ecma::quote;
use crate::plugin::hook::Decision;

/// How much of an invalid answer a message shows, in characters.
const SHOWN: usize = 80;
/// How much of the parser's error a message shows, in characters.
const SHOWN_OF_ERROR: usize = 200;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct HookAnswer {
    allow: Option<bool>,
    reason: Option<String>,
    clear: Option<bool>,
}

/// The answer before an enqueue or a run.
pub(crate) fn decision(text: &str) -> Result<Decision, String> {
    const EXPECTED: &str = "{\"allow\":true} or {\"allow\":false,\"reason\":\"...\"}";
    let Some(answer) = read(text, EXPECTED)? else { return Ok(Decision::Allow) };
    match answer {
        HookAnswer { allow: Some(true), clear: None, .. } => Ok(Decision::Allow),
        HookAnswer { allow: Some(false), clear: None, reason } => Ok(Decision::deny(reason.unwrap_or_default())),
        _ => Err(unlike(text, EXPECTED, None)),
    }
}

/// The answer after an enqueue, which decides nothing.
pub(crate) fn nothing(text: &str) -> Result<(), String> {
    const EXPECTED: &str = "no answer, because the job is already on its queue";
    match read(text, EXPECTED)? {
        None | Some(HookAnswer { allow: None | Some(true), reason: None, clear: None }) => Ok(()),
        Some(_) => Err(unlike(text, EXPECTED, None)),
    }
}

/// The answer after a run: should a failure count as done?
pub(crate) fn clears(text: &str) -> Result<bool, String> {
    const EXPECTED: &str = "no answer, or {\"clear\":true} to take a failure for done";
    match read(text, EXPECTED)? {
        None => Ok(false),
        Some(HookAnswer { allow: None | Some(true), reason: None, clear }) => Ok(clear.unwrap_or(false)),
        Some(_) => Err(unlike(text, EXPECTED, None)),
    }
}

/// `None` if there is no answer.
fn read(text: &str, expected: &str) -> Result<Option<HookAnswer>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    // Serde would also take an array, by position.
    if !text.starts_with('{') {
        return Err(unlike(text, expected, None));
    }
    serde_json::from_str(text).map(Some).map_err(|error| unlike(text, expected, Some(error.to_string())))
}

fn unlike(text: &str, expected: &str, error: Option<String>) -> String {
    let found = beginning(text.trim(), SHOWN, |_| true);
    // The parser quotes the name of an unknown member as it is, which may be as long as the answer.
    let error = error.map(|error| format!(" ({})", beginning(&error, SHOWN_OF_ERROR, char::is_control)));
    format!("expected {expected} on stdout, found `{found}`{}", error.unwrap_or_default())
}

/// The beginning of a text, with these characters escaped.
fn beginning(text: &str, most: usize, escaped: fn(char) -> bool) -> String {
    let mut shown = String::new();
    for letter in text.chars().take(most) {
        if escaped(letter) { shown.extend(letter.escape_debug()) } else { shown.push(letter) }
    }
    if text.chars().nth(most).is_some() {
        shown += "...";
    }
    shown
}

/// The members of the question that describe how the run ended.
pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Success { result } => {
            let result = result.as_deref().map_or_else(|| "null".to_owned(), quote);
            format!(",\"outcome\":\"success\",\"result\":{result}")
        }
        Outcome::Failure(failure) => {
            let backtrace: Vec<String> = failure.backtrace.iter().map(|line| quote(line)).collect();
            format!(
                ",\"outcome\":\"failure\",\"exception\":{},\"error\":{},\"backtrace\":[{}]",
                quote(&failure.exception),
                quote(&failure.error),
                backtrace.join(",")
            )
        }
        Outcome::Later { delay, .. } => format!(",\"outcome\":\"later\",\"delay_ms\":{}", delay.as_millis()),
        Outcome::Interrupted
        | Outcome::Stopped { .. }
        | Outcome::Cancelled { .. }
        | Outcome::Crashed(_)
        | Outcome::NotStarted(_)
        | Outcome::ClaimDoubted
        | Outcome::Unstarted { .. } => ",\"outcome\":\"interrupted\"".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_to_the_letter() {
        let deny = |reason: &str| Ok(Decision::deny(reason));
        assert_eq!(decision(" \n"), Ok(Decision::Allow));
        assert_eq!(decision("{\"allow\":true}\n"), Ok(Decision::Allow));
        assert_eq!(decision("{\"allow\":false,\n\"reason\":\"no\"}"), deny("no"));
        assert_eq!(decision("{\"allow\":false}"), deny(""));
        assert_eq!(clears("{\"clear\":true}"), Ok(true));
        assert_eq!((clears(""), clears("{\"allow\":true}"), clears("{}")), (Ok(false), Ok(false), Ok(false)));
        assert_eq!((nothing(""), nothing("{}"), nothing("{\"allow\":true}")), (Ok(()), Ok(()), Ok(())));
    }

    #[test]
    fn of_an_answer_that_is_none_a_beginning_is_told_escaped() {
        let error = decision(&format!(r#"{{"\u001b[31m{}":1}}"#, "x".repeat(100_000))).unwrap_err();
        assert!(error.len() < 1000 && !error.contains(char::is_control), "{error}");
        assert!(error.contains("unknown field `\\u{1b}[31mxxx"), "{error}");
    }

    #[test]
    fn what_is_no_answer_is_never_taken_for_a_yes() {
        for bad in [
            "yes",
            "{}",
            "[true]",
            "true",
            "null",
            "{\"allow\":\"yes\"}",
            "{\"alow\":false}",
            "{\"allow\":true} {}",
            "{\"clear\":true}",
            "{\"allow\":true,\"clear\":true}",
            "{\"allow\":false,\"reason\":7}",
            "{\"allow\":null}",
            "{\"allow\":true,\"allow\":false}",
            "\u{fffd}\0",
        ] {
            let error = decision(bad).unwrap_err();
            assert!(error.starts_with("expected {\"allow\":true} or"), "{bad}: {error}");
        }
        for bad in ["{\"allow\":false}", "{\"reason\":\"x\"}", "no"] {
            assert!(nothing(bad).is_err() && clears(bad).is_err(), "{bad}");
        }
        assert!(nothing("{\"clear\":true}").is_err());
        let long = decision(&"x".repeat(100)).unwrap_err();
        assert!(long.ends_with(&format!("found `{}...`", "x".repeat(80))), "{long}");
    }
}
