//! Workers of other programs. There may be thousands, on as many queues.

use std::collections::HashMap;

use crate::config::element::queues::QueuePatterns;
use crate::job::QueueName;

/// The workers, found by the queues that they work on.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    names: Vec<String>,
    /// The queues parts of their names.
    queues: Vec<Option<String>>,
    /// By the names of queues that they give.
    named: HashMap<QueueName, Vec<usize>>,
    /// Those whose patterns stand for queues by more than their names; workers with the same patterns together.
    patterned: Vec<(QueuePatterns, Vec<usize>)>,
}

impl Foreign {
    /// These workers, each with the queues part of its name.
    pub(super) fn of(workers: impl IntoIterator<Item = (String, Option<String>)>) -> Self {
        let (mut foreign, mut alike) = (Self::default(), HashMap::<String, Vec<usize>>::new());
        for (at, (name, queues)) in workers.into_iter().enumerate() {
            foreign.names.push(name);
            foreign.queues.push(queues.clone());
            if let Some(queues) = queues {
                alike.entry(queues).or_default().push(at);
            }
        }
        for (queues, workers) in alike {
            let Some(patterns) = patterns(&queues) else { continue };
            let named: Option<Vec<QueueName>> = patterns.plain_names().map(|names| names.cloned().collect());
            match named {
                Some(named) => named.into_iter().for_each(|queue| {
                    foreign.named.entry(queue).or_default().extend(&workers);
                }),
                None => foreign.patterned.push((patterns, workers)),
            }
        }
        foreign
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.names.len()
    }

    /// Each of them, with the queues that it works on.
    pub(super) fn works(&self) -> impl Iterator<Item = String> {
        self.names.iter().zip(&self.queues).map(|(name, queues)| match queues {
            Some(queues) => format!("{name} works on {queues}"),
            None => format!("{name} tells no queues"),
        })
    }

    /// The names of those that work on a queue.
    pub(super) fn on(&self, queue: &QueueName) -> Vec<&str> {
        let patterned = self.patterned.iter().filter(|(patterns, _)| patterns.stand_for(queue));
        let all = self.named.get(queue).into_iter().chain(patterned.map(|(_, workers)| workers)).flatten();
        let mut workers: Vec<usize> = all.copied().collect();
        workers.sort_unstable();
        workers.dedup();
        workers.into_iter().filter_map(|at| self.names.get(at)).map(String::as_str).collect()
    }
}

/// The queues part of a worker's name.
pub(super) fn patterns(queues: &str) -> Option<QueuePatterns> {
    QueuePatterns::new(queues.split(',').map(str::to_owned).collect()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_found_by_their_queues_whatever_these_are() {
        let all = [("a:1", "mail"), ("b:1", "*"), ("c:1", "mail,high"), ("d:1", "mail,m*,!mail"), ("e:1", "")];
        let workers =
            all.map(|(name, queues)| (name.to_owned(), Some(queues.to_owned()).filter(|text| !text.is_empty())));
        let foreign = Foreign::of(workers);
        let on = |queue: &str| foreign.on(&QueueName::as_stored(queue));
        assert_eq!(on("mail"), ["a:1", "b:1", "c:1"]);
        assert_eq!(on("high"), ["b:1", "c:1"]);
        assert_eq!(on("music"), ["b:1", "d:1"]);
        assert_eq!((foreign.count(), foreign.is_empty()), (5, false));
        let works: Vec<String> = foreign.works().skip(2).collect();
        assert_eq!(works, ["c:1 works on mail,high", "d:1 works on mail,m*,!mail", "e:1 tells no queues"]);
    }
}
