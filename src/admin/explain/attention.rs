//! Everything that somebody should look at: what stands in the way first.

use std::collections::{BTreeMap, HashSet};

use super::answer::Explanation;
use super::cause::{Cause, Finding, for_so_long, jobs, some_names};
use super::class;
use super::failed::LOOKED_AT;
use super::fleet::Fleet;
use super::here::Here;
use super::instance::{halted, no_instance, reload_refused, stopped_unregistered};
use super::locks::Met;
use super::pace;
use super::queue::{self, hindrances};
use super::schedule::{no_leader, periodic_findings};
use super::soon::Soon;
use super::unread::{FAILED, PERIODIC, Unread};
use crate::admin::copy::aside;
use crate::admin::delayed;
use crate::admin::error::AdminError;
use crate::admin::failed_search::{self, FailedFilter};
use crate::admin::history::last_minutes;
use crate::job::RunEnd;
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::store::unreadable::CountUnreadable;
use crate::text::clean::named;
use crate::text::shell;

/// What counts as lately.
const LATELY_MS: i64 = 3600 * 1000;
/// Over how many minutes the failure rate of a task is taken, from how many runs on, and above which rate it is told.
const RATE_MINUTES: usize = 10;
const RATE_RUNS: u64 = 20;
const RATE: f64 = 0.05;
/// How many groups of failures are told.
const GROUPS: usize = 10;
/// Of how many queues the next job is looked at.
const HEADS: usize = 100;
/// How much later than its time a delayed job may be before that is told.
const LATE_MS: i64 = 5000;
/// Of how many queues a finding is told each by itself.
const QUEUES: usize = 20;

/// What needs attention. Nothing found: nothing does.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn attention(store: &Store<Admin>, here: Here<'_>) -> Result<Explanation, AdminError> {
    // Each part on the heap: together they are large, and a thread of a server has a small stack.
    let mut fleet = Box::pin(Fleet::read(store)).await?;
    let (mut unread, told_already) = (Unread::of(store), std::mem::take(&mut fleet.unread));
    // What stops everything comes first: the rest follows from it.
    let mut findings: Vec<Finding> = fleet.lacks().collect();
    findings.extend(fleet.instances.iter().filter_map(|one| halted(&fleet, one)));
    findings.extend(fleet.instances.iter().filter_map(reload_refused));
    findings.extend(stopped_unregistered(here, &fleet));
    let of_queues = queues(&fleet);
    // An idle store that nobody looks after is silent, and so is a daemon that does not come up.
    let nobody = !fleet.blind && fleet.instances.is_empty() && fleet.foreign.is_empty();
    if nobody && of_queues.iter().all(|one| one.cause != Cause::NoInstance) {
        findings.push(no_instance());
    }
    let due = unread.or_told("which delayed job is due first", Box::pin(delayed::timestamps(store, 1)).await)?;
    let next_due_s = due.and_then(|due| due.timestamps.first().map(|due| due.ms / 1000));
    if !fleet.promotes() && (next_due_s.is_some() || !fleet.instances.is_empty()) {
        findings.push(no_leader("delayed jobs stay where they are"));
    } else if let Some(late_ms) =
        next_due_s.map(|due_s| fleet.now_ms.saturating_sub(due_s.saturating_mul(1000))).filter(|late| *late > LATE_MS)
    {
        let text = format!("delayed jobs are late: the first was due {} ago", for_so_long(late_ms));
        findings.push(Finding::blocks(Cause::PromotionLate, text).command("windlass leader"));
    }
    findings.extend(of_queues);
    findings.append(&mut fleet.misplaced);
    // Each fails alone: who asks what is wrong is told the rest.
    let mut locks = Met::default();
    let of_heads = Box::pin(heads(store, here, &fleet, &mut locks)).await;
    findings.extend(unread.or_told("which jobs come next on queues", of_heads)?.unwrap_or_default());
    let of_delayed = Box::pin(soon(store, here, &fleet, &mut locks)).await;
    findings.extend(unread.or_told("which delayed jobs come next", of_delayed)?.unwrap_or_default());
    let of_locks = Box::pin(locks.left_behind(store, &fleet)).await;
    findings.extend(unread.or_told("which locks are held", of_locks)?.unwrap_or_default());
    let of_periodic = Box::pin(periodic_findings(store, here, &fleet, None)).await;
    findings.extend(unread.or_told(PERIODIC, of_periodic)?.unwrap_or_default());
    findings.extend(unread.or_told(FAILED, Box::pin(failures(store, &fleet)).await)?.unwrap_or_default());
    findings.extend(unread.or_told("how often runs fail", Box::pin(rates(store, &fleet)).await)?.unwrap_or_default());
    findings.extend(versions(&fleet));
    if let Some(aside) = unread.or_told("what is set aside", Box::pin(aside(store)).await)?.flatten() {
        findings.push(Finding::tells(Cause::SetAside, aside.text).command(aside.finish).fact("undo", aside.undo));
    }
    let unreadable = Box::pin(store.run(CountUnreadable)).await;
    for one in unread.or_told("which records cannot be read", unreadable)?.unwrap_or_default() {
        findings.push(Finding::tells(Cause::Unreadable, one.text).command("windlass details"));
    }
    findings.extend(told_already);
    findings.extend(unread.into_findings());
    if fleet.cut {
        let text = "there are more workers or queues than were looked at: what is said of the others is not known";
        findings.push(Finding::tells(Cause::PartlyRead, text).command("windlass details"));
    }
    // Several queues may have the same cause, and one cause may be seen from several sides. Where nobody is, nobody leads.
    let (mut seen, mut led) = (HashSet::new(), !nobody);
    findings.retain(|one| match one.cause {
        Cause::NoLeader => std::mem::take(&mut led),
        _ => seen.insert(one.text.clone()),
    });
    Ok(Explanation::of("what needs attention".to_owned(), findings))
}

