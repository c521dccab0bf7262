//! Prints results: text for people, or one JSON document with stable member names. Also warns and asks on stderr.
//!
//! Nothing else in the command line writes to stdout or stderr. What others wrote never reaches a terminal raw: people
//! read [`Text`], which is made of clean lines, and a JSON document has the characters in question escaped.

use std::io::{self, BufRead, IsTerminal, Write as _};

use serde::Serialize;

use super::exit::CliError;
use super::here::shown;
use crate::text::clean;

/// Prints results as text or JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Printer {
    json: bool,
}

impl Printer {
    /// A printer of JSON or of text.
    #[must_use]
    pub(super) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Does it print JSON?
    #[must_use]
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Prints what a command found.
    ///
    /// # Errors
    /// Fails if stdout cannot be written; a closed pipe is not an error.
    pub(super) fn print<T: Serialize, P: Into<Text>>(self, document: &T, text: impl FnOnce() -> P) -> io::Result<()> {
        self.write(&if self.json { json_line(document)? } else { text().into().0 })
    }

    /// Prints a part of what goes on. False if nobody reads any more.
    ///
    /// # Errors
    /// Fails if stdout cannot be written.
    pub(super) fn stream<T: Serialize, P: Into<Text>>(
        self,
        document: &T,
        text: impl FnOnce() -> P,
    ) -> io::Result<bool> {
        let output = if self.json { json_line(document)? } else { text().into().0 };
        let mut stdout = io::stdout().lock();
        match stdout.write_all(output.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Prints what a command has changed. If that fails, the error tells it, because it cannot be asked for again.
    ///
    /// # Errors
    /// As [`print`](Self::print).
    pub(super) fn report<T: Serialize, P: Into<Text>>(
        self,
        document: &T,
        text: impl Fn() -> P,
    ) -> Result<(), CliError> {
        let outcome = || text().into().0.lines().collect::<Vec<_>>().join("; ");
        self.print(document, &text).map_err(|error| CliError::Unreported { outcome: outcome(), error })
    }

    fn write(self, output: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(output.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

fn json_line<T: Serialize>(document: &T) -> io::Result<String> {
    Ok(format!("{}\n", clean::json(&serde_json::to_string(document)?)))
}

/// What people read: lines in which nothing stands that a terminal would obey. The end of a line cannot come from a text
/// that is put in, so no name and no error can pass for a line of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text(String);

impl Text {
    /// Adds a line.
    pub(super) fn push(&mut self, line: impl AsRef<str>) {
        self.0.push_str(&clean::line(line.as_ref()));
        self.0.push('\n');
    }

    /// Adds other lines.
    #[must_use]
    pub(super) fn and(mut self, lines: impl Into<Self>) -> Self {
        self.0.push_str(&lines.into().0);
        self
    }

    /// The lines.
    #[cfg(test)]
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// One line; nothing if it is empty.
impl<T: AsRef<str>> From<T> for Text {
    fn from(line: T) -> Self {
        let mut text = Self::default();
        if !line.as_ref().is_empty() {
            text.push(line);
        }
        text
    }
}

/// Writes a line to stderr. An error is ignored, because there is no other place to report it.
pub(super) fn warn(line: &str) {
    write_stderr(&Text::from(format!("windlass: {line}")));
}

/// Writes a line of a job's output to stderr.
pub(super) fn show_output(line: &str) {
    let mut text = Text::default();
    text.push(line);
    write_stderr(&text);
}

fn write_stderr(text: &Text) {
    let _ = io::stderr().lock().write_all(text.0.as_bytes());
}

/// Asks on a terminal. Without a terminal, `--yes` is required.
///
/// # Errors
/// Fails if the answer is not yes, or if there is no terminal.
pub(super) fn confirm(question: &str, yes: bool) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(CliError::Usage(format!(
            "{question} There is no terminal to ask on: repeat the command with --yes"
        )));
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{} [y/N] ", clean::line(question))?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::Failed("nothing was changed".to_owned())),
    }
}

/// The width of the terminal that stdout is, if it is one. The part of `rustix` that tells it comes with clap's
/// `wrap_help`, without which there is no command line.
#[must_use]
pub(super) fn terminal_width() -> Option<usize> {
    let stdout = io::stdout();
    let size = rustix::termios::tcgetwinsize(&stdout).ok().filter(|_| stdout.is_terminal())?;
    Some(size.ws_col.into()).filter(|width| *width > 0)
}

/// A date of a document as the clocks here show it, to the second.
#[must_use]
pub(super) fn local_time(date: &str) -> String {
    match chrono::DateTime::parse_from_rfc3339(date) {
        Ok(date) => shown(date.to_utc(), "%Y-%m-%d %H:%M:%S"),
        Err(_) => date.to_owned(),
    }
}

/// `1 job`, `2 jobs`.
#[must_use]
pub(super) fn count_noun(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FOREIGN: &str = "(\\PC|[\\x00-\\x1f\\x7f-\\x9f\u{2028}\u{202e}\u{61c}]|\nwindlass: done){0,30}";

    proptest! {
        #[test]
        fn every_text_is_one_clean_line(first in FOREIGN, second in FOREIGN) {
            let mut text = Text::from(&first);
            text.push(&second);
            let lines = 1 + usize::from(!first.is_empty());
            prop_assert_eq!(text.0.matches('\n').count(), lines);
            prop_assert!(!text.0.replace('\n', "").contains(clean::is_unsafe));
        }

        #[test]
        fn a_document_is_one_clean_line_with_the_same_content(text in FOREIGN) {
            // Arguments are printed as their producer wrote them, line ends between tokens included.
            let raw = serde_json::value::RawValue::from_string(serde_json::to_string_pretty(&[&text]).unwrap()).unwrap();
            let line = json_line(&(&text, raw)).unwrap();
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert!(!line.trim_end_matches('\n').contains(clean::is_unsafe));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), serde_json::json!([text, [text]]));
        }
    }
}
