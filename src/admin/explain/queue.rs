//! Why the jobs of a queue are not claimed.

use std::collections::{HashMap, HashSet};

use futures_util::stream::{self, StreamExt as _};

use super::answer::Explanation;
use super::cause::{Cause, Finding, first_names, for_so_long, jobs, some_names};
use super::class::obstacles;
use super::fleet::{Fleet, InstanceFacts};
use super::here::Here;
use super::instance::{halted, no_instance};
use super::locks::Met;
use super::pace;
use super::soon::{AT_ONCE, Soon};
use super::unread::Unread;
use crate::admin::error::AdminError;
use crate::admin::queues;
use crate::job::QueueName;
use crate::store::handle::Store;
use crate::store::listed::{JobList, ListJobs, ListedJob};
use crate::store::role::Admin;
use crate::text::clean::named;
use crate::text::shell;

/// For how long all processors may be busy with the same runs before that is told.
const LONG_BUSY_MS: i64 = 15 * 60 * 1000;

/// Explains a queue.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn queue(store: &Store<Admin>, here: Here<'_>, name: &str) -> Result<Explanation, AdminError> {
    let subject = format!("queue {name}", name = named(&name));
    let known = match queues::find(store, name).await {
        Ok(known) => known,
        Err(AdminError::NotFound { suggestion, .. }) => {
            let hint =
                suggestion.map(|name| format!("; did you mean {name}?", name = named(&name))).unwrap_or_default();
            let text = format!("no job was ever on queue {name}, or it was deleted{hint}", name = named(&name));
            return Ok(Explanation::not_found(subject, Finding::tells(Cause::Gone, text).command("windlass queues")));
        }
        Err(error) => return Err(error),
    };
    let fleet = Box::pin(Fleet::read(store)).await?;
    let queue = QueueName::as_stored(name);
    let mut findings: Vec<Finding> = fleet.lacks().collect();
    findings.extend(judge(&fleet, &queue, known.length));
    let mut unread = Unread::of(store);
    // Where it seems empty, too: something else may stand in its place.
    let head = unread.or_told(&format!("which jobs are on queue {}", named(&queue)), head(store, &queue).await)?;
    let mut locks = Met::default();
    if let Some(job) = head.flatten() {
        locks.add(here.registry, &queue, &job);
        let class = job.class_and_queue().map(|(class, _)| class);
        findings.extend(class.iter().flat_map(|class| obstacles(here, &fleet, &queue, class)));
    }
    let soon = unread.or_told("which delayed jobs come next", Box::pin(Soon::read(store, here.registry)).await)?;
    for ((_, class), count) in soon.iter().flat_map(|soon| soon.on(&queue)) {
        findings.extend(obstacles(here, &fleet, &queue, class).into_iter().map(|one| one.fact("delayed", *count)));
    }
    locks.extend(soon.map(Soon::into_locks).unwrap_or_default().only(|place, _| *place == queue));
    findings.extend(Box::pin(locks.left_behind(store, &fleet)).await?);
    findings.extend(unread.into_findings());
    findings.extend(fleet.unread);
    let mut seen = HashSet::new();
    findings.retain(|one| seen.insert(one.text.clone()));
    Ok(Explanation::of(subject, findings))
}

/// The jobs that come next on these queues.
pub(super) async fn heads(
    store: &Store<Admin>,
    queues: impl Iterator<Item = &QueueName>,
) -> Result<Vec<Option<ListedJob>>, AdminError> {
    let looks: Vec<_> = queues.map(|queue| head(store, queue)).collect();
    let read: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
    read.into_iter().collect()
}

/// The job that comes next.
async fn head(store: &Store<Admin>, queue: &QueueName) -> Result<Option<ListedJob>, AdminError> {
    Ok(store.run(ListJobs { list: JobList::Queue(queue.clone()), start: 0, stop: 0 }).await?.into_iter().next())
}

