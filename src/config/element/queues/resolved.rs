//! The queues that a list of patterns stands for, and how they are found among all that are known.

use std::collections::{BTreeSet, HashMap, HashSet};

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
    /// If more match, and those with jobs were told: matches without jobs that are among them, the last first to go.
    pub(super) idle: Option<Vec<QueueName>>,
    /// Behind which match those with jobs begin the next time, if there were too many of them.
    pub(super) turn: Option<Turn>,
}

/// A match, after the entry of the list that it matches first.
pub(super) type Turn = (usize, String);

impl ResolvedQueues {
    /// These queues, if no more match.
    #[must_use]
    pub fn of(queues: Vec<QueueName>) -> Self {
        Self { queues, left_out: 0, end: None, idle: None, turn: None }
    }

    /// Do others with jobs wait for their turn?
    #[must_use]
    pub fn others_wait(&self) -> bool {
        self.turn.is_some()
    }

    /// Would this queue be among them if it were known, and not only named?
    #[must_use]
    pub fn takes(&self, patterns: &QueuePatterns, queue: &QueueName) -> bool {
        let Some(at) = patterns.glob_of(queue) else { return false };
        if let Some(idle) = &self.idle {
            // One that hears of jobs takes the place of one without.
            return !idle.is_empty();
        }
        self.end
            .as_ref()
            .is_none_or(|(end_at, end)| at < *end_at || at == *end_at && FirstQueues::is_before(queue, end))
    }

    /// The same with queues that have become known, or of which jobs were heard.
    #[must_use]
    pub fn with(&self, patterns: &QueuePatterns, queues: Vec<QueueName>) -> Self {
        let mut resolving = patterns.resolving();
        let Some(idle) = &self.idle else {
            self.queues.iter().cloned().chain(queues).for_each(|queue| resolving.add(queue));
            let more = resolving.done();
            return Self {
                left_out: self.left_out + more.left_out,
                end: more.end.or_else(|| self.end.clone()),
                ..more
            };
        };
        let (mut idle, known): (_, HashSet<&QueueName>) = (idle.clone(), self.queues.iter().collect());
        let mut new: Vec<_> = queues.into_iter().filter(|queue| !known.contains(queue)).collect();
        // The others have their turn when all names are read again.
        new.truncate(idle.len());
        let gone: HashSet<QueueName> = idle.drain(idle.len() - new.len()..).collect();
        let stay = self.queues.iter().filter(|queue| !gone.contains(*queue)).cloned();
        stay.chain(new).for_each(|queue| resolving.add(queue));
        let queues = resolving.done().queues;
        Self { queues, idle: Some(idle), ..self.clone() }
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
    /// Matches with jobs, and how many there are.
    pub(super) busy: Option<Busy>,
}

/// The matches with jobs that have their turn: those behind a match, and then those before it.
#[derive(Debug)]
pub(super) struct Busy {
    begin: Option<Turn>,
    behind: BTreeSet<Turn>,
    before: BTreeSet<Turn>,
    more: bool,
}

impl Busy {
    fn add(&mut self, turn: Turn) {
        let is_behind = self.begin.as_ref().is_none_or(|begin| turn > *begin);
        let set = if is_behind { &mut self.behind } else { &mut self.before };
        set.insert(turn);
        if set.len() > MAX_MATCHES {
            set.pop_last();
            self.more = true;
        }
    }

    /// Those that have their turn, and behind which it goes on if there are more.
    fn taken(self) -> (Vec<Turn>, Option<Turn>) {
        let all = self.behind.len() + self.before.len();
        let taken: Vec<_> = self.behind.into_iter().chain(self.before).take(MAX_MATCHES).collect();
        let turn = taken.last().filter(|_| self.more || all > taken.len()).cloned();
        (taken, turn)
    }
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

    /// Do more queues match than are worked on? Then those with jobs are to be added by [`Self::add_busy`].
    #[must_use]
    pub fn is_too_many(&self) -> bool {
        self.matches.iter().map(|first| first.kept() + first.more()).sum::<usize>() > MAX_MATCHES
    }

    /// Those with jobs follow, and come first. If there are too many, they begin behind the match at which `before` ended.
    pub fn begin_busy(&mut self, before: Option<&ResolvedQueues>) {
        let begin = before.and_then(|before| before.turn.clone());
        self.busy = Some(Busy { begin, behind: BTreeSet::new(), before: BTreeSet::new(), more: false });
    }

    /// Does it depend on its jobs whether this queue is worked on?
    #[must_use]
    pub fn is_match(&self, queue: &QueueName) -> bool {
        self.patterns.glob_of(queue).is_some()
    }

