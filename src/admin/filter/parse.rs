//! Reads a filter. What is wrong is told with its place and what to write instead.

use std::iter::Peekable;
use std::str::Chars;

use chrono::Utc;

use super::path::DEEPEST;
use super::pattern::Pattern;
use super::{Condition, Filter, Quality, Term};
use crate::client::moment::{Moment, parse_ago};
use crate::client::wall_time::{TimeName, WallTime};
use crate::config::error::closest;

/// How long a filter may be, in bytes, and how many terms it may have.
const LONGEST: usize = 4096;
const MOST: usize = 32;

/// The keys, as people are told of them.
const KEYS: [&str; 13] =
    ["task", "queue", "error", "exception", "args", "worker", "after", "before", "is", "group", "id", "job", "text"];

/// Other names of keys.
const OTHER_NAMES: [(&str, &str); 4] = [("class", "task"), ("since", "after"), ("until", "before"), ("arg", "args")];

/// Reads a time by somebody's clocks. Nothing: it is none. An error says why it cannot be told.
pub type ReadTime<'r> = dyn Fn(&str) -> Result<Option<i64>, String> + 'r;

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("character {place} of the filter: {what}")]
#[non_exhaustive]
pub struct FilterError {
    /// Which character, from 1; that behind the last one if something is missing there.
    pub place: usize,
    /// What is wrong, and what helps.
    pub what: String,
}

/// A text as a filter has to hold it, so that no character of it means anything else.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Filter {
    /// Reads a filter. Times before now are counted from `now_ms`.
    ///
    /// # Errors
    /// Says where it is wrong.
    pub fn parse(text: &str, now_ms: i64) -> Result<Self, FilterError> {
        Self::parse_by(text, now_ms, &|_| Ok(None))
    }

    /// The same for a person whose clocks are known: `read` reads a time as they and listings show it, in milliseconds since the Unix
    /// epoch.
    ///
    /// # Errors
    /// Says where it is wrong.
    pub fn parse_by(text: &str, now_ms: i64, read: &ReadTime<'_>) -> Result<Self, FilterError> {
        if text.len() > LONGEST {
            let place = text[..text.floor_char_boundary(LONGEST)].chars().count() + 1;
            return Err(FilterError { place, what: format!("a filter has at most {LONGEST} bytes") });
        }
        let mut reader = Reader { rest: text.chars().peekable(), place: 1, now_ms, read };
        let mut terms = Vec::new();
        while reader.skip_space() {
            let place = reader.place;
            if terms.len() >= MOST {
                return Err(FilterError { place, what: format!("a filter has at most {MOST} terms") });
            }
            terms.push(reader.term()?);
        }
        Ok(Self { terms })
    }
}

struct Reader<'t> {
    rest: Peekable<Chars<'t>>,
    /// Where the next character stands.
    place: usize,
    now_ms: i64,
    read: &'t ReadTime<'t>,
}

/// What stands behind a key, or a bare word.
struct Value {
    /// Where it begins.
    place: usize,
    /// The texts between its stars.
    pieces: Vec<String>,
    is_quoted: bool,
}

impl Value {
    /// The text, in which a star is a star.
    fn text(&self) -> String {
        self.pieces.join("*")
    }

