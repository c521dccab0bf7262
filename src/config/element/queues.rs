//! The queues to work on: names, globs and exclusions, in order of priority.
//!
//! An entry without any of `*`, `?`, `[`, `{` is a queue's name and is always worked on, whether the queue exists yet
//! or not. A glob stands for the queues that match it now; `*` matches every character, because the name of a queue is
//! not a path. `!pattern` excludes queues, at any position in the list.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::literal;
use crate::config::reader::Value;
use crate::job::{FirstQueues, QueueName};

mod glob;
mod resolved;

use self::glob::Glob;
pub use resolved::{ResolvedQueues, Resolving};

/// A list of patterns, such as `["critical", "mail_*", "!mail_slow", "*"]`.
#[derive(Clone)]
pub struct QueuePatterns {
    written: Vec<String>,
    entries: Vec<Entry>,
    excluded: Vec<Pattern>,
}

/// How many queues the globs of a list stand for at most.
pub const MAX_MATCHES: usize = 10_000;

#[derive(Debug, Clone)]
enum Entry {
    Include(Pattern),
    Exclude,
}

#[derive(Debug, Clone)]
enum Pattern {
    Name(QueueName),
    Glob(Glob),
}

/// Why a list of patterns is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueuePatternsError {
    /// An empty list.
    #[error("expected at least one queue (for no pool set min_task_processors and max_task_processors to 0)")]
    Empty,
    /// Only exclusions.
    #[error("expected at least one queue besides the exclusions, such as \"*\"")]
    OnlyExclusions,
    /// An entry that is not a name.
    #[error("expected a queue's name or a pattern (found {entry:?}: {reason})")]
    Entry {
        /// The entry as it was written.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl QueuePatterns {
    /// Checks a list of patterns.
    ///
    /// # Errors
    /// If it is empty, has exclusions only, or an entry is not a name or a pattern.
    pub fn new(written: Vec<String>) -> Result<Self, QueuePatternsError> {
        let mut entries = Vec::new();
        let mut excluded = Vec::new();
        for entry in &written {
            match entry.strip_prefix('!') {
                Some(pattern) => {
                    excluded.push(parse(entry, pattern)?);
                    entries.push(Entry::Exclude);
                }
                None => entries.push(Entry::Include(parse(entry, entry)?)),
            }
        }
        if written.is_empty() {
            Err(QueuePatternsError::Empty)
        } else if excluded.len() == written.len() {
            Err(QueuePatternsError::OnlyExclusions)
        } else {
            Ok(Self { written, entries, excluded })
        }
    }

    /// Every queue: `["*"]`.
    #[must_use]
    pub fn all() -> Self {
        Self::new(vec!["*".to_owned()]).expect("the pattern of all queues must be one")
    }

    /// The entries as they were written.
    #[must_use]
    pub fn written(&self) -> &[String] {
        &self.written
    }

    /// The list as it was configured, joined by commas: the queues part of a worker's name.
    #[must_use]
    pub fn as_configured(&self) -> String {
        self.written.join(",")
    }

    /// Do they stand for every queue?
    #[must_use]
    pub fn stand_for_all(&self) -> bool {
        self.excluded.is_empty() && self.written.iter().any(|entry| entry == "*")
    }

    /// Do the resolved queues depend on which queues exist?
    #[must_use]
    pub fn has_patterns(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::Include(Pattern::Glob(_))))
    }

    /// Do they stand for this queue, if it is known?
    #[must_use]
    pub fn stand_for(&self, queue: &QueueName) -> bool {
        let includes = |entry: &Entry| matches!(entry, Entry::Include(pattern) if pattern.is_match(queue));
        self.entries.iter().any(includes) && !self.excludes(queue)
    }

    /// The queues that are named, if nothing but names stands in the list.
    pub fn plain_names(&self) -> Option<impl Iterator<Item = &QueueName>> {
        let name = |entry| match entry {
            &Entry::Include(Pattern::Name(ref queue)) => Some(queue),
            _ => None,
        };
        self.entries.iter().all(|entry| name(entry).is_some()).then(|| self.entries.iter().filter_map(name))
    }

    /// The queues that it resolves to, given the known queues.
    #[must_use]
    pub fn resolve(&self, known: &[QueueName]) -> ResolvedQueues {
        let mut resolving = self.resolving();
        known.iter().for_each(|queue| resolving.add(queue.clone()));
        resolving.done()
    }

    /// The same for known queues that come one by one, in any order, and of which few are held.
    #[must_use]
    pub fn resolving(&self) -> Resolving<'_> {
        let mut named = HashMap::new();
        for (at, entry) in self.entries.iter().enumerate() {
            if let Entry::Include(Pattern::Name(queue)) = entry {
                named.entry(queue.as_str()).or_insert(at);
            }
        }
        let matches = self.entries.iter().map(|_| FirstQueues::new(MAX_MATCHES)).collect();
        Resolving { patterns: self, named, matches, named_later: HashSet::new(), busy: None }
    }

    /// Which entry is the first glob that matches this queue, unless it is excluded.
    fn glob_of(&self, queue: &QueueName) -> Option<usize> {
        let matches = |entry: &Entry| matches!(entry, Entry::Include(glob @ Pattern::Glob(_)) if glob.is_match(queue));
        self.entries.iter().position(matches).filter(|_| !self.excludes(queue))
    }

    fn excludes(&self, queue: &QueueName) -> bool {
        self.excluded.iter().any(|pattern| pattern.is_match(queue))
    }
}

