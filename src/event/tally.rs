//! The tally: what this process has seen of the ends of jobs since it started, by task and queue.
//!
//! There is one for a daemon. The lanes and the scheduler count in it, metrics read its totals, and what the store keeps as
//! history is what the totals have grown by. Counting takes no lock and allocates nothing: a [`Counter`] keeps where each pair
//! of task and queue is counted, and the numbers are atomic. A new pair takes the lock once.
//!
//! It is bounded, whatever the jobs are: so many tasks and pairs, and all others count under [`OTHER`].

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::job::run_counts::{DURATION_BUCKETS, bucket_of};
use crate::job::{QueueName, RunCounts, RunEnd, TaskName};

/// Stands for the tasks or queues that are too many to be counted one by one.
pub const OTHER: &str = "_other";
/// Stands for the classes that no task here has.
pub const UNKNOWN: &str = "_unknown";
/// Stands for all tasks together.
pub const ALL: &str = "_all";

/// How many tasks are counted one by one.
pub const MOST_TASKS: usize = 200;
/// How many queues are counted one by one.
const MOST_QUEUES: usize = 500;
/// How many pairs of task and queue are.
const MOST_PAIRS: usize = 2000;

/// Counts that only grow. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Tally(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<Known>,
    /// Grows with everything that is counted.
    counted: Arc<AtomicU64>,
}

/// What is counted where.
#[derive(Debug, Default)]
struct Known {
    tasks: Vec<Arc<TaskSeries>>,
    queues: HashSet<QueueName>,
    pairs: HashMap<(TaskName, QueueName), Arc<Series>>,
}

/// The counts of a task.
#[derive(Debug)]
struct TaskSeries {
    task: TaskName,
    ends: [AtomicU64; RunEnd::ALL.len()],
    ms: AtomicU64,
    durations: [AtomicU64; DURATION_BUCKETS],
}

/// Where the jobs of a task from a queue are counted.
#[derive(Debug)]
pub struct Series {
    counted: Arc<AtomicU64>,
    task: Arc<TaskSeries>,
    ends: [AtomicU64; RunEnd::ALL.len()],
}

/// How the jobs of a task from a queue ended since the process started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairTotals {
    /// The task.
    pub task: TaskName,
    /// The queue.
    pub queue: QueueName,
    /// How many ended in each way, in the order of [`RunEnd::ALL`].
    pub ends: [u64; RunEnd::ALL.len()],
}

impl Tally {
    /// Who counts often, from one thread.
    #[must_use]
    pub fn counter(&self) -> Counter {
        Counter { tally: self.clone(), found: RefCell::default() }
    }

    /// Counts one job. `task` is `None` for a class that no task here has.
    pub fn count(&self, task: Option<&TaskName>, queue: &QueueName, end: RunEnd, ran_ms: Option<u64>) {
        self.series(task, queue).count(end, ran_ms);
    }

    /// Grows when something was counted.
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.0.counted.load(Ordering::Acquire)
    }

    /// The totals of each task, in the order in which the tasks came up: a task keeps its place.
    #[must_use]
    pub fn tasks(&self) -> Vec<(TaskName, RunCounts)> {
        let tasks = self.known().tasks.clone();
        tasks.iter().map(|series| (series.task.clone(), series.read())).collect()
    }

    /// The totals of each pair of task and queue, in no order.
    #[must_use]
    pub fn pairs(&self) -> Vec<PairTotals> {
        let pairs: Vec<_> =
            self.known().pairs.iter().map(|(pair, series)| (pair.clone(), Arc::clone(series))).collect();
        let totals = |((task, queue), series): ((TaskName, QueueName), Arc<Series>)| PairTotals {
            task,
            queue,
            ends: read(&series.ends),
        };
        pairs.into_iter().map(totals).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where jobs of this task from this queue are counted.
    fn series(&self, task: Option<&TaskName>, queue: &QueueName) -> Arc<Series> {
        let mut known = self.known();
        let Known { tasks, queues, pairs } = &mut *known;
        let one_by_one = |name: &&TaskName| {
            let named = tasks.iter().filter(|series| !is_reserved(series.task.as_str())).count();
            !is_reserved(name.as_str()) && (named < MOST_TASKS || tasks.iter().any(|series| series.task == **name))
        };
        let name = match task {
            Some(task) => Some(task).filter(one_by_one).cloned().unwrap_or_else(|| TaskName::as_stored(OTHER)),
            None => TaskName::as_stored(UNKNOWN),
        };
        let mut pair = (name, queue.clone());
        if !pairs.contains_key(&pair)
            && (pairs.len() >= MOST_PAIRS || !queues.contains(queue) && queues.len() >= MOST_QUEUES)
        {
            pair.1 = QueueName::as_stored(OTHER);
        }
        if let Some(series) = pairs.get(&pair) {
            return Arc::clone(series);
        }
        let task = if let Some(series) = tasks.iter().find(|series| series.task == pair.0) {
            Arc::clone(series)
        } else {
            let series = Arc::new(TaskSeries::new(pair.0.clone()));
            tasks.push(Arc::clone(&series));
            series
        };
        queues.insert(pair.1.clone());
        let series = Arc::new(Series { counted: Arc::clone(&self.0.counted), task, ends: Default::default() });
        pairs.insert(pair, Arc::clone(&series));
        series
    }
}

/// Does this name stand for several tasks?
#[must_use]
pub fn is_reserved(task: &str) -> bool {
    [OTHER, UNKNOWN, ALL].contains(&task)
}

impl TaskSeries {
    fn new(task: TaskName) -> Self {
        Self { task, ends: Default::default(), ms: AtomicU64::new(0), durations: Default::default() }
    }

    fn read(&self) -> RunCounts {
        RunCounts { ends: read(&self.ends), ms: self.ms.load(Ordering::Relaxed), durations: read(&self.durations) }
    }
}