/// Judges a queue that holds so many jobs.
pub(super) fn judge(fleet: &Fleet, queue: &QueueName, length: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    if length == 0 {
        findings.push(Finding::tells(Cause::Empty, format!("queue {queue} holds no jobs", queue = named(&queue))));
    }
    let hindrances = hindrances(fleet, queue);
    // What is paused, or what nobody of us works on, has no turn.
    let is_claimed = hindrances.is_empty();
    if length > 0 && is_claimed && !fleet.blind {
        findings.extend(turn(fleet, queue, length));
    }
    findings.extend(pace::pace(queue, length, &fleet.wait_on(queue), is_claimed));
    findings.extend(hindrances);
    findings
}

/// What keeps a queue from being worked on, however many jobs it holds.
pub(super) fn hindrances(fleet: &Fleet, queue: &QueueName) -> Vec<Finding> {
    let mut findings = Vec::new();
    if fleet.paused.all {
        findings
            .push(Finding::blocks(Cause::PausedAll, "all queues are paused").command("windlass queues resume --all"));
    }
    if fleet.paused.queues.contains(queue) {
        findings.push(
            Finding::blocks(Cause::PausedQueue, format!("queue {queue} is paused", queue = named(&queue)))
                .command(shell::command("queues resume", &[queue.as_str()])),
        );
    }
    if !fleet.blind && !fleet.instances.iter().any(|one| one.is_willing(queue)) {
        findings.extend(nobody(fleet, queue));
    }
    findings
}

/// When the jobs of a queue that is worked on begin.
fn turn(fleet: &Fleet, queue: &QueueName, length: u64) -> Vec<Finding> {
    let willing: Vec<&InstanceFacts> = fleet.instances.iter().filter(|one| one.is_willing(queue)).collect();
    let processors: usize = willing.iter().map(|one| one.processors).sum();
    let busy: usize = willing.iter().map(|one| one.busy).sum();
    let wait = jobs(length, "waits", "wait");
    let empty_in = pace::empty_in(&fleet.wait_on(queue));
    let behind = |text: String| Finding::tells(Cause::Behind, text + &empty_in).fact("length", length);
    if busy < processors {
        let idle = processors - busy;
        return vec![behind(format!(
            "{wait} on {queue}; {idle} of the {processors} processors that work on it are idle",
            queue = named(&queue)
        ))];
    }
    let mut findings = vec![all_busy(fleet, queue, &willing, processors)];
    findings.extend(lower_priority(fleet, queue, &willing));
    findings.push(behind(format!("{wait} on {queue} until a processor becomes free", queue = named(&queue))));
    findings
}

/// Nobody of Windlass claims from the queue.
fn nobody(fleet: &Fleet, queue: &QueueName) -> Vec<Finding> {
    let foreign = fleet.foreign.on(queue);
    let mut findings: Vec<Finding> =
        fleet.instances.iter().filter(|one| one.works_on(queue)).filter_map(|one| halted(fleet, one)).collect();
    if !foreign.is_empty() {
        let text = format!(
            "only workers of other programs work on queue {queue}: {}",
            some_names(foreign),
            queue = named(&queue)
        );
        findings.push(Finding::tells(Cause::OnlyForeignWorkers, text));
        return findings;
    }
    if fleet.instances.is_empty() && fleet.foreign.is_empty() {
        findings.push(no_instance());
    } else if findings.is_empty() {
        let works = |one: &InstanceFacts| match one.processors {
            0 => format!("{} has no processors", one.record.name),
            _ => format!("{} works on {}", one.record.name, one.record.queues),
        };
        let others = fleet.instances.iter().map(works).chain(fleet.foreign.works());
        let text = format!(
            "nobody works on queue {queue}: {}",
            first_names(others, fleet.instances.len() + fleet.foreign.count()),
            queue = named(&queue)
        );
        findings.push(match fleet.instances.first() {
            None => Finding::blocks(Cause::NoProcessorForQueue, text)
                .command(shell::command_for("run --queues", queue.as_str())),
            // The command line overrides the configuration, whatever that is changed to.
            Some(one) if one.record.queues_given => {
                let text =
                    format!("{text}; its --queues override the configuration: end it (TERM), and start it with both");
                let queues = format!("{},{}", one.record.queues, queue.as_str());
                Finding::blocks(Cause::NoProcessorForQueue, text)
                    .command(shell::command_for("run --queues", &queues))
                    .on(&one.record.host.hostname)
            }
            Some(one) => {
                let text = format!("{text}; add {:?} to queues in the configuration, then send HUP", queue.as_str());
                one.signalled(Finding::blocks(Cause::NoProcessorForQueue, text), "HUP")
            }
        });
    }
    findings
}

