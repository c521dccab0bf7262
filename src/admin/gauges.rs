//! What metrics tell of the whole fleet: numbers of the store, each read within a round trip, and rarely what takes more.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::error::AdminError;
use super::queue_wait::Waits;
use crate::config::element::queues::QueuePatterns;
use crate::job::{FirstQueues, QueueName, RunOutcome, TaskName, WorkerName};
use crate::store::delayed::{DelayedCursor, DelayedSeconds};
use crate::store::effect::HALTED_S;
use crate::store::handle::Store;
use crate::store::inspection::{FailedCount, QueueLengths, ReadPaused};
use crate::store::instance::{InstanceState, Instances};
use crate::store::periodic::{Periodic, PeriodicEntry};
use crate::store::queueing::QueueNames;
use crate::store::role::Admin;
use crate::store::runs::{ReadRuns, RunList};
use crate::store::sampling::ReadSnapshot;
use crate::store::snapshot::Snapshot;
use crate::store::workers::WorkerNames;
use crate::task::definition::Registry;
use crate::task::schedule::Cadence;

/// How many queues and periodic tasks are told, the first by name, and how many workers are looked at.
const MOST_QUEUES: usize = 500;
const MOST_TASKS: usize = 200;
const MOST_WORKERS: usize = 5000;
/// How old names, workers and runs may be: reading them takes more than one round trip.
const SELDOM: Duration = Duration::from_secs(10);
/// How many runs are looked at for the last that succeeded, at first and later.
const RUNS_AT_FIRST: usize = 20;
const RUNS: usize = 3;

/// The gauges.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Gauges {
    /// When they were read, by the store's time, in milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// The length of the failed list.
    pub failed: u64,
    /// The registered instances.
    pub instances: u64,
    /// How long the first delayed job has been due.
    pub promotion_lag: Duration,
    /// The queues, at most 500. Of more, those that hold jobs come first, as far as the leader has seen.
    pub queues: Vec<QueueGauge>,
    /// Are there more?
    pub more_queues: bool,
    /// The periodic tasks.
    pub periodic: Vec<PeriodicGauge>,
    /// When tasks and schedules whose runs are kept succeeded last, in milliseconds since the Unix epoch.
    pub successes: Vec<(String, i64)>,
    /// When their last run ended, whatever came of it.
    pub ends: Vec<(String, i64)>,
    /// The registered workers.
    pub workers: WorkerCounts,
    /// What the leader sampled last, if that is of the present.
    pub snapshot: Option<Snapshot>,
}

/// How many workers are registered, at most 5000 of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerCounts {
    /// Processors of Windlass that claim.
    pub claiming: u64,
    /// Those of instances that are paused or drain.
    pub halted: u64,
    /// Workers of other programs, of which only their registration is known.
    pub others: u64,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueGauge {
    /// Its name.
    pub queue: QueueName,
    /// Its jobs.
    pub jobs: u64,
    /// Is it paused, by itself or with all?
    pub paused: bool,
    /// The workers that would claim from it if it were not.
    pub processors: u64,
}

/// A periodic task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeriodicGauge {
    /// Its name.
    pub task: TaskName,
    /// The second for which its present job is or was due; `None` if it has none.
    pub due_s: Option<i64>,
    /// For how long that job has been due and has not ended.
    pub overdue: Duration,
    /// The longer one of the times between the one before, this job and the next; `None` if that is not known here.
    pub interval: Option<Duration>,
    /// Is it stopped?
    pub stopped: bool,
}

/// Reads gauges, and keeps what changes seldom.
#[derive(Debug, Default)]
pub struct GaugeReader {
    seldom: Option<(Instant, Seldom)>,
    /// The last success of each task and schedule that was seen, and its last end.
    successes: HashMap<String, i64>,
    ends: HashMap<String, i64>,
    looked: HashSet<RunList>,
}

