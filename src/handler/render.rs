//! Placeholders: a job's arguments inside the items of argv.
//!
//! Values come from producers that may not be trusted, and go to a program that may read any item as an option. A
//! value that is missing or unusable is therefore a named error before anything is started. Strings are inserted raw,
//! other values as the JSON text that the producer wrote. No I/O.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::task::handler_spec::{ExecSpec, Piece, Template};

/// The longest item that the kernel accepts: 128 KiB with the final NUL.
pub(crate) const ITEM_CAP: usize = 128 * 1024 - 1;

/// What placeholders are filled with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    /// The arguments, one JSON array.
    pub args: &'a [u8],
    /// `{job.id}`.
    pub id: &'a str,
    /// `{job.queue}`.
    pub queue: &'a str,
}

/// Why argv could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgvError {
    /// The arguments are no JSON array.
    #[error("its arguments are not a JSON array")]
    Args,
    /// A placeholder's value cannot be used.
    #[error("placeholder {written}: {error}")]
    Value {
        /// The placeholder, in braces.
        written: String,
        /// What is wrong.
        error: ValueError,
    },
}

/// What is wrong with a placeholder's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueError {
    /// There is no value, or it is null.
    Missing,
    /// It holds a NUL character.
    Nul,
    /// The item would be this many bytes long, which is too long.
    Long(usize),
    /// It holds a lone surrogate.
    Surrogate,
    /// Its item begins with a dash where the program would read it as an option.
    Dash,
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the job's arguments hold no value for it"),
            Self::Nul => f.write_str("its value holds a NUL character, which no program can be given"),
            Self::Long(bytes) => {
                write!(f, "its item would be {bytes} bytes long, and a program takes {ITEM_CAP} at most")
            }
            Self::Surrogate => {
                f.write_str("its value holds half of a surrogate pair (\\ud800 to \\udfff), which is no text")
            }
            Self::Dash => f.write_str(
                "its item begins with a dash and would be read as an option (put \"--\" before the item, begin it with \"./\" \
                 if it is a file, or set allow_dash)",
            ),
        }
    }
}

/// Makes argv.
///
/// # Errors
/// Names the first placeholder whose value cannot be used.
pub(crate) fn argv(spec: &ExecSpec, values: Values<'_>) -> Result<Vec<String>, ArgvError> {
    let mut arguments = None;
    let mut options_over = spec.allow_dash;
    let mut argv = Vec::with_capacity(spec.argv.len());
    for (position, template) in spec.argv.iter().enumerate() {
        let item = item(template, values, &mut arguments, options_over)?;
        options_over |= spec.options_end_from.is_some_and(|from| position >= from) && template.as_text() == Some("--");
        argv.push(item);
    }
    Ok(argv)
}

fn item<'a>(
    template: &Template,
    values: Values<'a>,
    arguments: &mut Option<Vec<&'a RawValue>>,
    options_over: bool,
) -> Result<String, ArgvError> {
    let mut item = String::new();
    let value_error = |piece: &Piece, error| Err(ArgvError::Value { written: written(piece), error });
    for piece in &template.pieces {
        let value = match piece {
            Piece::Text(text) => Ok(Cow::Borrowed(text.as_str())),
            Piece::JobId => Ok(Cow::Borrowed(values.id)),
            Piece::JobQueue => Ok(Cow::Borrowed(values.queue)),
            Piece::Arg { index, path, .. } => {
                if arguments.is_none() {
                    *arguments = Some(serde_json::from_slice(values.args).map_err(|_| ArgvError::Args)?);
                }
                find(arguments.as_deref().unwrap_or_default(), *index, path).and_then(text)
            }
        };
        match value {
            Err(error) => return value_error(piece, error),
            Ok(value) if is_placeholder(piece) && value.contains('\0') => return value_error(piece, ValueError::Nul),
            Ok(value) => item.push_str(&value),
        }
        if is_placeholder(piece) && item.len() > ITEM_CAP {
            return value_error(piece, ValueError::Long(item.len()));
        }
    }
    // Judged when it is finished: an empty value may leave a dash of a later piece at the front.
    match template.pieces.iter().find(|piece| is_placeholder(piece)) {
        Some(first) if item.starts_with('-') && !options_over && template.begins_with_placeholder() => {
            value_error(first, ValueError::Dash)
        }
        _ => Ok(item),
    }
}

fn is_placeholder(piece: &Piece) -> bool {
    !matches!(piece, Piece::Text(_))
}

fn written(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => text.clone(),
        Piece::JobId => "{job.id}".to_owned(),
        Piece::JobQueue => "{job.queue}".to_owned(),
        // Shown in braces, whether it was written with them or not.
        Piece::Arg { written, .. } => format!("{{{}}}", written.trim_start_matches('{').trim_end_matches('}')),
    }
}

/// Follows a path. Only the levels on the way are parsed, and nothing is re-encoded.
fn find<'a>(arguments: &[&'a RawValue], index: usize, path: &[String]) -> Result<&'a RawValue, ValueError> {
    let mut value = *arguments.get(index).ok_or(ValueError::Missing)?;
    for step in path {
        value = child(value, step).ok_or(ValueError::Missing)?;
    }
    if value.get() == "null" { Err(ValueError::Missing) } else { Ok(value) }
}

fn child<'a>(value: &'a RawValue, step: &str) -> Option<&'a RawValue> {
    match value.get().as_bytes().first()? {
        b'{' => serde_json::Deserializer::from_str(value.get()).deserialize_map(Member(step)).ok()?,
        b'[' => {
            // A position has one form only: `07` and `+7` are not positions.
            let position: usize = step.parse().ok().filter(|position: &usize| position.to_string() == step)?;
            serde_json::from_str::<Vec<&RawValue>>(value.get()).ok()?.get(position).copied()
        }
        _ => None,
    }
}

/// Finds one member of an object: as in ECMAScript, the last one of that name wins.
struct Member<'k>(&'k str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Key(is_ours)) = map.next_key_seed(KeySeed(self.0))? {
            if is_ours {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct Key(bool);

/// Compares a key as bytes, so that an invalid key does not hide the others.
struct KeySeed<'k>(&'k str);

impl<'de> serde::de::DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Key, E> {
        Ok(Key(key == self.0.as_bytes()))
    }

    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(Key(key == self.0))
    }
}

fn text(value: &RawValue) -> Result<Cow<'_, str>, ValueError> {
    let raw = value.get();
    if !raw.starts_with('"') {
        return Ok(Cow::Borrowed(raw));
    }
    // The value is valid JSON, so only a lone surrogate cannot be decoded.
    serde_json::from_str::<String>(raw).map(Cow::Owned).map_err(|_| ValueError::Surrogate)
}

#[cfg(test)]
mod tests;
