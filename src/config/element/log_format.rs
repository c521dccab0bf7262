//! The shape of a log line.

use std::fmt;

use crate::config::reader::Value;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people, in ActionHero's manner.
    Text,
    /// One JSON object a line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// Reads a format.
#[must_use]
pub fn read(value: &Value<'_>) -> Option<LogFormat> {
    if value.raw().as_str() == Some("journald") {
        value.report("\"journald\" is not built yet in this version; use \"text\", which the journal keeps well");
        return None;
    }
    value.one_of("\"text\" or \"json\"", &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}
