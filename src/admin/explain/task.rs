//! How a task stands: who has it, what becomes of its jobs, what failed lately.

use std::collections::BTreeSet;

use super::answer::Explanation;
use super::cause::{Cause, Finding, jobs, some_names};
use super::class;
use super::failed::LOOKED_AT;
use super::fleet::Fleet;
use super::here::Here;
use super::queue;
use super::schedule::periodic_findings;
use super::soon::Soon;
use super::unread::{FAILED, PERIODIC, Unread};
use crate::admin::error::AdminError;
use crate::admin::failed_search::{self, FailedFilter};
use crate::admin::known;
use crate::job::QueueName;
use crate::store::handle::Store;
use crate::store::inspection::FindQueue;
use crate::store::role::Admin;
use crate::text::clean::named;
use crate::text::shell;

/// What counts as lately.
const LATELY_MS: i64 = 3600 * 1000;
/// Of how many queues the next job is looked at, and of how many queues it is told that the task is unknown there.
const HEADS: usize = 100;
const PLACES: usize = 5;
/// How many failures are counted at most.
const COUNTED: usize = 100;

/// Explains a task.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn task(store: &Store<Admin>, here: Here<'_>, name: &str) -> Result<Explanation, AdminError> {
    let subject = format!("task {name}", name = named(&name));
    let fleet = Box::pin(Fleet::read(store)).await?;
    let defined = here.registry.get(name);
    let loaded: Vec<&str> = fleet
        .instances
        .iter()
        .filter(|one| one.record.tasks.as_ref().is_some_and(|tasks| tasks.iter().any(|task| task == name)))
        .map(|one| one.record.name.as_str())
        .collect();
    let runs: Vec<_> = fleet.runs.iter().filter(|run| run.class.as_deref() == Some(name)).collect();
    let is_skipped = fleet.instances.iter().any(|one| one.record.skipped.iter().any(|task| task == name));
    // Where its jobs stand that wait: anybody may have enqueued some that nobody knows.
    let mut unread = Unread::of(store);
    let soon = unread.or_told("which delayed jobs come next", Box::pin(Soon::read(store, here.registry)).await)?;
    let mut waiting: BTreeSet<QueueName> = soon.iter().flat_map(|soon| soon.places(name)).cloned().collect();
    let looked = || fleet.queues.iter().map(|(queue, _)| queue).take(HEADS);
    let heads = unread.or_told("which jobs come next on queues", queue::heads(store, looked()).await)?;
    let mut locks = soon.map(Soon::into_locks).unwrap_or_default().only(|_, class| class == name);
    for (queue, job) in looked().zip(heads.into_iter().flatten()) {
        if let Some(job) = job.filter(|job| job.class_and_queue().is_some_and(|(class, _)| class == name)) {
            locks.add(here.registry, queue, &job);
            waiting.insert(queue.clone());
        }
    }
    let is_known = defined.is_some() || !loaded.is_empty() || !runs.is_empty() || is_skipped;
    if !is_known && waiting.is_empty() {
        let error = known::not_found(here.registry, name);
        let finding =
            Finding::tells(Cause::UnknownTask, format!("{error}, and no instance has loaded one of that name"));
        return Ok(Explanation::not_found(subject, finding.command("windlass tasks")));
    }
    let mut findings = Vec::new();
    // Where its jobs go, as far as that is known here.
    let place = defined.map(|task| task.queue.clone());
    let place = place.or_else(|| runs.first().and_then(|run| run.record.queue.clone()));
    let place = place.or_else(|| waiting.first().cloned());
    match &place {
        Some(place) => findings.extend(class::obstacles(here, &fleet, place, name)),
        None => findings.extend(class::skipped(&fleet, name)),
    }
    for other in waiting.iter().filter(|other| Some(*other) != place.as_ref()).take(PLACES) {
        findings.extend(class::unknown(here, &fleet, other, name));
    }
    if !runs.is_empty() {
        let workers = some_names(runs.iter().map(|run| run.worker.name()));
        let longest = runs.iter().filter_map(|run| run.since_ms).min();
        findings.push(
            Finding::tells(
                Cause::Running,
                format!("{}: {workers}", jobs(runs.len() as u64, "of it runs", "of it run")),
            )
            .since_ms(longest)
            .command(shell::command_for("jobs list --task", name)),
        );
    }
    if let Some(place) = &place {
        let length = store.run(FindQueue { queue: place.clone() }).await?.map_or(0, |queue| queue.length);
        findings.extend(queue::judge(&fleet, place, length));
    }
    let of_locks = Box::pin(locks.left_behind(store, &fleet)).await;
    findings.extend(unread.or_told("which locks are held", of_locks)?.unwrap_or_default());
    findings.extend(unread.or_told(FAILED, failing(store, &fleet, name).await)?.flatten());
    if defined.is_some_and(|task| task.cadence.is_some() || !task.schedules.is_empty()) {
        findings.extend(
            unread.or_told(PERIODIC, periodic_findings(store, here, &fleet, Some(name)).await)?.unwrap_or_default(),
        );
    }
    findings.extend(unread.into_findings());
    findings.extend(fleet.lacks().filter(|one| one.blocks));
    findings.extend(fleet.unread);
    Ok(Explanation::of(subject, findings))
}

/// What of a task failed lately.
async fn failing(store: &Store<Admin>, fleet: &Fleet, task: &str) -> Result<Option<Finding>, AdminError> {
    let since_ms = Some(fleet.now_ms.saturating_sub(LATELY_MS));
    let filter = FailedFilter { task: Some(task.to_owned()), since_ms, ..FailedFilter::default() };
    let (page, cut) = failed_search::among_newest(store, &filter, COUNTED, LOOKED_AT).await?;
    let list = shell::command_for("failed list --task", task);
    let Some(last) = page.failed.first() else {
        let text = format!(
            "none of the newest {LOOKED_AT} failed jobs is of it; older ones of the last hour were not looked at"
        );
        return Ok(cut.then(|| Finding::tells(Cause::PartlyRead, text).command(list)));
    };
    let more = if cut || page.more == Some(true) { ", or more," } else { "" };
    let error = [last.exception.as_deref(), last.error.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let count = page.failed.len();
    let failed = jobs(count as u64, "of it failed", "of it failed");
    let text = format!("{failed}{more} in the last hour; the last one: {error}");
    Ok(Some(Finding::tells(Cause::Failing, text).command(list).fact("count", count).fact("last_id", last.id.as_str())))
}
