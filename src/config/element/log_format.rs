//! The shape of a log line.

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people, in ActionHero's manner.
    Text,
    /// One JSON object a line.
    Json,
}
