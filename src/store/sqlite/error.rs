//! What SQLite's errors mean to a caller.

use std::path::Path;

use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_CONSTRAINT_CHECK, SQLITE_CONSTRAINT_TRIGGER, SQLITE_IOERR_SHMSIZE};

use crate::store::error::StoreError;

/// What an error while opening a file means, with its path.
pub(super) fn explain(error: rusqlite::Error, path: &Path) -> StoreError {
    let path = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::Unsupported(format!("{path} is not a SQLite database")),
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Corrupt { place: path.to_string(), reason: error.to_string() },
        _ => match StoreError::from(error) {
            StoreError::Unavailable(reason) => StoreError::Unavailable(format!("{path}: {reason}")),
            StoreError::Full(reason) => StoreError::Full(format!("{path}: {reason}")),
            other => other,
        },
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error {
            rusqlite::Error::SqliteFailure(cause, _) => match cause.code {
                ErrorCode::DiskFull => Self::Full(text),
                // Where the disk has no room for the index of the log, SQLite calls that an I/O error.
                ErrorCode::SystemIoFailure if cause.extended_code == SQLITE_IOERR_SHMSIZE => Self::Full(text),
                ErrorCode::DatabaseCorrupt => Self::Corrupt { place: "the database file".to_owned(), reason: text },
                ErrorCode::NotADatabase => Self::Unsupported(text),
                // Our own schema has no such rules.
                ErrorCode::ConstraintViolation
                    if matches!(cause.extended_code, SQLITE_CONSTRAINT_TRIGGER | SQLITE_CONSTRAINT_CHECK) =>
                {
                    Self::Barred {
                        place: "the database".to_owned(),
                        reason: format!(
                            "a trigger or CHECK that somebody added refuses a row ({text}): look for it with sqlite3 FILE \
                             .schema, and drop it"
                        ),
                    }
                }
                ErrorCode::ConstraintViolation
                | ErrorCode::ApiMisuse
                | ErrorCode::TypeMismatch
                | ErrorCode::Unknown => Self::Misuse(text),
                // Busy, locked, I/O errors, a file that is gone or read-only, no memory.
                _ => Self::Unavailable(text),
            },
            rusqlite::Error::FromSqlConversionFailure(column, ..)
            | rusqlite::Error::IntegralValueOutOfRange(column, _)
            | rusqlite::Error::InvalidColumnType(column, ..) => {
                Self::Corrupt { place: format!("column {column} of a row"), reason: text }
            }
            rusqlite::Error::Utf8Error(column, _) => {
                Self::Corrupt { place: format!("column {column} of a row"), reason: text }
            }
            _ => Self::Misuse(text),
        }
    }
}

/// A statement changed so many rows of a table; it must have been at least these.
pub(super) fn at_least(due: usize, table: &str, changed: usize) -> Result<(), StoreError> {
    if changed < due { Err(ignored(table)) } else { Ok(()) }
}

/// A row of this table was not written or not removed, and SQLite told no error.
pub(super) fn ignored(table: &str) -> StoreError {
    StoreError::Barred {
        place: format!("table {table} of the database"),
        reason: format!(
            "a trigger that somebody added ignores a row of table {table}: look for it with sqlite3 FILE '.schema \
             {table}', and drop it"
        ),
    }
}
