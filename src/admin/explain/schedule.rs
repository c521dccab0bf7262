//! Why a periodic task or a `[[schedule]]` does not run.

use super::answer::Explanation;
use super::cause::{Cause, Finding, for_so_long};
use super::fleet::Fleet;
use super::here::Here;
use super::queue;
use crate::admin::error::AdminError;
use crate::admin::periodic::{self, PeriodicView};
use crate::admin::schedules::{self, ScheduleView};
use crate::client::request::nearest;
use crate::job::{QueueName, TaskName};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::text::clean::named;
use crate::text::count::counted;
use crate::text::shell;

/// How much later than its time a run may be before that is told.
const LATE_MS: i64 = 10_000;

/// Of how many tasks that are not defined here it is told how they stand.
const MOST_OTHERS: usize = 1000;

/// Explains a periodic task, or a `[[schedule]]` by its id.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn schedule(store: &Store<Admin>, here: Here<'_>, name: &str) -> Result<Explanation, AdminError> {
    let subject = format!("schedule {name}", name = named(&name));
    let fleet = Box::pin(Fleet::read(store)).await?;
    let mut findings = periodic_findings(store, here, &fleet, Some(name)).await?;
    if !findings.is_empty() {
        findings.extend(fleet.lacks().filter(|one| one.blocks));
        findings.extend(fleet.unread);
        return Ok(Explanation::of(subject, findings));
    }
    let ids = here.registry.iter().flat_map(|task| &task.schedules).map(|schedule| schedule.id.as_str());
    let names = here.registry.periodic().map(|task| task.name.as_str()).chain(ids);
    let hint =
        nearest(name, names).map(|name| format!("; did you mean {name}?", name = named(&name))).unwrap_or_default();
    let text = format!("there is no periodic task and no [[schedule]] {name}{hint}", name = named(&name));
    Ok(Explanation::not_found(subject, Finding::tells(Cause::Gone, text).command("windlass periodic")))
}

/// How the periodic tasks and schedules stand: one of them, or what is wrong with any.
pub(super) async fn periodic_findings(
    store: &Store<Admin>,
    here: Here<'_>,
    fleet: &Fleet,
    wanted: Option<&str>,
) -> Result<Vec<Finding>, AdminError> {
    let mut findings = Vec::new();
    for view in periodic::states(store, here.registry, fleet.now_ms, MOST_OTHERS, wanted).await?.0 {
        findings.extend(of_task(here, fleet, &view));
        if wanted.is_some() && view.state == "due" {
            let place = QueueName::as_stored(&view.queue);
            findings.extend(queue::judge(fleet, &place, 1).into_iter().filter(|one| one.blocks));
        }
    }
    findings.extend(schedules::states(store, here.registry, wanted).await?.iter().map(|view| of_schedule(fleet, view)));
    let scheduled = !findings.is_empty();
    if scheduled && fleet.leader.as_ref().is_some_and(|leader| leader.duties.is_none()) {
        findings.push(no_leader("nobody enqueues what is due"));
    }
    if wanted.is_none() {
        findings.retain(|one| one.blocks);
    }
    Ok(findings)
}

/// Nobody leads.
pub(super) fn no_leader(what: &str) -> Finding {
    let text = format!("no scheduler leads: {what}. A daemon leads unless its configuration has scheduler = false");
    Finding::blocks(Cause::NoLeader, text).command("windlass run --scheduler true")
}

fn of_task(here: Here<'_>, fleet: &Fleet, view: &PeriodicView) -> Option<Finding> {
    let task = &view.task;
    let due_ms = view.due.as_ref().map(|due| due.ms);
    let late_ms = due_ms.map_or(0, |due_ms| fleet.now_ms.saturating_sub(due_ms));
    let start = || shell::command("periodic start", &[task]);
    Some(match view.state {
        "stopped" => Finding::blocks(Cause::Stopped, format!("periodic task {task} is stopped", task = named(&task)))
            .command(start()),
        "halted" => Finding::blocks(
            Cause::HaltedByFailure,
            format!(
                "periodic task {task} is halted: its last run failed, and re_enqueue_periodic_task_if_exception is false",
                task = named(&task)
            ),
        )
        .command(start()),
        "new" => Finding::blocks(
            Cause::NotSeeded,
            format!("no scheduler has seen periodic task {task} so far", task = named(&task)),
        )
        .command("windlass leader"),
        "running" => Finding::tells(Cause::Running, format!("periodic task {task} runs now", task = named(&task)))
            .command(shell::command_for("jobs list --task", task)),
        _ if !fleet.instances.is_empty() && !fleet.declares(&TaskName::as_stored(task)) => undeclared(fleet, view),
        _ if late_ms > LATE_MS => Finding::blocks(
            Cause::PromotionLate,
            format!("periodic task {task} was due {} ago and has not begun", for_so_long(late_ms), task = named(&task)),
        )
        .since_ms(due_ms)
        .command("windlass leader"),
        "due" => Finding::tells(
            Cause::Behind,
            format!("the run of periodic task {task} waits on queue {}", named(&view.queue), task = named(&task)),
        ),
        _ if view.failed_attempts.is_some() => retried(here, view),
        _ => {
            let at = view.due.as_ref().map_or("an unknown time", |due| due.at.as_str());
            let why = view.waits.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
            Finding::tells(
                Cause::DelayedUntil,
                format!("periodic task {task} runs next at {at}{why}", task = named(&task)),
            )
            .fact("due_ms", due_ms)
        }
    })
}