    fn is_empty(&self) -> bool {
        !self.is_quoted && self.pieces.iter().all(String::is_empty) && self.pieces.len() < 2
    }
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        self.place += 1;
        self.rest.next()
    }

    /// Is there anything behind white space?
    fn skip_space(&mut self) -> bool {
        while self.rest.next_if(|letter| letter.is_whitespace()).is_some() {
            self.place += 1;
        }
        self.rest.peek().is_some()
    }

    fn term(&mut self) -> Result<Term, FilterError> {
        let begins = self.place;
        let is_not = self.rest.next_if_eq(&'-').is_some();
        self.place += usize::from(is_not);
        let key_at = self.place;
        let mut key = String::new();
        while let Some(letter) = self.rest.next_if(|letter| !letter.is_whitespace() && !matches!(letter, ':' | '"')) {
            self.place += 1;
            key.push(letter);
        }
        if self.rest.peek() == Some(&':') && !key.is_empty() {
            self.next();
            let condition = self.condition(&key, key_at)?;
            return Ok(Term { is_not, condition });
        }
        let place = key_at;
        let mut value = self.value(key)?;
        value.place = place;
        if value.is_empty() {
            let what = "expected a term behind the minus, such as -task:resize; to search for a minus, write \"-\"";
            return Err(FilterError { place: begins, what: what.to_owned() });
        }
        Ok(Term { is_not, condition: Condition::Raw(words(&value)?) })
    }

    /// The rest of a value, up to white space. `begun` are its first characters, without stars that mean anything.
    fn value(&mut self, begun: String) -> Result<Value, FilterError> {
        let mut value = Value { place: self.place, pieces: vec![String::new()], is_quoted: false };
        let (mut piece, mut quote_at) = (String::new(), None);
        let split: Vec<&str> = begun.split('*').collect();
        for (index, part) in split.iter().enumerate() {
            piece.push_str(part);
            if index + 1 < split.len() {
                value.pieces.insert(value.pieces.len() - 1, std::mem::take(&mut piece));
            }
        }
        while let Some(letter) = self.rest.next_if(|letter| quote_at.is_some() || !letter.is_whitespace()) {
            let place = self.place;
            self.place += 1;
            match letter {
                '"' if quote_at.is_some() => quote_at = None,
                '"' => (quote_at, value.is_quoted) = (Some(place), true),
                '\\' if quote_at.is_some() => match self.next() {
                    Some(escaped @ ('"' | '\\')) => piece.push(escaped),
                    _ => {
                        let what = "behind a \\ in quotes expected \" or \\; write \\\\ for a \\";
                        return Err(FilterError { place, what: what.to_owned() });
                    }
                },
                '*' if quote_at.is_none() => value.pieces.insert(value.pieces.len() - 1, std::mem::take(&mut piece)),
                other => piece.push(other),
            }
        }
        if let Some(place) = quote_at {
            let what = "this quote is not closed; to search for a quote, write \"\\\"\"";
            return Err(FilterError { place, what: what.to_owned() });
        }
        if let Some(last) = value.pieces.last_mut() {
            *last = piece;
        }
        Ok(value)
    }

    fn condition(&mut self, written: &str, key_at: usize) -> Result<Condition, FilterError> {
        let (key, path) = match written.split_once('.') {
            Some((key, path)) => (key, Some(path)),
            None => (written, None),
        };
        let key = OTHER_NAMES.iter().find(|(other, _)| *other == key).map_or(key, |(_, name)| name);
        if !KEYS.contains(&key) || path.is_some() && key != "args" {
            return Err(unknown_key(written, key_at));
        }
        let value = self.value(String::new())?;
        if value.is_empty() {
            let what = format!("expected a value right behind {written}:; for an empty one write {written}:\"\"");
            return Err(FilterError { place: value.place, what });
        }
        Ok(match (key, path) {
            ("args", Some(path)) => Condition::Argument(path_of(path, key_at)?, Pattern::of_pieces(value.pieces)),
            ("args", None) => Condition::Args(words(&value)?),
            ("task", _) => Condition::Task(Pattern::of_pieces(value.pieces)),
            ("queue", _) => Condition::Queue(Pattern::of_pieces(value.pieces)),
            ("worker", _) => Condition::Worker(Pattern::of_pieces(value.pieces)),
            ("exception", _) => Condition::Exception(Pattern::of_pieces(value.pieces)),
            ("job", _) => Condition::Job(Pattern::of_pieces(value.pieces)),
            ("error", _) => Condition::Error(words(&value)?),
            ("id", _) => Condition::Id(digits(&value)?),
            ("group", _) => Condition::Group(digits(&value)?),
            ("after", _) => Condition::After(self.time(&value)?),
            ("before", _) => Condition::Before(self.time(&value)?),
            ("is", _) => Condition::Is(quality(&value)?),
            _ => Condition::Raw(words(&value)?),
        })
    }

    /// A time, a day in UTC, or how long ago.
    fn time(&self, value: &Value) -> Result<i64, FilterError> {
        let text = value.text();
        let wrong = |what| FilterError { place: value.place, what };
        if let Some(ago) = parse_ago(&text).map_err(|error| wrong(error.to_string()))? {
            return Ok(self.now_ms.saturating_sub(ago));
        }
        let day = || Moment::parse(&format!("{text}T00:00:00Z"));
        if let Ok(moment) = Moment::parse(&text).or_else(|error| day().map_err(|_| error)) {
            return Ok(moment.ms());
        }
        // What a listing shows in UTC says whose clocks it means.
        let in_utc = WallTime::parse_named(&text).filter(|(_, name)| *name == TimeName::UTC);
        if let Some(found) = in_utc.and_then(|(wall, _)| wall.find(&Utc, self.now_ms)) {
            return Ok(found.moment.ms());
        }
        match (self.read)(&text) {
            Ok(Some(ms)) => Ok(ms),
            Err(why) => Err(wrong(why)),
            Ok(None) => Err(wrong(format!(
                "{text:?} is no time: expected how long ago (-2h, \"-1day 6h\"), a day (2026-11-24), RFC 3339 with its zone \
                 (2026-11-24T03:26:18Z), milliseconds, @seconds, or a time as listings show it"
            ))),
        }
    }
}

