//! The queues to work on: names, globs and exclusions, in order of priority.

/// A list of patterns, such as `["critical", "mail_*", "!mail_slow", "*"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePatterns(Vec<String>);