/// What keeps queues from being worked on. Being busy is no fault.
fn queues(fleet: &Fleet) -> Vec<Finding> {
    let (mut findings, mut slow) = (Vec::new(), Vec::new());
    let mut of_all: BTreeMap<&str, (Vec<&str>, Finding)> = BTreeMap::new();
    for (name, length) in &fleet.queues {
        let hindrances = hindrances(fleet, name);
        // Jobs that nobody may take wait for long, too.
        if !hindrances.iter().any(|one| one.blocks) {
            let wait = fleet.wait_on(name);
            let told = pace::pace(name, *length, &wait, hindrances.is_empty());
            slow.extend(told.into_iter().map(|one| (wait.oldest_ms, one.or_command("explain queue", name.as_str()))));
        }
        if hindrances.is_empty() {
            findings.extend(queue::busy_for_long(fleet, name));
        }
        for one in hindrances.into_iter().filter(|one| one.blocks) {
            match one.cause {
                Cause::PausedAll => of_all.entry("paused").or_insert_with(|| (Vec::new(), one)).0.push(name.as_str()),
                Cause::NoInstance => of_all.entry("nobody").or_insert_with(|| (Vec::new(), one)).0.push(name.as_str()),
                // Told of the instance.
                Cause::Halted | Cause::InstanceSilent | Cause::Stuck => {}
                _ => {
                    let text =
                        format!("{} on {name}: {}", jobs(*length, "waits", "wait"), one.text, name = named(&name));
                    findings.push(Finding { text, ..one.fact("queue", name.as_str()).fact("length", *length) });
                }
            }
        }
    }
    let surplus = findings.len().saturating_sub(QUEUES);
    findings.truncate(QUEUES);
    if surplus > 0 {
        let text = format!("{surplus} more findings about queues that hold jobs and are not worked on");
        findings.push(Finding::blocks(Cause::NoProcessorForQueue, text).command("windlass queues"));
    }
    findings.extend(of_all.into_values().map(|(names, one)| {
        let text = format!("{}; jobs wait on {}", one.text, some_names(names));
        Finding { text, ..one }
    }));
    findings.extend(slowest(slow));
    findings
}

/// What keeps the jobs that come next from beginning. The JobLocks that they will meet are added.
async fn heads(
    store: &Store<Admin>,
    here: Here<'_>,
    fleet: &Fleet,
    locks: &mut Met,
) -> Result<Vec<Finding>, AdminError> {
    let looked = || fleet.queues.iter().map(|(queue, _)| queue).take(HEADS);
    let mut findings = Vec::new();
    for (queue, job) in looked().zip(queue::heads(store, looked()).await?) {
        let Some(job) = job else { continue };
        locks.add(here.registry, queue, &job);
        let class = job.class_and_queue().map(|(class, _)| class);
        findings.extend(class.iter().flat_map(|class| class::obstacles(here, fleet, queue, class)));
    }
    Ok(findings)
}

/// The same of the delayed jobs that are due first.
async fn soon(
    store: &Store<Admin>,
    here: Here<'_>,
    fleet: &Fleet,
    locks: &mut Met,
) -> Result<Vec<Finding>, AdminError> {
    let (soon, mut findings) = (Soon::read(store, here.registry).await?, Vec::new());
    for ((place, class), count) in soon.all() {
        let told = class::obstacles(here, fleet, place, class);
        findings.extend(told.into_iter().map(|one| one.fact("queue", place.as_str()).fact("delayed", *count)));
    }
    locks.extend(soon.into_locks());
    Ok(findings)
}

