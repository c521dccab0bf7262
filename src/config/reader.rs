//! A typed reader over TOML that collects problems instead of failing.
//!
//! A [`Document`] is one file. Its tables are read by [`Table::take`], key by key, in snake_case; the camelCase
//! original of each key is accepted as well, using both is a problem. [`Table::finish`] reports the keys that were not
//! taken. A [`Value`] of the wrong type reports what was expected, what was found, and where. Readers continue after a
//! problem, so that all problems are reported together.
//!
//! Longer than 400 lines because tables and values refer to each other at every step.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{MOST_TOLD, Problem, closest};
use super::position::Positions;
pub(crate) use underlay::Underlay;

use crate::file::bounded::{self, FileError};

/// In bytes: of longer texts only the first syntax error is told.
const RECOVERED: usize = 64 << 10;

/// One file and its problems.
pub struct Document {
    path: PathBuf,
    text: String,
    /// Found when the first position is asked for.
    positions: OnceCell<Positions>,
    /// The first problems. A file can have more than anybody reads; the others are counted.
    problems: RefCell<Vec<Problem>>,
    problem_count: Cell<usize>,
    /// What is allowed and probably a mistake.
    warnings: RefCell<Vec<String>>,
}

impl fmt::Debug for Document {
    /// Shows only the path, because the text may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Document {
    /// Reads a file of at most `most` bytes.
    ///
    /// # Errors
    /// If the file cannot be read, or is not text.
    pub fn read(path: &Path, most: u64) -> Result<Self, Problem> {
        match bounded::read_text(path, most) {
            Ok(text) => Ok(Self::new(path, text)),
            Err(FileError::NotText) => Err(Problem::of_source(path.display(), "expected UTF-8 text")),
            Err(error) => Err(Problem::of_source(path.display(), format!("cannot be read: {error}"))),
        }
    }

    /// A document of this text.
    #[must_use]
    pub fn new(path: &Path, mut text: String) -> Self {
        // A byte order mark is not part of the first line's columns.
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        Self {
            path: path.to_owned(),
            text,
            positions: OnceCell::new(),
            problems: RefCell::default(),
            problem_count: Cell::new(0),
            warnings: RefCell::default(),
        }
    }

    /// The text of the file.
    #[must_use]
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the file. Relative paths in the file start there.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Parses the text; a syntax error becomes a problem, one for each line that has any. Of a long text only the first is told:
    /// where it is no TOML at all, each of its tokens would be an error.
    pub fn parse(&self) -> Option<Spanned<DeTable<'_>>> {
        let error = match DeTable::parse(&self.text) {
            Ok(table) => return Some(table),
            Err(error) => error,
        };
        let errors = if self.text.len() > RECOVERED { vec![error] } else { DeTable::parse_recoverable(&self.text).1 };
        // What follows on the same line is mostly the same mistake.
        let mut lines = BTreeSet::new();
        let is_first =
            |error: &&toml::de::Error| lines.insert(self.line_and_column(error.span().unwrap_or(0..0).start).0);
        for error in errors.iter().filter(is_first) {
            let message = error.message().trim().replace('\n', ", ");
            self.report("", error.span().unwrap_or(0..0), message, None);
        }
        None
    }

    /// The table of the whole document.
    #[must_use]
    pub fn top<'a>(&'a self, parsed: &'a Spanned<DeTable<'a>>) -> Table<'a> {
        Table::new(self, String::new(), parsed.span(), parsed.get_ref())
    }

    /// The number of problems so far. A reader of a part compares it before and after to see whether the part was
    /// valid.
    #[must_use]
    pub fn problem_count(&self) -> usize {
        self.problem_count.get()
    }

    /// The warnings since the last call.
    pub fn take_warnings(&self) -> Vec<String> {
        self.warnings.take()
    }

    /// The problems, ordered by location. The last one stands for those that are more than anybody reads.
    #[must_use]
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        let rest = self.problem_count.get() - problems.len();
        if rest > 0 {
            problems.push(Problem::rest(self.path.display(), rest));
        }
        problems
    }

    fn report(&self, key: &str, span: Range<usize>, message: String, suggestion: Option<&str>) {
        self.problem_count.set(self.problem_count.get() + 1);
        if self.problem_count.get() > MOST_TOLD {
            return;
        }
        let (line, column) = self.line_and_column(span.start);
        self.problems.borrow_mut().push(Problem {
            file: self.path.display().to_string(),
            line,
            column,
            key: key.to_owned(),
            message,
            suggestion: suggestion.map(str::to_owned),
            stands_for: 1,
        });
    }

    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        self.positions.get_or_init(|| Positions::of(&self.text)).find(&self.text, offset)
    }
}

