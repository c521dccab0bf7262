//! Prints results: text for people, or one JSON document with stable member names. Also warns and asks on stderr.
//!
//! Nothing else in the command line writes to stdout or stderr. What others wrote never reaches a terminal raw: people
//! read [`Text`], which is made of clean lines, and a JSON document has the characters in question escaped.

use std::io::{self, BufRead, IsTerminal, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::exit::CliError;
use super::here::shown;
use super::manner::Manner;
use super::watch::Watch;
use crate::text::clean;

/// How wide a terminal is taken for that does not tell it.
const USUAL: usize = 80;

/// Prints results as text or JSON.
#[derive(Debug, Clone)]
pub(super) struct Printer {
    json: bool,
    manner: Manner,
    watch: Option<Arc<Mutex<Watch>>>,
    /// The last change that was reported: as JSON, and as people read it.
    reported: Arc<Mutex<Option<(String, String)>>>,
}

impl Printer {
    /// A printer of JSON or of text.
    #[must_use]
    pub(super) fn new(json: bool, manner: Manner) -> Self {
        Self { json, manner, watch: None, reported: Arc::default() }
    }

    /// The same, whose output is looked at again and again.
    #[must_use]
    pub(super) fn watched(self, watch: &Arc<Mutex<Watch>>) -> Self {
        Self { watch: Some(Arc::clone(watch)), ..self }
    }

    /// How results are shown.
    #[must_use]
    pub(super) fn manner(&self) -> Manner {
        self.manner
    }

    /// Does it print JSON?
    #[must_use]
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints what a command found.
    ///
    /// # Errors
    /// Fails if stdout cannot be written; a closed pipe is not an error.
    pub(super) fn print<T: Serialize, P: Into<Text>>(&self, document: &T, text: impl FnOnce() -> P) -> io::Result<()> {
        self.write(&if self.json { json_line(document)? } else { text().into().0 })
    }

    /// Prints a part of what goes on. False if nobody reads any more.
    ///
    /// # Errors
    /// Fails if stdout cannot be written.
    pub(super) fn stream<T: Serialize, P: Into<Text>>(
        &self,
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
        &self,
        document: &T,
        text: impl Fn() -> P,
    ) -> Result<(), CliError> {
        let outcome = || text().into().0.lines().collect::<Vec<_>>().join("; ");
        if let Ok(document) = serde_json::to_string(document) {
            *self.reported.lock().unwrap_or_else(PoisonError::into_inner) = Some((document, outcome()));
        }
        self.print(document, &text).map_err(|error| CliError::Unreported { outcome: outcome(), error })
    }

    /// Prints a program of our own making, as it stands.
    ///
    /// # Errors
    /// As [`print`](Self::print).
    pub(super) fn program(&self, program: &str) -> io::Result<()> {
        self.write(program)
    }

    /// What was reported last, which is asked for once.
    pub(super) fn take_reported(&self) -> Option<(String, String)> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Prints documents, one a line, whether or not JSON was asked for. False: nobody reads them any more.
    ///
    /// # Errors
    /// Fails if stdout cannot be written.
    pub(super) fn lines<T: Serialize>(&self, documents: &[T]) -> io::Result<bool> {
        let mut stdout = io::stdout().lock();
        let mut write = || -> io::Result<()> {
            for document in documents {
                stdout.write_all(json_line(document)?.as_bytes())?;
            }
            stdout.flush()
        };
        match write() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write(&self, output: &str) -> io::Result<()> {
        let picture = self.watch.as_ref().filter(|_| self.manner.terminal.is_some() && !self.json).map(|watch| {
            // A watch that panicked was only shown.
            watch.lock().unwrap_or_else(PoisonError::into_inner).picture(output, self.manner)
        });
        let output = picture.as_deref().unwrap_or(output);
        let mut stdout = io::stdout().lock();
        match stdout.write_all(output.as_bytes()).and_then(|()| stdout.flush()) {
            // Who watches on would never end.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.watch.is_none() => Ok(()),
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

    /// Adds a line that is to be looked at so.
    pub(super) fn push_in(&mut self, tone: Tone, line: impl AsRef<str>, manner: Manner) {
        match tone.begin().filter(|_| manner.coloured) {
            Some(begin) => {
                self.0.push_str(begin);
                self.0.push_str(&clean::line(line.as_ref()));
                self.0.push_str("\x1b[0m\n");
            }
            None => self.push(line),
        }
    }

    /// Adds a sentence. On a terminal it is broken between words, and the lines after the first are indented by two.
    pub(super) fn push_wrapped(&mut self, tone: Tone, sentence: &str, manner: Manner) {
        let Some(width) = manner.terminal.filter(|_| !manner.wide) else {
            return self.push_in(tone, sentence, manner);
        };
        let sentence = clean::line(sentence);
        let mut line = String::new();
        for word in sentence.split(' ') {
            // What is longer than a line is broken by the terminal, so that it can still be copied.
            if !line.trim_start().is_empty() && line.width() + 1 + word.width() > width {
                self.push_in(tone, &line, manner);
                line = format!("  {word}");
            } else {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
        }
        self.push_in(tone, &line, manner);
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

/// How a line is to be looked at. Colour never tells anything that the words do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As any other.
    Plain,
    /// It stands above others.
    Heading,
    /// Something is held back on purpose.
    Held,
    /// Something is wrong.
    Wrong,
}

impl Tone {
    fn begin(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Heading => Some("\x1b[1m"),
            Self::Held => Some("\x1b[33m"),
            Self::Wrong => Some("\x1b[31m"),
        }
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

/// The columns and rows of the terminal that stdout is, if it is one. The part of `rustix` that tells them comes with clap's
/// `wrap_help`, without which there is no command line.
#[must_use]
pub(super) fn terminal_size() -> (Option<usize>, Option<usize>) {
    let stdout = io::stdout();
    if !stdout.is_terminal() {
        return (None, None);
    }
    let size = rustix::termios::tcgetwinsize(&stdout).ok();
    let told = |number: u16| Some(usize::from(number)).filter(|number| *number > 0);
    (size.and_then(|size| told(size.ws_col)).or(Some(USUAL)), size.and_then(|size| told(size.ws_row)))
}

/// A date of a document as the clocks here show it, to the second.
#[must_use]
pub(super) fn local_time(date: &str) -> String {
    match chrono::DateTime::parse_from_rfc3339(date) {
        Ok(date) => shown(date.to_utc(), "%Y-%m-%d %H:%M:%S"),
        Err(_) => date.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FOREIGN: &str = "(\\PC|[\\x00-\\x1f\\x7f-\\x9f\u{2028}\u{202e}\u{61c}]|\nwindlass: done){0,30}";

    #[test]
    fn a_sentence_is_broken_between_words_on_a_terminal_only() {
        let wrapped = |terminal, sentence: &str| {
            let mut text = Text::default();
            text.push_wrapped(Tone::Wrong, sentence, Manner { terminal, ..Manner::default() });
            text.0
        };
        assert_eq!(wrapped(None, "! one two three"), "! one two three\n");
        assert_eq!(wrapped(Some(9), "! one two three"), "! one two\n  three\n");
        assert_eq!(wrapped(Some(9), "! a-word-that-is-long b"), "!\n  a-word-that-is-long\n  b\n");
        let mut coloured = Text::default();
        coloured.push_in(Tone::Wrong, "a\u{1b}[2J", Manner { coloured: true, ..Manner::default() });
        assert_eq!(coloured.0, "\u{1b}[31ma\\u001b[2J\u{1b}[0m\n");
    }

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
