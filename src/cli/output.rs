//! Prints results: text for people, or one JSON document with stable member names. Also warns and asks on stderr.
//!
//! Foreign text never reaches a terminal unescaped: control characters are written out.

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write as _};

use serde::Serialize;

use super::exit::CliError;

/// Longest cell of a listing, in characters.
const CELL: usize = 80;

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
    pub(super) fn print<T: Serialize>(self, document: &T, text: impl FnOnce() -> String) -> io::Result<()> {
        self.write(if self.json { serde_json::to_string(document)? } else { text() })
    }

    /// Prints what a command has changed. If that fails, the error tells it, because it cannot be asked for again.
    ///
    /// # Errors
    /// As [`print`](Self::print).
    pub(super) fn report<T: Serialize>(self, document: &T, text: impl Fn() -> String) -> Result<(), CliError> {
        self.print(document, &text).map_err(|error| CliError::Unreported { outcome: text(), error })
    }

    fn write(self, mut output: String) -> io::Result<()> {
        if !output.is_empty() && !output.ends_with('\n') {
            output.push('\n');
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(output.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

/// Writes a line to stderr. An error is ignored, because there is no other place to report it.
pub(super) fn warn(line: &str) {
    let _ = writeln!(io::stderr().lock(), "windlass: {line}");
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
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::Failed("nothing was changed".to_owned())),
    }
}

/// A text with its control characters (and those that reorder what is shown) written out.
#[must_use]
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend(char.escape_unicode());
            }
            _ if char.is_control() => out.extend(char.escape_unicode()),
            _ => out.push(char),
        }
    }
    out
}

/// Rows in aligned columns.
#[derive(Debug)]
pub(super) struct TextTable {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl TextTable {
    /// A table with these headings; a column whose heading begins with `#` holds numbers and is
    /// aligned to the right.
    #[must_use]
    pub(super) fn new(headings: &[&str]) -> Self {
        let right = headings.iter().map(|heading| heading.starts_with('#')).collect();
        let row = headings.iter().map(|heading| heading.trim_start_matches('#').to_uppercase()).collect();
        Self { rows: vec![row], right }
    }

    /// Adds a row. Cells are escaped, and cut if they are too long for a listing.
    pub(super) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        let cell = |cell: &&str| {
            let text = escape(cell);
            if text.chars().count() <= CELL {
                text
            } else {
                text.chars().take(CELL - 1).chain(std::iter::once('…')).collect()
            }
        };
        self.rows.push(cells.iter().map(cell).collect());
    }

    /// Adds a row whose last cell is never cut, because people pass it to a command.
    pub(super) fn row_with_last<const N: usize>(&mut self, cells: [&str; N], last: &str) {
        self.row(cells);
        if let Some(row) = self.rows.last_mut() {
            row.push(escape(last));
        }
    }

    /// The table's text; the last column is not padded.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..self.right.len()).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                let padding = " ".repeat(width - cell.chars().count());
                if *right {
                    line.push_str(&padding);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&padding);
                }
                line.push_str("  ");
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// `name: value` lines, aligned; values are escaped but never cut.
#[derive(Debug, Default)]
pub(super) struct FieldList(Vec<(String, String)>);

impl FieldList {
    /// Adds a line.
    pub(super) fn add(&mut self, name: &str, value: &str) -> &mut Self {
        self.0.push((name.to_owned(), escape(value)));
        self
    }

    /// Adds a line if there is a value.
    pub(super) fn maybe(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.add(name, value);
        }
        self
    }

    /// The lines.
    #[must_use]
    pub(super) fn text(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0) + 1;
        let mut out = String::new();
        for (name, value) in &self.0 {
            let line = format!("{:width$} {value}", format!("{name}:"));
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out
    }
}

/// The date with a short name for UTC, because JavaScript's name fills half a line.
#[must_use]
pub(super) fn short_date(date: &str) -> String {
    date.replace(" GMT+0000 (Coordinated Universal Time)", " UTC")
}

/// `1 job`, `2 jobs`.
#[must_use]
pub(super) fn count_noun(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = TextTable::new(&["queue", "#length", "args"]);
        table.row(["mail", "7", "[1]"]);
        table.row(["a", "1200", ""]);
        assert_eq!(table.text(), "QUEUE  LENGTH  ARGS\nmail        7  [1]\na        1200\n");
    }

    #[test]
    fn what_strangers_wrote_cannot_move_the_cursor() {
        assert_eq!(escape("a\u{1b}[2Jb\n\u{202e}c"), "a\\u{1b}[2Jb\\n\\u{202e}c");
        let mut table = TextTable::new(&["args"]);
        table.row([&"x".repeat(200)]);
        let text = table.text();
        let line = text.lines().nth(1).unwrap();
        assert_eq!((line.chars().count(), line.ends_with('…')), (CELL, true));
    }

    #[test]
    fn fields_are_aligned() {
        let mut fields = FieldList::default();
        fields.add("id", "7").maybe("gone", None).add("exception", "E");
        assert_eq!(fields.text(), "id:        7\nexception: E\n");
    }
}