/// The queues that are worked off too slowly, those first whose jobs wait longest.
fn slowest(mut slow: Vec<(Option<u64>, Finding)>) -> Vec<Finding> {
    slow.sort_by_key(|(oldest_ms, _)| std::cmp::Reverse(*oldest_ms));
    let surplus = slow.len().saturating_sub(QUEUES);
    let mut told: Vec<Finding> = slow.into_iter().take(QUEUES).map(|(_, one)| one).collect();
    if surplus > 0 {
        let text = format!("{surplus} more findings about queues whose jobs wait for long");
        told.push(Finding::tells(Cause::WaitsLong, text).command("windlass queues"));
    }
    told
}

/// What failed lately, by task and exception.
async fn failures(store: &Store<Admin>, fleet: &Fleet) -> Result<Vec<Finding>, AdminError> {
    let since_ms = Some(fleet.now_ms.saturating_sub(LATELY_MS));
    let filter = FailedFilter { since_ms, ..FailedFilter::default() };
    // Records without a date do not match, and there may be any number of them.
    let (page, cut) = failed_search::among_newest(store, &filter, usize::MAX, LOOKED_AT).await?;
    let mut groups: Vec<((String, String), u64, usize)> = Vec::new();
    for (index, view) in page.failed.iter().enumerate() {
        // A person meant it.
        if view.cancelled {
            continue;
        }
        let key = (view.class.clone().unwrap_or_default(), view.exception.clone().unwrap_or_default());
        match groups.iter_mut().find(|(other, ..)| *other == key) {
            Some((_, count, _)) => *count += 1,
            None => groups.push((key, 1, index)),
        }
    }
    groups.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
    let more = if cut || page.more == Some(true) { ", or more," } else { "" };
    let told = groups.iter().take(GROUPS).map(|((class, exception), count, last)| {
        let error = page.failed.get(*last).and_then(|view| view.error.as_deref()).unwrap_or_default();
        let failed = jobs(
            *count,
            &format!("of {class} failed", class = named(&class)),
            &format!("of {class} failed", class = named(&class)),
        );
        let text = format!("{failed}{more} in the last hour; the last one: {exception}: {error}");
        Finding::tells(Cause::Failing, text)
            .command(shell::command_for("failed list --task", class))
            .fact("task", class.as_str())
            .fact("count", *count)
    });
    let mut told: Vec<Finding> = told.collect();
    if groups.len() > GROUPS {
        let text = format!("{} more kinds of failures in the last hour", groups.len() - GROUPS);
        told.push(Finding::tells(Cause::Failing, text).command("windlass failed list"));
    }
    Ok(told)
}

/// Tasks whose runs fail often at present, those that do most often first.
async fn rates(store: &Store<Admin>, fleet: &Fleet) -> Result<Vec<Finding>, AdminError> {
    let mut rates = Vec::new();
    for (task, counts) in last_minutes(store, fleet.now_ms, RATE_MINUTES).await? {
        let failed = counts.of(RunEnd::Failed).saturating_add(counts.of(RunEnd::Retried));
        let runs = failed.saturating_add(counts.of(RunEnd::Done));
        if let Some(rate) = counts.failure_rate().filter(|rate| runs >= RATE_RUNS && *rate > RATE) {
            rates.push((rate, task, failed, runs));
        }
    }
    rates.sort_by(|(one, ..), (other, ..)| other.total_cmp(one));
    let told = rates.into_iter().take(GROUPS).map(|(rate, task, failed, runs)| {
        let percent = rate * 100.0;
        let text = format!(
            "{failed} of {runs} runs of {task} failed in the last ten minutes ({percent:.1} %)",
            task = named(&task)
        );
        Finding::tells(Cause::FailureRate, text)
            .command(shell::command_for("history --task", task.as_str()))
            .fact("task", task.as_str())
            .fact("failed", failed)
            .fact("runs", runs)
    });
    Ok(told.collect())
}

/// Instances of several versions: a rollout that stopped halfway.
fn versions(fleet: &Fleet) -> Option<Finding> {
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for one in &fleet.instances {
        *versions.entry(one.record.version.as_str()).or_default() += 1;
    }
    if versions.len() < 2 {
        return None;
    }
    let names: Vec<String> = versions.iter().map(|(version, count)| format!("{version} ({count})")).collect();
    let text = format!("instances of several versions work: {}", some_names(names.iter().map(String::as_str)));
    Some(Finding::tells(Cause::DifferentVersions, text).command("windlass details"))
}