/// A periodic task whose present run failed and waits for its next attempt.
fn retried(here: Here<'_>, view: &PeriodicView) -> Finding {
    let (task, failed) = (&view.task, view.failed_attempts.unwrap_or(0));
    let at = view.due.as_ref().map_or("an unknown time", |due| due.at.as_str());
    let attempts = counted(failed, "attempt", "attempts");
    let error = view.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
    let overlaps = here.registry.get(task).is_some_and(|task| task.overlap);
    let ticks = match overlaps {
        true => "its ticks go on meanwhile",
        false => "its next tick comes after that run has ended, and those that pass until then are left out",
    };
    let text = format!(
        "{attempts} of the present run of periodic task {task} failed{error}; the next one is at {at}, and {ticks}. To run it now",
        task = named(task)
    );
    Finding::tells(Cause::RetryWaiting, text)
        .command(shell::command("periodic run", &[task]))
        .fact("failed_attempts", failed)
        .fact("due_ms", view.due.as_ref().map(|due| due.ms))
}

/// A periodic task with an entry in the store that no instance has loaded.
fn undeclared(fleet: &Fleet, view: &PeriodicView) -> Finding {
    let task = &view.task;
    let text = format!("no instance has periodic task {task}, so that it does not run", task = named(&task));
    match fleet.instances.first().filter(|_| view.defined) {
        Some(one) => {
            let text = format!("{text}; its file is here, and the signal HUP has it read");
            one.signalled(Finding::blocks(Cause::Undeclared, text), "HUP")
        }
        None => {
            let text =
                format!("{text}; if its file is gone for good, it is withdrawn after ten minutes, or at once by");
            Finding::blocks(Cause::Undeclared, text).command(shell::command("periodic stop", &[task]))
        }
    }
}

fn of_schedule(fleet: &Fleet, view: &ScheduleView) -> Finding {
    let id = &view.id;
    let due_ms = view.due.as_ref().map(|due| due.ms);
    let late_ms = due_ms.map_or(0, |due_ms| fleet.now_ms.saturating_sub(due_ms));
    match view.state {
        "stopped" => Finding::blocks(Cause::Stopped, format!("schedule {id} is stopped", id = named(&id)))
            .command(shell::command("periodic start", &[id])),
        "new" => {
            Finding::blocks(Cause::NotSeeded, format!("no scheduler has seen schedule {id} so far", id = named(&id)))
                .command("windlass leader")
        }
        _ if !fleet.loads(&view.task) && !fleet.instances.is_empty() => {
            let text = format!(
                "no instance has task {} of schedule {id}, so that nothing is enqueued",
                view.task,
                id = named(&id)
            );
            let finding = Finding::blocks(Cause::Undeclared, text);
            match fleet.instances.first() {
                Some(one) => one.signalled(finding, "HUP"),
                None => finding,
            }
        }
        _ if late_ms > LATE_MS => Finding::blocks(
            Cause::PromotionLate,
            format!("schedule {id} was due {} ago", for_so_long(late_ms), id = named(&id)),
        )
        .since_ms(due_ms)
        .command("windlass leader"),
        _ => {
            let at = view.due.as_ref().map_or("an unknown time", |due| due.at.as_str());
            let why = view.waits.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
            Finding::tells(Cause::DelayedUntil, format!("schedule {id} is due next at {at}{why}", id = named(&id)))
                .fact("due_ms", due_ms)
        }
    }
}