impl Series {
    /// Counts one job. `ran_ms` is how long its run took, if it ran.
    pub fn count(&self, end: RunEnd, ran_ms: Option<u64>) {
        let add = |to: &AtomicU64, number| to.fetch_add(number, Ordering::Relaxed);
        add(&self.ends[end as usize], 1);
        add(&self.task.ends[end as usize], 1);
        if let Some(ms) = ran_ms {
            add(&self.task.ms, ms);
            add(&self.task.durations[bucket_of(ms)], 1);
        }
        // After the rest, so that who sees it grown sees the rest.
        self.counted.fetch_add(1, Ordering::Release);
    }
}

fn read<const N: usize>(numbers: &[AtomicU64; N]) -> [u64; N] {
    std::array::from_fn(|index| numbers[index].load(Ordering::Relaxed))
}

/// How many pairs a counter remembers.
const MOST_FOUND: usize = 2 * MOST_PAIRS;

/// Counts often, from one thread: remembers where each pair of task and queue is counted.
#[derive(Debug)]
pub struct Counter {
    tally: Tally,
    found: RefCell<Found>,
}

#[derive(Debug, Default)]
struct Found {
    /// The last one: often the next one is the same.
    last: Option<(Option<TaskName>, QueueName, Arc<Series>)>,
    pairs: HashMap<Option<TaskName>, HashMap<QueueName, Arc<Series>>>,
    count: usize,
}

impl Counter {
    /// Counts one job. `task` is `None` for a class that no task here has.
    pub fn count(&self, task: Option<&TaskName>, queue: &QueueName, end: RunEnd, ran_ms: Option<u64>) {
        self.series(task, queue).count(end, ran_ms);
    }

    /// Where jobs of this task from this queue are counted. `task` is `None` for a class that no task here has.
    #[must_use]
    pub fn series(&self, task: Option<&TaskName>, queue: &QueueName) -> Arc<Series> {
        let mut found = self.found.borrow_mut();
        if let Some((last_task, last_queue, series)) = &found.last
            && last_task.as_ref() == task
            && last_queue == queue
        {
            return Arc::clone(series);
        }
        let task = task.cloned();
        let known = found.pairs.get(&task).and_then(|queues| queues.get(queue)).map(Arc::clone);
        let series = known.unwrap_or_else(|| {
            if found.count >= MOST_FOUND {
                found.pairs.clear();
                found.count = 0;
            }
            let series = self.tally.series(task.as_ref(), queue);
            found.count += 1;
            found.pairs.entry(task.clone()).or_default().insert(queue.clone(), Arc::clone(&series));
            series
        });
        found.last = Some((task, queue.clone(), Arc::clone(&series)));
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str) -> TaskName {
        TaskName::as_stored(name)
    }

    fn queue(name: &str) -> QueueName {
        QueueName::as_stored(name)
    }

    #[test]
    fn counts_by_task_and_by_queue_are_of_the_same_jobs() {
        let tally = Tally::default();
        let counter = tally.counter();
        for (from, end) in [("a", RunEnd::Done), ("b", RunEnd::Done), ("a", RunEnd::Failed)] {
            counter.count(Some(&task("t")), &queue(from), end, Some(7));
        }
        tally.count(None, &queue("a"), RunEnd::Failed, None);
        let mut expected = RunCounts::default();
        [RunEnd::Done, RunEnd::Done, RunEnd::Failed].into_iter().for_each(|end| expected.count(end, Some(7)));
        let tasks = tally.tasks();
        assert_eq!(tasks[0], (task("t"), expected));
        assert_eq!((tasks[1].0.as_str(), tasks[1].1.of(RunEnd::Failed)), (UNKNOWN, 1));
        let done: Vec<_> = tally.pairs().into_iter().filter(|pair| pair.ends[0] == 1).map(|pair| pair.queue).collect();
        assert_eq!(done.len(), 2, "one from each queue: {done:?}");
        assert_eq!(tally.counted(), 4);
    }

    #[test]
    fn however_many_tasks_and_queues_there_are_memory_is_bounded_and_nothing_is_lost() {
        let tally = Tally::default();
        let counter = tally.counter();
        for n in 0..10_000 {
            counter.count(Some(&task(&format!("t{}", n % 777))), &queue(&format!("q{n}")), RunEnd::Done, Some(1));
        }
        counter.count(Some(&task("t1")), &queue("q1"), RunEnd::Done, Some(1));
        let (tasks, pairs) = (tally.tasks(), tally.pairs());
        assert_eq!(tasks.len(), MOST_TASKS + 1);
        assert!(pairs.len() <= MOST_PAIRS + MOST_TASKS + 1, "{}", pairs.len());
        assert!(counter.found.borrow().pairs.values().map(HashMap::len).sum::<usize>() <= MOST_FOUND);
        assert_eq!(tasks.iter().map(|(_, counts)| counts.of(RunEnd::Done)).sum::<u64>(), 10_001);
        assert_eq!(pairs.iter().map(|pair| pair.ends[0]).sum::<u64>(), 10_001);
        let queues: HashSet<_> = pairs.iter().map(|pair| &pair.queue).collect();
        assert_eq!(queues.len(), MOST_QUEUES + 1);
    }

    #[test]
    fn a_task_that_is_called_as_a_sum_is_no_sum() {
        let tally = Tally::default();
        [ALL, UNKNOWN, OTHER]
            .into_iter()
            .for_each(|name| tally.count(Some(&task(name)), &queue("q"), RunEnd::Done, None));
        let tasks = tally.tasks();
        assert_eq!((tasks.len(), tasks[0].0.as_str(), tasks[0].1.of(RunEnd::Done)), (1, OTHER, 3));
    }
}