fn all_busy(fleet: &Fleet, queue: &QueueName, willing: &[&InstanceFacts], processors: usize) -> Finding {
    let runs: Vec<_> = willing.iter().flat_map(|one| fleet.runs_of(one)).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for run in &runs {
        *counts.entry(run.class.as_deref().unwrap_or("(no job)")).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|(one, more), (other, fewer)| fewer.cmp(more).then(one.cmp(other)));
    let classes: Vec<String> =
        counts.iter().map(|(class, count)| format!("{class} ({count})", class = named(&class))).collect();
    let longest = runs.iter().filter_map(|run| run.since_ms).min();
    let longest_for = longest.map(|since_ms| for_so_long(fleet.now_ms.saturating_sub(since_ms)));
    let longest_for = longest_for.map(|long| format!("; the longest for {long}")).unwrap_or_default();
    let text = format!(
        "all {processors} processors that work on {queue} are busy: {}{longest_for}",
        some_names(classes.iter().map(String::as_str)),
        queue = named(&queue)
    );
    Finding::blocks(Cause::AllBusy, text).command("windlass jobs list").since_ms(longest).fact("processors", processors)
}

/// All processors of a queue are busy, and nothing that they run has begun lately: its jobs wait for runs that may never end.
pub(super) fn busy_for_long(fleet: &Fleet, queue: &QueueName) -> Option<Finding> {
    let willing: Vec<&InstanceFacts> = fleet.instances.iter().filter(|one| one.is_willing(queue)).collect();
    let (processors, busy) = willing.iter().fold((0, 0), |(all, busy), one| (all + one.processors, busy + one.busy));
    let newest_ms = willing.iter().flat_map(|one| fleet.runs_of(one)).filter_map(|run| run.since_ms).max()?;
    let is_long = busy >= processors && fleet.now_ms.saturating_sub(newest_ms) >= LONG_BUSY_MS;
    is_long.then(|| Finding { blocks: false, ..all_busy(fleet, queue, &willing, processors) })
}

/// Queues that come before this one wherever it is worked on, and hold jobs.
fn lower_priority(fleet: &Fleet, queue: &QueueName, willing: &[&InstanceFacts]) -> Option<Finding> {
    let known: Vec<QueueName> = fleet.queues.iter().map(|(name, _)| name.clone()).collect();
    let order = |one: &&InstanceFacts| -> HashMap<QueueName, usize> {
        let queues = one.patterns.as_ref().map(|patterns| patterns.resolve(&known).queues).unwrap_or_default();
        queues.into_iter().zip(0..).collect()
    };
    let orders: Vec<_> = willing.iter().map(order).collect();
    let before = |other: &QueueName| {
        let is_first =
            |order: &HashMap<QueueName, usize>| order.get(other).zip(order.get(queue)).is_some_and(|(a, b)| a < b);
        orders.iter().all(is_first)
    };
    let first: Vec<String> = fleet
        .queues
        .iter()
        .filter(|(name, _)| before(name))
        .map(|(name, length)| format!("{name} ({length})", name = named(&name)))
        .collect();
    if first.is_empty() {
        return None;
    }
    let text = format!(
        "queues of higher priority hold jobs, which go first: {}",
        some_names(first.iter().map(String::as_str))
    );
    Some(Finding::tells(Cause::LowerPriority, text).command("windlass queues"))
}

