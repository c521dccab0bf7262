//! Columns as they are read. SQLite keeps whatever type a program wrote, so what others wrote into the file may be
//! anything: text where bytes are expected, bytes that are no UTF-8 where text is. These readers accept all of it.

use std::borrow::Cow;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::number::count;
use crate::store::stored::{Period, Second};

/// A value of any type, as it stands in a column. SQLite orders values of all types, so a place in an order may be any.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum AnyValue {
    Null,
    Integer(i64),
    Real(f64),
    /// May be no UTF-8.
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl AnyValue {
    /// Comes before all places but itself.
    pub(super) const FIRST: Self = Self::Real(f64::NEG_INFINITY);
}

impl FromSql for AnyValue {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(text.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        })
    }
}

impl ToSql for AnyValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Bytes, of text too; a number as it is written, nothing for NULL.
pub(super) fn bytes(value: ValueRef<'_>) -> Vec<u8> {
    seen(value).into_owned()
}

/// The same, not copied, for anyone who only compares them.
pub(super) fn seen(value: ValueRef<'_>) -> Cow<'_, [u8]> {
    match value {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Cow::Borrowed(bytes),
        ValueRef::Integer(number) => Cow::Owned(number.to_string().into_bytes()),
        ValueRef::Real(number) => Cow::Owned(number.to_string().into_bytes()),
        ValueRef::Null => Cow::Borrowed(&[]),
    }
}

/// Text; what is no UTF-8 in it is replaced.
pub(super) fn text(value: ValueRef<'_>) -> String {
    match String::from_utf8(bytes(value)) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// Text, unless it is NULL.
pub(super) fn opt_text(value: ValueRef<'_>) -> Option<String> {
    (value != ValueRef::Null).then(|| text(value))
}

/// A number, also one that is written as text.
pub(super) fn opt_int(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Integer(number) => Some(number),
        #[expect(clippy::cast_possible_truncation, reason = "it stops at the ends, and NaN becomes 0")]
        ValueRef::Real(number) => Some(number as i64),
        ValueRef::Text(text) | ValueRef::Blob(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        ValueRef::Null => None,
    }
}

/// A second of the Unix epoch that a date holds.
pub(super) fn second(value: ValueRef<'_>) -> Option<i64> {
    opt_int(value).and_then(|second| Second::try_from(second).ok()).map(Second::get)
}

/// A number of seconds that a date holds; 0 for any other.
pub(super) fn period(value: ValueRef<'_>) -> u64 {
    Period::try_from(number(value)).map_or(0, Period::get)
}

/// A count, which is never below zero; 0 for what is no number.
pub(super) fn number(value: ValueRef<'_>) -> u64 {
    count(opt_int(value).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_type_a_column_has_it_is_read() {
        let values = [
            ValueRef::Null,
            ValueRef::Integer(7),
            ValueRef::Real(1.5),
            ValueRef::Text(b"12"),
            ValueRef::Text(b"\xff"),
            ValueRef::Blob(b"\x00\xff"),
        ];
        assert_eq!(values.map(|value| bytes(value).len()), [0, 1, 3, 2, 1, 2]);
        assert_eq!(values.map(opt_int), [None, Some(7), Some(1), Some(12), None, None]);
        assert_eq!(text(values[4]), "\u{fffd}");
        assert_eq!((opt_text(ValueRef::Null), opt_text(ValueRef::Text(b""))), (None, Some(String::new())));
    }
}