/// What changes seldom.
#[derive(Debug, Clone, Default)]
struct Seldom {
    queues: Vec<QueueName>,
    more_queues: bool,
    /// The workers that claim, by the queues that they work on, in the order of these.
    processors: Vec<u64>,
    workers: WorkerCounts,
    instances: u64,
}

impl GaugeReader {
    /// Reads the gauges.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn read(&mut self, store: &Store<Admin>, registry: &Registry) -> Result<Gauges, AdminError> {
        let renews = self.seldom.as_ref().is_none_or(|(at, _)| at.elapsed() >= SELDOM);
        if renews {
            self.seldom = Some((Instant::now(), Box::pin(seldom(store)).await?));
        }
        let Seldom { queues, more_queues, processors, workers, instances } =
            self.seldom.as_ref().map(|(_, seldom)| seldom.clone()).unwrap_or_default();
        let first = DelayedSeconds { from: DelayedCursor::first(), limit: 1 };
        // Each on the heap: together they are large, and a thread of a server has a small stack.
        let (published, failed, paused, lengths, entries, delayed) = tokio::join!(
            Box::pin(store.run(ReadSnapshot)),
            Box::pin(store.run(FailedCount)),
            Box::pin(store.run(ReadPaused)),
            Box::pin(store.run(QueueLengths { queues: queues.clone() })),
            Box::pin(store.run(Periodic::default())),
            Box::pin(store.run(first)),
        );
        let (published, paused) = (published?, paused?);
        let now_ms = published.now_ms;
        // One that cannot be read was written by another version.
        let snapshot = published.bytes.and_then(|bytes| Snapshot::read(&bytes).ok());
        let since = |due_s: i64| {
            let ms = now_ms.saturating_sub(due_s.saturating_mul(1000));
            Duration::from_millis(u64::try_from(ms).unwrap_or(0))
        };
        let one_by_one: HashSet<&QueueName> = paused.queues.iter().collect();
        let gauge = |((queue, jobs), processors): ((QueueName, u64), u64)| QueueGauge {
            paused: paused.all || one_by_one.contains(&queue),
            queue,
            jobs,
            processors,
        };
        let queues = queues.into_iter().zip(lengths?).zip(processors).map(gauge).collect();
        let (mut entries, _) = entries?;
        entries.sort_by(|one, other| one.task.cmp(&other.task));
        entries.truncate(MOST_TASKS);
        if renews {
            Box::pin(self.read_successes(store, registry, entries.iter().map(|entry| &entry.task))).await?;
        }
        let periodic = entries.into_iter().map(|entry| {
            let due_s = Some(entry.due_s).filter(|due_s| !entry.stopped && *due_s != HALTED_S);
            let overdue = due_s.map(since).unwrap_or_default();
            let interval = interval(&entry, registry);
            PeriodicGauge { task: entry.task, due_s, overdue, interval, stopped: entry.stopped }
        });
        Ok(Gauges {
            now_ms,
            failed: failed?,
            instances,
            promotion_lag: delayed?.seconds.first().map(|first| since(first.due_s)).unwrap_or_default(),
            queues,
            more_queues,
            periodic: periodic.collect(),
            snapshot: snapshot.filter(|snapshot| snapshot.is_fresh(now_ms)),
            successes: self.successes.iter().map(|(name, ms)| (name.clone(), *ms)).collect(),
            ends: self.ends.iter().map(|(name, ms)| (name.clone(), *ms)).collect(),
            workers,
        })
    }

    async fn read_successes(
        &mut self,
        store: &Store<Admin>,
        registry: &Registry,
        tasks: impl Iterator<Item = &TaskName>,
    ) -> Result<(), AdminError> {
        let schedules = registry.iter().flat_map(|task| &task.schedules);
        let of_schedules = schedules.map(|schedule| RunList::Schedule(schedule.id.clone()));
        let lists: Vec<RunList> = tasks.cloned().map(RunList::Task).chain(of_schedules).take(MOST_TASKS).collect();
        // What is gone is told no more.
        self.looked.retain(|list| lists.contains(list));
        self.successes.retain(|name, _| lists.iter().any(|list| list.name() == name));
        self.ends.retain(|name, _| lists.iter().any(|list| list.name() == name));
        let (known, new): (Vec<RunList>, Vec<RunList>) = lists.into_iter().partition(|list| self.looked.contains(list));
        for (lists, last) in [(known, RUNS), (new, RUNS_AT_FIRST)] {
            if lists.is_empty() {
                continue;
            }
            let read = store.run(ReadRuns { lists: lists.clone(), last }).await?;
            for (list, kept) in lists.into_iter().zip(read) {
                let succeeded = kept.runs.iter().find(|run| run.outcome == RunOutcome::Done);
                if let Some(run) = succeeded {
                    let last = self.successes.entry(list.name().to_owned()).or_insert(run.ended_ms);
                    *last = run.ended_ms.max(*last);
                }
                if let Some(ended_ms) = kept.runs.iter().map(|run| run.ended_ms).max() {
                    let last = self.ends.entry(list.name().to_owned()).or_insert(ended_ms);
                    *last = ended_ms.max(*last);
                }
                self.looked.insert(list);
            }
        }
        Ok(())
    }
}

