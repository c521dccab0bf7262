//! What keeps the jobs of a class from beginning: nobody has its task, or it cannot begin here.

use std::collections::BTreeSet;

use super::cause::{Cause, Finding, some_names};
use super::fleet::Fleet;
use super::here::Here;
use crate::client::request::nearest;
use crate::job::QueueName;
use crate::task::handler_spec::HandlerSpec;
use crate::text::clean::named;
use crate::text::shell;

/// What keeps the jobs of a class from beginning, wherever they stand: such jobs are put off again and again, so that they
/// mostly stand among the delayed ones.
pub(super) fn obstacles(here: Here<'_>, fleet: &Fleet, queue: &QueueName, class: &str) -> Vec<Finding> {
    unknown(here, fleet, queue, class).into_iter().chain(missing(here, fleet, queue, class)).collect()
}

/// A program or folder of the task that is missing on this machine. It stands in the way only if the task runs here.
fn missing(here: Here<'_>, fleet: &Fleet, queue: &QueueName, class: &str) -> Option<Finding> {
    let Some((_, problem)) = here.missing.iter().find(|(task, _)| task.as_str() == class) else {
        return unseen(here, fleet, queue, class);
    };
    let mut workers = fleet.instances.iter().filter(|one| one.works_on(queue)).peekable();
    let nobody = workers.peek().is_none();
    let finding = if nobody || workers.any(|one| one.record.host.hostname == here.host) {
        let place = if here.tells_unseen { format!("on {}", named(&here.host)) } else { String::new() };
        let place = if place.is_empty() { place } else { format!("{place} ") };
        let text = format!("{place}no job of task {class} can begin at the moment: {problem}", class = named(&class));
        Finding::blocks(Cause::ProgramMissing, text)
    } else {
        let place = if here.tells_unseen { named(&here.host) } else { "this machine".to_owned() };
        let text = format!(
            "on {place} no job of task {class} could begin, but others work on {queue}: {problem}",
            class = named(&class),
            queue = named(&queue)
        );
        Finding::tells(Cause::ProgramMissing, text)
    };
    Some(finding.command("windlass check").fact("task", class))
}

/// Jobs of a task with a program run on other machines only, where nobody can look from here.
fn unseen(here: Here<'_>, fleet: &Fleet, queue: &QueueName, class: &str) -> Option<Finding> {
    let task = here.registry.get(class).filter(|_| here.tells_unseen)?;
    if !matches!(task.handler, HandlerSpec::Exec(_) | HandlerSpec::Rpc(_)) {
        return None;
    }
    let hosts: BTreeSet<&str> =
        fleet.instances.iter().filter(|one| one.works_on(queue)).map(|one| one.record.host.hostname.as_str()).collect();
    let other = hosts.first().filter(|_| !hosts.contains(here.host))?;
    let text = format!(
        "whether the program of task {class} is there cannot be seen from {from}, because its jobs run on {others}",
        class = named(&class),
        from = named(&here.host),
        others = some_names(hosts.iter().copied())
    );
    let finding = Finding::tells(Cause::ProgramUnseen, text).command("windlass check").on(other);
    Some(finding.fact("task", class).fact("looked_on", here.host))
}

/// A class that nobody has who works on this queue.
pub(super) fn unknown(here: Here<'_>, fleet: &Fleet, queue: &QueueName, class: &str) -> Option<Finding> {
    if fleet.knows(class, queue) != Some(false) || !fleet.instances.iter().any(|one| one.works_on(queue)) {
        return None;
    }
    if let Some(skipped) = skipped(fleet, class) {
        return Some(skipped);
    }
    let loaded = fleet.instances.iter().filter_map(|one| one.record.tasks.as_ref()).flatten();
    let hint = nearest(class, loaded.map(String::as_str)).filter(|name| name != class);
    let hint = hint.map(|name| format!("; did you mean {name}?", name = named(&name))).unwrap_or_default();
    let text = format!(
        "no instance that works on queue {queue} has a task {class}{hint}",
        class = named(&class),
        queue = named(&queue)
    );
    let reader = fleet.instances.iter().find(|one| one.works_on(queue)).filter(|_| here.registry.get(class).is_some());
    let finding = match reader {
        Some(one) => {
            let text = format!("{text}; its file is here, and the signal HUP has it read");
            one.signalled(Finding::blocks(Cause::UnknownTask, text), "HUP")
        }
        None => Finding::blocks(Cause::UnknownTask, text).command(shell::command("generate task", &[class])),
    };
    Some(finding.fact("task", class))
}

/// An instance that skips a task, because its file has mistakes.
pub(super) fn skipped(fleet: &Fleet, class: &str) -> Option<Finding> {
    let one = fleet.instances.iter().find(|one| one.record.skipped.iter().any(|name| name == class))?;
    let text = format!(
        "task {class} is skipped by instance {}, because its file has mistakes; its jobs wait until it is corrected and \
         read again",
        one.record.name,
        class = named(&class)
    );
    let command = format!("{} && kill -HUP {}", shell::command("check", &[]), one.record.host.pid);
    Some(Finding::blocks(Cause::TaskSkipped, text).command(command).on(&one.record.host.hostname))
}
