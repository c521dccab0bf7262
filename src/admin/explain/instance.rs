//! Why an instance claims nothing, or not what its files say.

use super::cause::{Cause, Finding, for_so_long};
use super::fleet::{Fleet, InstanceFacts, Lost};
use super::here::Here;
use crate::process::daemons::FoundDaemon;
use crate::store::instance::Stuck;
use crate::text::clean::named;
use crate::text::shell;

/// Nobody is there.
pub(super) fn no_instance() -> Finding {
    Finding::blocks(Cause::NoInstance, "no instance is registered in this store, and no worker of another program")
        .command("windlass run")
}

/// Why an instance claims nothing.
pub(super) fn halted(fleet: &Fleet, one: &InstanceFacts) -> Option<Finding> {
    let name = &one.record.name;
    if let Some(lost) = one.lost {
        return Some(lost_one(fleet, one, lost).fact("instance", name.as_str()));
    }
    if let Some(Stuck { since_ms, why }) = &one.record.stuck {
        let text = format!("instance {name} cannot exchange jobs with the store: failed to {why}", name = named(&name));
        let finding = Finding::blocks(Cause::Stuck, text).since_ms(Some(*since_ms)).fact("instance", name.as_str());
        return Some(finding.command("windlass health").on(&one.record.host.hostname));
    }
    let halt = one.record.halt?;
    let finding = Finding::blocks(
        Cause::Halted,
        format!("instance {name} is {} and claims nothing", halt.name(), name = named(&name)),
    )
    .fact("instance", name.as_str());
    Some(if one.is_paused() { one.signalled(finding, "CONT") } else { finding })
}

/// An instance whose process is gone, is stopped, or is silent for an unknown reason.
fn lost_one(fleet: &Fleet, one: &InstanceFacts, lost: Lost) -> Finding {
    let (name, pid) = (named(&one.record.name), one.record.host.pid);
    let recovered = match fleet.is_full() {
        true => "nobody recovers its jobs before the store has room",
        false => "others recover its jobs",
    };
    let blocks = |text: String| Finding::blocks(Cause::InstanceSilent, text).on(&one.record.host.hostname);
    match lost {
        Lost::Gone => {
            let text = format!(
                "the process of instance {name} is gone without a farewell; {recovered} when its lease of {} is over",
                for_so_long(i64::try_from(one.record.lease_ms).unwrap_or(i64::MAX))
            );
            blocks(text).command("windlass run")
        }
        Lost::Stopped => {
            let text = format!(
                "the process of instance {name} is stopped, as by the signal STOP; {recovered} when its lease is over"
            );
            blocks(text).command(format!("kill -CONT {pid}"))
        }
        Lost::Silent(silent_ms) => {
            let text = format!(
                "instance {name} has not pinged for {}, longer than its lease: it is dead, hangs, or does not reach the store; \
                 {recovered}. The log of process {pid} tells more",
                for_so_long(silent_ms)
            );
            blocks(text).command(format!("ps -o pid,stat,etime,args -p {pid}"))
        }
    }
}

/// An instance that works by older files than those that stand there.
pub(super) fn reload_refused(one: &InstanceFacts) -> Option<Finding> {
    let Stuck { since_ms, why } = one.record.reload_refused.as_ref()?;
    let (name, pid) = (&one.record.name, one.record.host.pid);
    let text = format!("instance {} works by older files, because their reload was refused: {why}", named(name));
    let command = format!("{} && kill -HUP {pid}", shell::command("check", &[]));
    let finding = Finding::tells(Cause::ReloadRefused, text).since_ms(Some(*since_ms)).command(command);
    Some(finding.on(&one.record.host.hostname).fact("instance", name.as_str()))
}

/// Daemons of this host that work on the store and are stopped, after others have removed their registrations.
pub(super) fn stopped_unregistered(here: Here<'_>, fleet: &Fleet) -> Vec<Finding> {
    let is_registered = |daemon: &FoundDaemon| {
        let mut hosts = fleet.instances.iter().map(|one| &one.record.host);
        hosts.any(|host| (host.pid, host.started_ticks) == (daemon.pid, daemon.started_ticks))
    };
    let unknown = here.daemons.iter().filter(|daemon| !fleet.blind && daemon.is_stopped && !is_registered(daemon));
    let told = unknown.map(|FoundDaemon { pid, .. }| {
        let text = format!(
            "process {pid} is a daemon of this store that is stopped, as by the signal STOP; it is registered no more, and \
             others have taken over its jobs. To let it go on"
        );
        Finding::tells(Cause::InstanceSilent, text).command(format!("kill -CONT {pid}")).on(here.host)
    });
    told.collect()
}