async fn seldom(store: &Store<Admin>) -> Result<Seldom, AdminError> {
    // One more shows whether there are more.
    let names = QueueNames { limit: MOST_QUEUES + 1 };
    let (names, waits, instances, workers) = tokio::join!(
        store.run(names),
        Waits::look(store),
        store.run(Instances),
        store.run(WorkerNames { limit: MOST_WORKERS })
    );
    let (queues, more_queues) = chosen(names?, waits?.holding());
    let (instances, workers) = (instances?, workers?);
    let processors = processors(&queues, &instances, &workers);
    Ok(Seldom {
        processors,
        workers: count(&instances, &workers),
        queues,
        more_queues,
        instances: u64::try_from(instances.len()).unwrap_or(u64::MAX),
    })
}

/// The queues that are told, in order, and whether there are more. Of too many those that hold jobs go before others.
fn chosen(names: Vec<QueueName>, holding: Vec<QueueName>) -> (Vec<QueueName>, bool) {
    if names.len() <= MOST_QUEUES {
        return (names, false);
    }
    let mut chosen: HashSet<QueueName> = holding.into_iter().take(MOST_QUEUES).collect();
    for name in names {
        if chosen.len() == MOST_QUEUES {
            break;
        }
        chosen.insert(name);
    }
    let mut first = FirstQueues::new(MOST_QUEUES);
    chosen.into_iter().for_each(|name| first.add(name));
    (first.into_names().collect(), true)
}

/// How long it is between the jobs of a periodic task. Of a calendar the times differ: the longer one tells when something is
/// late.
fn interval(entry: &PeriodicEntry, registry: &Registry) -> Option<Duration> {
    let cadence = registry.get(entry.task.as_str()).and_then(|task| task.cadence.as_ref());
    let seconds = match cadence {
        Some(Cadence::Calendar(calendar)) if entry.due_s != HALTED_S => {
            let before =
                calendar.latest(entry.due_s.saturating_sub(1)).map(|before| entry.due_s.saturating_sub(before));
            let behind = calendar.after(entry.due_s).map(|next| next.saturating_sub(entry.due_s));
            u64::try_from(before.max(behind)?).ok()?
        }
        _ => entry.every_s,
    };
    Some(Duration::from_secs(seconds)).filter(|interval| !interval.is_zero())
}

