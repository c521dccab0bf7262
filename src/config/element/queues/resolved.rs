//! The queues that a list of patterns stands for, and how they are found among all that are known.

use std::collections::{HashMap, HashSet};

use super::{Entry, MAX_MATCHES, Pattern, QueuePatterns};
use crate::job::{FirstQueues, QueueName};

/// The queues that a list of patterns stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedQueues {
    /// The queues, in order of priority.
    pub queues: Vec<QueueName>,
    /// How many more match, beyond [`MAX_MATCHES`].
    pub left_out: usize,
    /// If more match: the last match of a glob that is among them, and which entry that glob is.
    pub(super) end: Option<(usize, QueueName)>,
}

impl ResolvedQueues {
    /// These queues, if no more match.
    #[must_use]
    pub fn of(queues: Vec<QueueName>) -> Self {
        Self { queues, left_out: 0, end: None }
    }

    /// Would this queue be among them if it were known, and not only named?
    #[must_use]
    pub fn takes(&self, patterns: &QueuePatterns, queue: &QueueName) -> bool {
        let Some(at) = patterns.glob_of(queue) else { return false };
        self.end
            .as_ref()
            .is_none_or(|(end_at, end)| at < *end_at || at == *end_at && FirstQueues::is_before(queue, end))
    }

    /// The same with queues that have become known.
    #[must_use]
    pub fn with(&self, patterns: &QueuePatterns, queues: Vec<QueueName>) -> Self {
        let mut resolving = patterns.resolving();
        self.queues.iter().cloned().chain(queues).for_each(|queue| resolving.add(queue));
        let more = resolving.done();
        Self { left_out: self.left_out + more.left_out, end: more.end.or_else(|| self.end.clone()), ..more }
    }
}

/// Takes known queues and keeps what the patterns stand for: in the listed order, names always, the matches of a glob
/// by UTF-16 code unit as node-resque sorts them, no queue twice, none that is excluded. The globs stand for
/// [`MAX_MATCHES`] queues at most, because every claim and every look names all of them.
#[derive(Debug)]
pub struct Resolving<'p> {
    pub(super) patterns: &'p QueuePatterns,
    /// Where each queue stands that is named.
    pub(super) named: HashMap<&'p str, usize>,
    /// For each entry the queues for which it is the first glob that matches.
    pub(super) matches: Vec<FirstQueues>,
    /// Matches of globs that are named behind them, and so worked on in any case.
    pub(super) named_later: HashSet<QueueName>,
}

impl Resolving<'_> {
    /// A known queue.
    pub fn add(&mut self, queue: QueueName) {
        let Some(at) = self.patterns.glob_of(&queue) else { return };
        let named = self.named.get(queue.as_str());
        if named.is_some_and(|named| *named < at) {
            return;
        }
        if named.is_some() {
            self.named_later.insert(queue.clone());
        }
        if let Some(first) = self.matches.get_mut(at) {
            first.add(queue);
        }
    }

    /// What the patterns stand for.
    #[must_use]
    pub fn done(self) -> ResolvedQueues {
        let Self { patterns, matches, named_later, .. } = self;
        let (mut queues, mut left, mut left_out) = (Vec::new(), MAX_MATCHES, 0);
        let (mut seen, mut end) = (HashSet::new(), None);
        for (at, (entry, first)) in patterns.entries.iter().zip(matches).enumerate() {
            match entry {
                Entry::Include(Pattern::Name(queue)) => {
                    if !patterns.excludes(queue) && seen.insert(queue.clone()) {
                        // It was left out of a glob.
                        left_out -= usize::from(named_later.contains(queue) && left_out > 0);
                        queues.push(queue.clone());
                    }
                }
                Entry::Include(Pattern::Glob(_)) => {
                    let all = first.kept() + first.more();
                    let taken: Vec<_> = first.into_names().take(left).collect();
                    left -= taken.len();
                    left_out += all - taken.len();
                    end = taken.last().map(|last| (at, last.clone())).or(end);
                    seen.extend(taken.iter().cloned());
                    queues.extend(taken);
                }
                Entry::Exclude => {}
            }
        }
        ResolvedQueues { queues, left_out, end: end.filter(|_| left_out > 0) }
    }
}