impl fmt::Debug for QueuePatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QueuePatterns").field(&self.written).finish()
    }
}

impl PartialEq for QueuePatterns {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for QueuePatterns {}

impl Pattern {
    fn is_match(&self, queue: &QueueName) -> bool {
        match self {
            Self::Name(name) => name == queue,
            Self::Glob(glob) => glob.is_match(queue.as_str()),
        }
    }
}

fn parse(entry: &str, pattern: &str) -> Result<Pattern, QueuePatternsError> {
    let refuse = |reason: String| QueuePatternsError::Entry { entry: entry.to_owned(), reason };
    let name = QueueName::new(pattern).map_err(|error| refuse(error.to_string()))?;
    if pattern != pattern.trim() {
        return Err(refuse("blanks at its ends".to_owned()));
    }
    if !pattern.contains(['*', '?', '[', '{']) {
        // The worker's name joins the list by commas, so a queue with a comma would read as two.
        return if pattern.contains(',') {
            Err(refuse("a comma; write the queues as separate entries".to_owned()))
        } else {
            Ok(Pattern::Name(name))
        };
    }
    let glob = Glob::new(pattern).map_err(refuse)?;
    Ok(Pattern::Glob(glob))
}

/// Reads a list of patterns; a plain string is a list of one.
#[must_use]
pub fn read(value: &Value<'_>) -> Option<QueuePatterns> {
    let expected = "a list of queues, such as [\"critical\", \"mail_*\"]";
    let items = if value.raw().is_str() { vec![value.clone()] } else { value.list(expected)? };
    let mut good = true;
    let mut written = Vec::new();
    for item in items {
        let Some(text) = item.string_or("a queue's name or a pattern") else {
            good = false;
            continue;
        };
        literal::warn(&item, "write the name");
        // Each entry is checked by itself, so that its problem is reported at its own location.
        if let Err(error @ QueuePatternsError::Entry { .. }) = QueuePatterns::new(vec![text.to_owned()]) {
            item.report(error.to_string());
            good = false;
        }
        written.push(text.to_owned());
    }
    if !good {
        return None;
    }
    QueuePatterns::new(written).map_err(|error| value.report(error.to_string())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(patterns: &[&str], known: &[&str]) -> Vec<String> {
        let patterns = QueuePatterns::new(patterns.iter().map(ToString::to_string).collect()).unwrap();
        let known: Vec<_> = known.iter().map(|name| QueueName::as_stored(name)).collect();
        patterns.resolve(&known).queues.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_stand_always_and_globs_for_what_is_there() {
        assert_eq!(resolve(&["critical", "*"], &["math", "Zed", "alpha"]), ["critical", "Zed", "alpha", "math"]);
        assert_eq!(resolve(&["mail_*", "math"], &["math", "mail_b", "mail_a"]), ["mail_a", "mail_b", "math"]);
        assert_eq!(resolve(&["*", "math"], &[]), ["math"]);
    }

    #[test]
    fn no_queue_comes_twice_and_the_first_mention_ranks_it() {
        assert_eq!(resolve(&["b", "*", "a"], &["a", "b", "c"]), ["b", "a", "c"]);
    }

    #[test]
    fn only_a_star_without_exclusions_stands_for_all_queues() {
        let stand = |written: &[&str]| {
            let written = written.iter().map(|entry| (*entry).to_owned()).collect();
            QueuePatterns::new(written).unwrap().stand_for_all()
        };
        assert!(stand(&["*"]) && stand(&["high", "*"]) && QueuePatterns::all().stand_for_all());
        assert!(!stand(&["high"]) && !stand(&["*_mail"]) && !stand(&["*", "!slow"]));
    }

    #[test]
    fn a_queue_is_judged_alone_as_among_others() {
        let lists: [&[&str]; 6] =
            [&["*"], &["slow", "!s*", "*"], &["f*", "slow"], &["fast", "slow"], &["*", "!slow"], &["other"]];
        for written in lists {
            let patterns = QueuePatterns::new(written.iter().map(ToString::to_string).collect()).unwrap();
            for queue in ["fast", "slow"].map(QueueName::as_stored) {
                let resolved = patterns.resolve(std::slice::from_ref(&queue)).queues.contains(&queue);
                assert_eq!(patterns.stand_for(&queue), resolved, "{written:?}");
            }
            let plain = patterns.plain_names().map(|names| names.map(ToString::to_string).collect::<Vec<_>>());
            let is_plain = written.iter().all(|entry| !entry.contains(['*', '!']));
            assert_eq!(plain.is_some(), is_plain, "{written:?}");
            assert!(plain.is_none_or(|names| names == written));
        }
    }

    #[test]
    fn exclusions_hold_wherever_they_stand() {
        assert_eq!(resolve(&["*", "!slow"], &["fast", "slow"]), ["fast"]);
        assert_eq!(resolve(&["!s*", "slow", "*"], &["fast", "slow"]), ["fast"]);
    }

    #[test]
    fn globs_cross_every_character() {
        let known = ["a/b", "a.b", "a:b\u{e9}", "x1", "x2", "y1", ".a"];
        assert_eq!(resolve(&["a*"], &known), ["a.b", "a/b", "a:b\u{e9}"]);
        assert_eq!(resolve(&["x?"], &known), ["x1", "x2"]);
        assert_eq!(resolve(&["[xy]1"], &known), ["x1", "y1"]);
        assert_eq!(resolve(&["{x1,y*}"], &known), ["x1", "y1"]);
        assert_eq!(resolve(&["x{,1}"], &known), ["x1"]);
        assert_eq!(resolve(&["*"], &known).len(), known.len());
    }

    #[test]
    fn globs_match_characters_and_not_bytes() {
        let known = ["\u{fc}1", "\u{e4}1", "u1", "\u{1f600}1", "\u{1}1", "\u{2}1"];
        assert_eq!(resolve(&["?1"], &known).len(), known.len());
        assert_eq!(resolve(&["??1"], &known), Vec::<String>::new());
        assert_eq!(resolve(&["\u{fc}*"], &known), ["\u{fc}1"]);
        assert_eq!(resolve(&["{\u{fc},\u{1f600}}?"], &known), ["\u{fc}1", "\u{1f600}1"]);
        assert_eq!(resolve(&["[!u]1"], &known).len(), known.len() - 1);
        assert_eq!(resolve(&["[\u{e0}-\u{e4}]1"], &known), ["\u{e4}1"]);
    }

    #[test]
    fn order_is_that_of_javascript() {
        // U+FF21 sorts after U+1F600 in UTF-16 and before it in UTF-8.
        assert_eq!(resolve(&["*"], &["\u{ff21}", "\u{1f600}"]), ["\u{1f600}", "\u{ff21}"]);
    }

    #[test]
    fn what_is_no_list_of_queues_is_refused() {
        let refused =
            |list: &[&str]| QueuePatterns::new(list.iter().map(ToString::to_string).collect()).unwrap_err().to_string();
        assert!(refused(&[]).starts_with("expected at least one queue (for no pool"));
        assert!(refused(&["!a"]).starts_with("expected at least one queue besides"));
        assert!(refused(&[""]).contains("must not be empty"));
        assert!(refused(&["!"]).contains("must not be empty"));
        assert!(refused(&["a,b"]).contains("separate entries"));
        assert!(refused(&[" a"]).contains("blanks at its ends"));
        assert!(refused(&["[a"]).contains("\"[a\""));
        assert!(refused(&["{a"]).contains("\"{a\""));
    }

    #[test]
    fn the_list_is_shown_as_it_was_configured() {
        let patterns = QueuePatterns::new(vec!["a".to_owned(), "!b".to_owned(), "c*".to_owned()]).unwrap();
        assert_eq!(patterns.as_configured(), "a,!b,c*");
        assert!(patterns.has_patterns());
        assert!(!QueuePatterns::new(vec!["a".to_owned(), "!b*".to_owned()]).unwrap().has_patterns());
    }
}