    /// A queue that holds jobs, and was added before.
    pub fn add_busy(&mut self, queue: QueueName) {
        let Some(at) = self.patterns.glob_of(&queue) else { return };
        if self.named.get(queue.as_str()).is_none_or(|named| *named >= at)
            && let Some(busy) = &mut self.busy
        {
            busy.add((at, queue.as_str().to_owned()));
        }
    }

    /// What the patterns stand for.
    #[must_use]
    pub fn done(mut self) -> ResolvedQueues {
        let Some(busy) = self.busy.take() else { return self.first() };
        let all: usize = self.matches.iter().map(|first| first.kept() + first.more()).sum();
        let (taken, turn) = busy.taken();
        let is_busy: HashSet<QueueName> = taken.iter().map(|(_, queue)| QueueName::as_stored(queue)).collect();
        let mut chosen: Vec<FirstQueues> = self.matches.iter().map(|_| FirstQueues::new(MAX_MATCHES)).collect();
        let mut left = MAX_MATCHES - taken.len();
        for (at, queue) in taken {
            chosen[at].add(QueueName::as_stored(&queue));
        }
        let mut idle = Vec::new();
        for (first, chosen) in std::mem::take(&mut self.matches).into_iter().zip(&mut chosen) {
            for queue in first.into_names().filter(|queue| !is_busy.contains(queue)).take(left) {
                left -= 1;
                idle.push(queue.clone());
                chosen.add(queue);
            }
        }
        let named_later = self.named_later.len();
        self.matches = chosen;
        let first = self.first();
        let left_out = all.saturating_sub(MAX_MATCHES).saturating_sub(named_later);
        ResolvedQueues { left_out, idle: Some(idle), turn, ..first }
    }

    /// The first of them.
    fn first(self) -> ResolvedQueues {
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
        ResolvedQueues { queues, left_out, end: end.filter(|_| left_out > 0), idle: None, turn: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> QueueName {
        QueueName::as_stored(name)
    }

    fn look(
        patterns: &QueuePatterns,
        idle: &[QueueName],
        busy: &[QueueName],
        before: Option<&ResolvedQueues>,
    ) -> ResolvedQueues {
        let mut resolving = patterns.resolving();
        idle.iter().chain(busy).for_each(|queue| resolving.add(queue.clone()));
        assert!(resolving.is_too_many());
        resolving.begin_busy(before);
        busy.iter().for_each(|queue| resolving.add_busy(queue.clone()));
        resolving.done()
    }

    #[test]
    fn queues_with_jobs_come_before_those_without_if_too_many_match() {
        let patterns = QueuePatterns::new(vec!["a*".to_owned(), "z9".to_owned(), "*".to_owned()]).unwrap();
        let empty: Vec<_> = (0..MAX_MATCHES * 2).map(|n| name(&format!("a{n:05}"))).collect();
        let busy = ["z1", "a19999", "z9"].map(name);
        let found = look(&patterns, &empty, &busy, None);
        assert_eq!((found.queues.len(), found.left_out), (MAX_MATCHES + 1, MAX_MATCHES + 2));
        let ends: Vec<_> = found.queues[MAX_MATCHES - 2..].iter().map(QueueName::as_str).collect();
        assert_eq!(ends, ["a19999", "z9", "z1"], "in the order of the list");
        // One of which jobs are heard takes the place of an empty one.
        let (new, known) = (name("z5"), found.queues.clone());
        assert!(found.takes(&patterns, &new));
        let grown = found.with(&patterns, vec![new.clone(), busy[0].clone()]);
        assert!(grown.queues.contains(&new) && busy.iter().all(|queue| grown.queues.contains(queue)));
        assert_eq!(grown.queues.len(), known.len());
    }

    #[test]
    fn every_queue_with_jobs_has_its_turn() {
        let patterns = QueuePatterns::all();
        let busy: Vec<_> = (0..MAX_MATCHES * 2 + 5).map(|n| name(&format!("q{n:05}"))).collect();
        let (mut before, mut worked_on) = (None, HashSet::new());
        for _ in 0..3 {
            let found = look(&patterns, &[name("a")], &busy, before.as_ref());
            assert_eq!((found.queues.len(), found.left_out), (MAX_MATCHES, MAX_MATCHES + 6));
            assert!(!found.takes(&patterns, &name("z")), "there is no room");
            worked_on.extend(found.queues.iter().cloned());
            before = Some(found);
        }
        assert_eq!(worked_on.len(), busy.len());
    }
}
