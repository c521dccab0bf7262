//! The levels and the format of log lines.

use std::fmt;

use crate::config::reader::Value;

/// At which level an event is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EventLevel {
    /// The event is not logged.
    Off,
    /// `error`.
    Error,
    /// `warn`.
    Warn,
    /// `info`.
    Info,
    /// `debug`.
    Debug,
    /// `trace`.
    Trace,
}

/// The names of levels: our own, and those of winston and syslog that ActionHero's files use.
const LEVELS: [(&str, EventLevel); 15] = [
    ("off", EventLevel::Off),
    ("error", EventLevel::Error),
    ("warn", EventLevel::Warn),
    ("info", EventLevel::Info),
    ("debug", EventLevel::Debug),
    ("trace", EventLevel::Trace),
    ("warning", EventLevel::Warn),
    ("notice", EventLevel::Info),
    ("emerg", EventLevel::Error),
    ("alert", EventLevel::Error),
    ("crit", EventLevel::Error),
    ("http", EventLevel::Debug),
    ("verbose", EventLevel::Debug),
    ("silly", EventLevel::Trace),
    ("none", EventLevel::Off),
];

impl EventLevel {
    /// The level that a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        LEVELS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
    }

    /// The word for the level.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for EventLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads a level.
#[must_use]
pub fn read_level(value: &Value<'_>) -> Option<EventLevel> {
    value.one_of("a level: off, error, warn, info, debug or trace", &LEVELS)
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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
pub fn read_format(value: &Value<'_>) -> Option<LogFormat> {
    if value.raw().as_str() == Some("journald") {
        value.report("\"journald\" is not built yet in this version; use \"text\", which the journal keeps well");
        return None;
    }
    value.one_of("\"text\" or \"json\"", &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}

/// Reads a filter: levels of targets, and one for all others.
#[cfg(feature = "daemon")]
#[must_use]
pub fn targets(text: &str) -> Option<tracing_subscriber::filter::Targets> {
    // Spans and fields, which brackets stand for in filters of `tracing`, are not told apart.
    if text.contains(['[', ']', '{', '}']) {
        return None;
    }
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    parts.join(",").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_actionhero_are_understood() {
        assert_eq!(EventLevel::from_word("notice"), Some(EventLevel::Info));
        assert_eq!(EventLevel::from_word("warning"), Some(EventLevel::Warn));
        assert_eq!(EventLevel::from_word("CRIT"), Some(EventLevel::Error));
        assert_eq!(EventLevel::from_word("loud"), None);
    }

    #[test]
    fn every_level_is_read_as_it_is_shown() {
        for (_, level) in LEVELS {
            assert_eq!(EventLevel::from_word(level.as_str()), Some(level));
        }
    }
}