/// A table of a document. It remembers which keys were taken.
pub struct Table<'a> {
    document: &'a Document,
    key: String,
    span: Range<usize>,
    entries: &'a DeTable<'a>,
    taken: BTreeSet<String>,
    known: Vec<String>,
    underlay: Option<&'a Underlay<'a>>,
}

impl<'a> Table<'a> {
    fn new(document: &'a Document, key: String, span: Range<usize>, entries: &'a DeTable<'a>) -> Self {
        Self { document, key, span, entries, taken: BTreeSet::new(), known: Vec::new(), underlay: None }
    }

    /// The same table over others' values: a key that it does not have is taken from there.
    #[must_use]
    pub fn over(self, underlay: Option<&'a Underlay<'a>>) -> Self {
        Self { underlay, ..self }
    }

    /// What this table lies over.
    #[must_use]
    pub fn underlay(&self) -> Option<&'a Underlay<'a>> {
        self.underlay
    }

    /// The table as something that others lie over.
    #[must_use]
    pub fn as_underlay(&self) -> Underlay<'a> {
        Underlay::new(self.document, self.key.clone(), self.entries)
    }

    /// The value of a key, given in snake_case; its camelCase original is looked up too.
    pub fn take(&mut self, key: &str) -> Option<Value<'a>> {
        self.take_own(key).or_else(|| {
            let underlay = self.underlay?;
            let value = underlay.get(key)?;
            underlay.note(key, &value);
            Some(value)
        })
    }

    /// The table's own value of a key, whatever it lies over.
    pub fn take_own(&mut self, key: &str) -> Option<Value<'a>> {
        self.known.push(key.to_owned());
        self.find(key).map(|(_, value)| value)
    }

    /// The value of a required key.
    pub fn required(&mut self, key: &str, what: &str) -> Option<Value<'a>> {
        let value = self.take(key);
        if value.is_none() {
            self.document.report(&self.full(key), self.span.clone(), format!("expected {what} (missing)"), None);
        }
        value
    }

    /// Refuses a key that is not supported (yet), with a helpful message.
    pub fn refuse(&mut self, key: &str, message: &str) {
        if let Some((span, value)) = self.find(key) {
            self.document.report(&value.key, span, message.to_owned(), None);
        }
    }

    /// Is there such a key, in either spelling?
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key) || self.entries.contains_key(camel_case(key).as_str())
    }

    /// Has it no key?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries with their original spelling, for tables with arbitrary keys. All of them count as taken.
    pub fn all(&mut self) -> Vec<(&'a str, Value<'a>)> {
        self.taken.extend(self.entries.keys().map(|key| key.get_ref().to_string()));
        let document = self.document;
        let entry = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let name: &'a str = AsRef::<std::borrow::Cow<'a, str>>::as_ref(key).as_ref();
            (name, Value { document, key: self.full(name), span: value.span(), value: value.get_ref() })
        };
        self.entries.iter().map(entry).collect()
    }

    /// Reports a problem with the table as a whole.
    pub fn report(&self, message: impl Into<String>) {
        self.document.report(&self.key, self.span.clone(), message.into(), None);
    }

    /// Reports the keys that were not taken.
    pub fn finish(self) {
        self.refuse_others("unknown key");
    }

    /// The same, with the keys that were expected.
    pub fn finish_expecting(self, keys: &str) {
        self.refuse_others(&format!("unknown key (expected {keys})"));
    }

    fn refuse_others(self, message: &str) {
        for key in self.entries.keys() {
            let name = key.get_ref().as_ref();
            if !self.taken.contains(name) {
                let suggestion = closest(name, self.known.iter().map(String::as_str));
                self.document.report(&self.full(name), key.span(), message.to_owned(), suggestion);
            }
        }
    }

    fn find(&mut self, key: &str) -> Option<(Range<usize>, Value<'a>)> {
        let camel = camel_case(key);
        let spellings: &[&str] = if camel == key { &[key] } else { &[key, &camel] };
        let mut found = None;
        for spelling in spellings {
            let Some((name, value)) = self.entries.get_key_value(*spelling) else { continue };
            self.taken.insert((*spelling).to_owned());
            if found.is_some() {
                let message = format!("`{key}` and `{camel}` are two spellings of one key; keep one of them");
                self.document.report(&self.full(spelling), name.span(), message, None);
                continue;
            }
            let key = self.full(spelling);
            let value = Value { document: self.document, key, span: value.span(), value: value.get_ref() };
            found = Some((name.span(), value));
        }
        found
    }

    fn full(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }
}