fn unknown_key(written: &str, place: usize) -> FilterError {
    let (key, path) = written.split_once('.').map_or((written, None), |(key, path)| (key, Some(path)));
    let known = || KEYS.into_iter().chain(OTHER_NAMES.map(|(other, _)| other));
    let meant = match closest(key, known()) {
        Some("args" | "arg") if path.is_some() => Some(format!("args.{}", path.unwrap_or_default())),
        Some(meant) if path.is_none() => Some(meant.to_owned()),
        _ => None,
    };
    let meant = meant.map(|meant| format!("; did you mean {meant}:?")).unwrap_or_default();
    let what = format!(
        "there is no key {written:?}{meant} Known are {} and args.PATH; to search for a text with a colon, put it in quotes",
        KEYS.join(", ")
    );
    let what = if meant.is_empty() { what.replacen(" Known", ". Known", 1) } else { what };
    FilterError { place, what }
}

/// The names and numbers behind `args.`.
fn path_of(path: &str, key_at: usize) -> Result<Vec<String>, FilterError> {
    let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
    if parts.iter().any(String::is_empty) || parts.len() > DEEPEST {
        let what = "expected names or numbers with single points between them, such as args.to.city or args.0.to";
        return Err(FilterError { place: key_at + "args.".len(), what: what.to_owned() });
    }
    Ok(parts)
}

/// A text to be searched for, in lower case.
fn words(value: &Value) -> Result<String, FilterError> {
    let text = value.text().to_lowercase();
    if text.is_empty() {
        let what = "an empty text is in every record: is the shell variable set from which it comes?";
        return Err(FilterError { place: value.place, what: what.to_owned() });
    }
    Ok(text)
}

/// The first digits of an id.
fn digits(value: &Value) -> Result<String, FilterError> {
    let text = value.text().to_ascii_lowercase();
    if (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text);
    }
    let what = format!("{text:?} is no id: expected up to 16 hexadecimal digits, as listings show them");
    Err(FilterError { place: value.place, what })
}

fn quality(value: &Value) -> Result<Quality, FilterError> {
    const QUALITIES: [&str; 4] = ["unknown", "stuck", "cancelled", "retried"];
    match value.text().as_str() {
        "unknown" => Ok(Quality::Unknown),
        "stuck" => Ok(Quality::Stuck),
        "cancelled" => Ok(Quality::Cancelled),
        "retried" => Ok(Quality::Retried),
        other => {
            let meant = closest(other, QUALITIES).map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            let what = format!("a failed job is none of {other:?}: expected {}{meant}", QUALITIES.join(", "));
            Err(FilterError { place: value.place, what })
        }
    }
}