/// The registered workers by what they are.
fn count(instances: &[InstanceState], workers: &[WorkerName]) -> WorkerCounts {
    let states: HashMap<&str, bool> =
        instances.iter().map(|one| (one.record.name.as_str(), one.record.halt.is_some())).collect();
    let mut counts = WorkerCounts::default();
    for worker in workers {
        let owner = worker.name().rsplit_once('+').map_or("", |(name, _)| name);
        match states.get(owner) {
            Some(false) => counts.claiming += 1,
            Some(true) => counts.halted += 1,
            None => counts.others += 1,
        }
    }
    counts
}

/// How many workers claim from each of these queues. Those of a halted instance claim from none.
fn processors(queues: &[QueueName], instances: &[InstanceState], workers: &[WorkerName]) -> Vec<u64> {
    let halted: HashSet<&str> =
        instances.iter().filter(|one| one.record.halt.is_some()).map(|one| one.record.name.as_str()).collect();
    // All workers of an instance work on the same queues.
    let mut alike: HashMap<&str, u64> = HashMap::new();
    for worker in workers {
        let owner = worker.name().rsplit_once('+').map_or("", |(name, _)| name);
        if let Some(queues) = worker.queues().filter(|_| !halted.contains(owner)) {
            *alike.entry(queues).or_default() += 1;
        }
    }
    let mut counts = vec![0; queues.len()];
    let places: HashMap<&QueueName, usize> = queues.iter().zip(0..).collect();
    for (text, workers) in alike {
        let Ok(patterns) = QueuePatterns::new(text.split(',').map(str::to_owned).collect()) else { continue };
        // Thousands of workers may each name a queue of their own.
        if let Some(names) = patterns.plain_names() {
            for place in names.filter_map(|queue| places.get(queue)).collect::<HashSet<_>>() {
                counts[*place] += workers;
            }
            continue;
        }
        for (_, count) in queues.iter().zip(&mut counts).filter(|(queue, _)| patterns.stand_for(queue)) {
            *count += workers;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::instance::{Halt, HostIdentity, InstanceRecord};

    fn instance(name: &str, halt: Option<Halt>) -> InstanceState {
        let host =
            HostIdentity { hostname: "h".into(), boot_id: "b".into(), pid_namespace: 1, pid: 1, started_ticks: 1 };
        let record = InstanceRecord {
            id: name.into(),
            name: name.into(),
            queues: "*".into(),
            former_queues: Vec::new(),
            host,
            processors: 1,
            lease_ms: 15_000,
            periodic: Vec::new(),
            version: String::new(),
            halt,
            tasks: None,
            skipped: Vec::new(),
            stuck: None,
            reload_refused: None,
            queues_given: false,
        };
        InstanceState { record, counter: 1 }
    }

    #[test]
    fn of_too_many_queues_those_with_jobs_are_told() {
        let name = |n: usize| QueueName::as_stored(&format!("q{n:04}"));
        let names = |count| (0..count).map(name).collect::<Vec<_>>();
        assert_eq!(chosen(names(MOST_QUEUES), vec![name(7777)]), (names(MOST_QUEUES), false));
        let (told, more) = chosen(names(MOST_QUEUES + 1), vec![name(7777), name(3)]);
        assert!(more);
        assert_eq!(told[..], [&names(MOST_QUEUES - 1)[..], &[name(7777)]].concat());
    }

    #[test]
    fn workers_of_all_programs_count_where_they_claim_and_those_of_halted_instances_nowhere() {
        let queues = ["low", "mail", "other"].map(QueueName::as_stored);
        let instances = [instance("a-windlass:1", None), instance("b-windlass:2", Some(Halt::Paused))];
        let workers = [
            "a-windlass:1+1:mail,low",
            "a-windlass:1+2:mail,low",
            "b-windlass:2+1:*",
            "node:7+1:mail",
            "ruby:9:*",
            "no queues",
        ]
        .map(WorkerName::parse);
        assert_eq!(processors(&queues, &instances, &workers), [3, 4, 1]);
        assert_eq!(count(&instances, &workers), WorkerCounts { claiming: 2, halted: 1, others: 3 });
    }
}