/// A value of a document.
#[derive(Clone)]
pub struct Value<'a> {
    document: &'a Document,
    key: String,
    span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    /// The document of the value.
    #[must_use]
    pub fn document(&self) -> &'a Document {
        self.document
    }

    /// The TOML value.
    #[must_use]
    pub fn raw(&self) -> &'a DeValue<'a> {
        self.value
    }

    /// `file:line:column`.
    #[must_use]
    pub fn location(&self) -> String {
        let (line, column) = self.document.line_and_column(self.span.start);
        format!("{}:{line}:{column}", self.document.path.display())
    }

    /// `file:line:column: key`, for warnings.
    #[must_use]
    pub fn location_and_key(&self) -> String {
        format!("{}: {}", self.location(), self.key)
    }

    /// A problem with this value, for a check that happens later.
    #[must_use]
    pub fn problem(&self, message: &str) -> Problem {
        let (line, column) = self.document.line_and_column(self.span.start);
        Problem {
            file: self.document.path.display().to_string(),
            line,
            column,
            key: self.key.clone(),
            message: message.to_owned(),
            suggestion: None,
            stands_for: 1,
        }
    }

    /// Reports a problem with this value.
    pub fn report(&self, message: impl Into<String>) {
        self.document.report(&self.key, self.span.clone(), message.into(), None);
    }

    /// Reports a problem with this value, with a suggestion.
    pub fn report_with(&self, message: impl Into<String>, suggestion: Option<&str>) {
        self.document.report(&self.key, self.span.clone(), message.into(), suggestion);
    }

    /// Says that this value is allowed, and probably a mistake.
    pub fn warn(&self, message: &str) {
        self.document.warnings.borrow_mut().push(format!("{}: {message}", self.location_and_key()));
    }

    /// Reports that something else was expected here.
    pub fn expected(&self, what: &str) {
        self.report(format!("expected {what} (found {})", describe(self.value)));
    }

    /// Reports that something else was expected here, with a suggestion.
    pub fn expected_one_of(&self, what: &str, suggestion: Option<&str>) {
        self.report_with(format!("expected {what} (found {})", describe(self.value)), suggestion);
    }

    /// A string.
    #[must_use]
    pub fn string(&self) -> Option<&'a str> {
        self.string_or("a string")
    }

    /// A string. `what` describes it in the message.
    #[must_use]
    pub fn string_or(&self, what: &str) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.expected(what);
        }
        text
    }

    /// `true` or `false`.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        let boolean = self.value.as_bool();
        if boolean.is_none() {
            self.expected("true or false");
        }
        boolean
    }

    /// A whole number within bounds.
    #[must_use]
    pub fn whole_number(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let number = self
            .value
            .as_integer()
            .and_then(|integer| u64::from_str_radix(integer.as_str(), integer.radix()).ok())
            .filter(|number| bounds.contains(number));
        if number.is_none() {
            self.expected(&format!("a whole number from {} to {}", bounds.start(), bounds.end()));
        }
        number
    }

    /// One of a few words.
    #[must_use]
    pub fn one_of<T: Copy>(&self, what: &str, words: &[(&str, T)]) -> Option<T> {
        let Some(text) = self.value.as_str() else {
            self.expected(what);
            return None;
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            self.expected_one_of(what, closest(text, words.iter().map(|(word, _)| *word)));
        }
        found
    }

    /// The items of a list.
    #[must_use]
    pub fn list(&self, what: &str) -> Option<Vec<Value<'a>>> {
        let Some(items) = self.value.as_array() else {
            self.expected(what);
            return None;
        };
        let item = |item: &'a Spanned<DeValue<'a>>| Value {
            document: self.document,
            key: self.key.clone(),
            span: item.span(),
            value: item.get_ref(),
        };
        Some(items.iter().map(item).collect())
    }

    /// A table.
    #[must_use]
    pub fn table(&self, what: &str) -> Option<Table<'a>> {
        let Some(entries) = self.value.as_table() else {
            self.expected(what);
            return None;
        };
        Some(Table::new(self.document, self.key.clone(), self.span.clone(), entries))
    }

    /// The same value without its key, so that messages about `[[task]]` tables name only the inner keys.
    #[must_use]
    pub fn without_key(mut self) -> Self {
        self.key.clear();
        self
    }
}

impl fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The camelCase spelling of a snake_case key.
#[must_use]
pub(crate) fn camel_case(key: &str) -> String {
    let mut words = key.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// A value as a message shows it: short, and on one line.
fn describe(value: &DeValue<'_>) -> String {
    match value {
        // The value may contain a password.
        DeValue::String(text) if text.contains("://") && text.contains('@') => "an address".to_owned(),
        DeValue::String(text) => {
            let mut shown = String::from("\"");
            for (index, letter) in text.chars().enumerate() {
                if index == 40 {
                    shown.push_str("...");
                    break;
                }
                let _ = write!(shown, "{}", letter.escape_debug());
            }
            shown.push('"');
            shown
        }
        DeValue::Integer(integer) => integer.to_string(),
        DeValue::Float(float) => float.to_string(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

mod underlay;

#[cfg(test)]
mod tests;