#[cfg(test)]
mod tests {
    use super::super::fleet::{Lost, RunFacts};
    use super::super::foreign::{Foreign, patterns};
    use super::*;
    use crate::admin::overview::LeaderView;
    use crate::admin::queue_wait::QueueWait;
    use crate::job::WorkerName;
    use crate::store::inspection::Paused;
    use crate::store::instance::{Halt, HostIdentity, InstanceRecord};
    use crate::store::working::WorkingRecord;

    fn instance(name: &str, queues: &str, busy: usize) -> InstanceFacts {
        let host =
            HostIdentity { hostname: "h".into(), boot_id: "b".into(), pid_namespace: 1, pid: 7, started_ticks: 1 };
        let record = InstanceRecord {
            id: "00ff".into(),
            name: name.into(),
            queues: queues.into(),
            former_queues: Vec::new(),
            host,
            processors: 2,
            lease_ms: 15_000,
            periodic: Vec::new(),
            version: String::new(),
            halt: None,
            tasks: Some(vec!["resize".into()]),
            skipped: Vec::new(),
            stuck: None,
            reload_refused: None,
            queues_given: false,
        };
        InstanceFacts { record, patterns: patterns(queues), processors: 2, busy, lost: None }
    }

    fn fleet(instances: Vec<InstanceFacts>) -> Fleet {
        Fleet {
            now_ms: 100_000,
            paused: Paused::default(),
            instances,
            foreign: Foreign::default(),
            blind: false,
            leader: Some(LeaderView { leader: None, duties: None, resque_scheduler: None }),
            runs: Vec::<RunFacts>::new(),
            queues: vec![(QueueName::as_stored("high"), 3), (QueueName::as_stored("mail"), 2)],
            waits: HashMap::new(),
            shortages: Vec::new(),
            cut: false,
            unread: Vec::new(),
            misplaced: Vec::new(),
        }
    }

    fn causes(fleet: &Fleet, queue: &str, length: u64) -> Vec<(Cause, bool)> {
        let findings = judge(fleet, &QueueName::as_stored(queue), length);
        findings.into_iter().map(|one| (one.cause, one.blocks)).collect()
    }

    #[test]
    fn each_cause_is_told_where_it_holds() {
        let all = || instance("a", "high,mail", 0);
        assert_eq!(causes(&fleet(vec![]), "mail", 2), [(Cause::NoInstance, true)]);
        assert_eq!(causes(&fleet(vec![all()]), "mail", 0), [(Cause::Empty, false)]);
        assert_eq!(causes(&fleet(vec![all()]), "mail", 2), [(Cause::Behind, false)]);
        assert_eq!(causes(&fleet(vec![all()]), "other", 2), [(Cause::NoProcessorForQueue, true)]);
        let paused = Fleet {
            paused: Paused { all: true, queues: vec![QueueName::as_stored("mail")] },
            ..fleet(vec![instance("a", "*", 2)])
        };
        assert_eq!(causes(&paused, "mail", 2), [(Cause::PausedAll, true), (Cause::PausedQueue, true)]);
        let busy = fleet(vec![instance("a", "high,mail", 2)]);
        let expected = [(Cause::AllBusy, true), (Cause::LowerPriority, false), (Cause::Behind, false)];
        assert_eq!(causes(&busy, "mail", 2), expected);
        assert_eq!(causes(&busy, "high", 3), [(Cause::AllBusy, true), (Cause::Behind, false)]);
        let mut halted = all();
        halted.record.halt = Some(Halt::Paused);
        assert_eq!(causes(&fleet(vec![halted]), "mail", 2), [(Cause::Halted, true)]);
        let silent = InstanceFacts { lost: Some(Lost::Silent(40_000)), ..all() };
        assert_eq!(causes(&fleet(vec![silent]), "mail", 2), [(Cause::InstanceSilent, true)]);
        let foreign = Foreign::of([("ruby:7".to_owned(), Some("*".to_owned()))]);
        assert_eq!(causes(&Fleet { foreign, ..fleet(vec![]) }, "mail", 2), [(Cause::OnlyForeignWorkers, false)]);
        let blind = Fleet { blind: true, ..fleet(vec![]) };
        assert_eq!(causes(&blind, "mail", 2), [], "nothing is said of those who could not be read");
    }

