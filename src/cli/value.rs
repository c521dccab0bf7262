//! Parsers of single values on the command line.

use crate::client::moment::{Moment, MomentError, parse_delay};
use crate::job::Args;
use crate::job::ecma::{self, EcmaError};

/// A time, and how it was written.
#[derive(Debug, Clone)]
pub(super) struct TimeArg {
    /// The time.
    pub moment: Moment,
    /// As it was written.
    pub text: String,
}

/// `--at TIME`.
pub(super) fn time(text: &str) -> Result<TimeArg, MomentError> {
    Ok(TimeArg { moment: Moment::parse(text)?, text: text.to_owned() })
}

/// `--in DURATION`, in milliseconds.
pub(super) fn delay(text: &str) -> Result<i64, MomentError> {
    parse_delay(text)
}

/// `--args JSON`.
pub(super) fn args(text: &str) -> Result<Args, String> {
    Args::from_json(text).map_err(|error| explain(text, &error))
}

/// `--arg JSON`: checked, and kept as text until all are read.
pub(super) fn arg(text: &str) -> Result<String, String> {
    ecma::check(text).map(|()| text.to_owned()).map_err(|error| explain(text, &error))
}

/// Says where the text stops being JSON, and how to quote a bare word.
fn explain(text: &str, error: &EcmaError) -> String {
    let word = !text.is_empty() && text.chars().all(|char| char.is_alphanumeric() || "-_.@ ".contains(char));
    if word { format!("{error}; as a JSON string it is '\"{text}\"'") } else { error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_json_is_told_with_its_place() {
        assert_eq!(args("{\"a\":}").unwrap_err(), "not valid JSON: expected value at line 1 column 6");
        assert!(arg("ann@x.org").unwrap_err().ends_with("as a JSON string it is '\"ann@x.org\"'"));
        assert_eq!(arg("\"ann\"").unwrap(), "\"ann\"");
    }
}