    #[test]
    fn how_long_jobs_wait_is_told_and_what_keeps_them_waiting_is_told_first() {
        let wait = QueueWait { in_per_minute: Some(60), out_per_minute: Some(9), ..QueueWait::default() };
        let wait = QueueWait { oldest_ms: Some(90_000), oldest_most_ms: Some(91_000), ..wait };
        let waits = || HashMap::from([("mail".to_owned(), wait)]);
        let slow = Fleet { waits: waits(), ..fleet(vec![instance("a", "mail", 0)]) };
        let told = [(Cause::Behind, false), (Cause::WaitsLong, false), (Cause::FallsBehind, false)];
        assert_eq!(causes(&slow, "mail", 200), told);
        let alone = Fleet { waits: waits(), ..fleet(vec![]) };
        let blocked = Explanation::of("mail".to_owned(), judge(&alone, &QueueName::as_stored("mail"), 200));
        let causes: Vec<Cause> = blocked.findings.iter().map(|one| one.cause).collect();
        assert_eq!(causes, [Cause::NoInstance, Cause::WaitsLong]);
    }

    #[test]
    fn processors_that_begin_nothing_for_long_are_told() {
        let run = |since_ms| {
            let raw = r#"{"claim":"00ff-0-1-2","worker":"a+1","run_at":"x","queue":"mail","payload":{"class":"t","args":[]}}"#;
            let worker = WorkerName::parse("a+1:mail");
            let record = WorkingRecord::parse(&worker, raw.into());
            RunFacts { worker, record, class: Some("t".into()), since_ms: Some(since_ms) }
        };
        let of = |busy, since: [i64; 2]| {
            let fleet = Fleet { now_ms: LONG_BUSY_MS + 9, ..fleet(vec![instance("a", "mail", busy)]) };
            let fleet = Fleet { runs: since.map(run).into(), ..fleet };
            busy_for_long(&fleet, &QueueName::as_stored("mail")).map(|one| (one.cause, one.blocks))
        };
        assert_eq!(of(2, [3, 9]), Some((Cause::AllBusy, false)));
        assert_eq!(of(2, [3, 10]), None, "one has begun lately");
        assert_eq!(of(1, [3, 9]), None, "one is idle");
    }

    #[test]
    fn one_that_works_is_enough_although_others_do_not() {
        let mut halted = instance("b", "mail", 0);
        halted.record.halt = Some(Halt::Draining);
        assert_eq!(causes(&fleet(vec![halted, instance("a", "mail", 1)]), "mail", 2), [(Cause::Behind, false)]);
    }

    #[test]
    fn a_class_is_unknown_only_if_all_who_work_on_the_queue_say_so() {
        let registry = crate::task::definition::Registry::default();
        let here = Here::of(&registry);
        let unknown = |fleet: &Fleet, class: &str| {
            crate::admin::explain::class::unknown(here, fleet, &QueueName::as_stored("mail"), class)
                .map(|one| (one.cause, one.text))
        };
        let known = fleet(vec![instance("a", "mail", 0)]);
        assert_eq!(unknown(&known, "resize"), None);
        let (cause, text) = unknown(&known, "rezise").expect("nobody has it");
        assert_eq!(cause, Cause::UnknownTask);
        assert!(text.ends_with("did you mean resize?"), "{text}");
        let mut mute = instance("b", "mail", 0);
        mute.record.tasks = None;
        assert_eq!(unknown(&fleet(vec![mute]), "rezise"), None, "it may have it");
        let mut skips = instance("c", "mail", 0);
        skips.record.skipped = vec!["thumb".into()];
        assert_eq!(unknown(&fleet(vec![skips]), "thumb").map(|(cause, _)| cause), Some(Cause::TaskSkipped));
    }
}
