//! `health`: whether the instances of this machine do their work.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::admin::AdminError;
use crate::admin::delayed::TimeView;
use crate::admin::held_back::HeldBack;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::manner::Manner;
use crate::cli::output::Text;
use crate::daemon::host;
use crate::process::daemons::{self, FoundDaemon};
use crate::process::sweep;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::instance::{Halt, InstanceState, Instances, Stuck};
use crate::store::role::Admin;

/// How long a daemon may take to join, or to end after it has left.
const GRACE: Duration = Duration::from_secs(5);
/// The pause between two looks at the leases.
const PAUSE: Duration = Duration::from_millis(250);

/// An instance of this machine.
#[derive(Debug, Serialize)]
struct InstanceHealth {
    name: String,
    pid: u32,
    /// Was its lease extended while we looked?
    extends: bool,
    /// `paused` or `draining`, if it claims nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// Jobs cannot be exchanged with the store, although the lease is extended.
    #[serde(skip_serializing_if = "Option::is_none")]
    stuck: Option<StuckSince>,
}

#[derive(Debug, Serialize)]
struct StuckSince {
    since: TimeView,
    why: String,
}

/// A daemon that works on the store, as its process says, and is not registered in it.
#[derive(Debug, Serialize)]
struct UnregisteredDaemon {
    pid: u32,
    /// It was told to stop.
    stopped: bool,
}

#[derive(Debug, Serialize)]
struct HealthOutput {
    healthy: bool,
    instances: Vec<InstanceHealth>,
    /// Daemons of this machine that work on this store and are not registered in it: they hang, and others have declared them
    /// dead, or they cannot join. Left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unregistered: Vec<UnregisteredDaemon>,
    /// What holds jobs back here. It is meant, so that it makes nobody unhealthy.
    #[serde(flatten)]
    held_back: HeldBack,
}

/// Watches the leases of the instances of this machine, until each was extended or one was due and was not.
///
/// A process that exists, and a store that answers, say little: an instance extends its lease only while its core turns and
/// reaches the store. Each is given the whole of its lease, because after that others take over its jobs.
///
/// # Errors
/// Failures of the store.
pub(crate) async fn run(context: &CommandContext) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let first = instances_of_this_host(&store).await.map_err(AdminError::from)?;
    let begun = tokio::time::Instant::now();
    let mut instances: BTreeMap<String, (InstanceState, bool)> =
        first.into_iter().map(|state| (state.record.id.clone(), (state, false))).collect();
    let waits = |instances: &BTreeMap<String, (InstanceState, bool)>| {
        instances
            .values()
            .any(|(state, extends)| !extends && begun.elapsed() < Duration::from_millis(state.record.lease_ms))
    };
    while waits(&instances) {
        tokio::time::sleep(PAUSE).await;
        let now = instances_of_this_host(&store).await.map_err(AdminError::from)?;
        // One that drained meanwhile is gone, and nothing is wrong with it.
        instances.retain(|id, _| now.iter().any(|state| state.record.id == *id));
        for state in now {
            if let Some((before, extends)) = instances.get_mut(&state.record.id) {
                *extends |= state.counter != before.counter;
                (before.record.halt, before.record.stuck) = (state.record.halt, state.record.stuck);
            }
        }
    }
    let health = |(state, extends): (InstanceState, bool)| InstanceHealth {
        name: state.record.name,
        pid: state.record.host.pid,
        extends,
        state: state.record.halt.map(Halt::name),
        stuck: state
            .record
            .stuck
            .map(|Stuck { since_ms, why }| StuckSince { since: TimeView::of(since_ms.div_euclid(1000)), why }),
    };
    let states: Vec<_> = instances.values().map(|(state, _)| state.clone()).collect();
    let held_back = HeldBack::of(&store, &states).await?;
    let instances: Vec<_> = instances.into_values().map(health).collect();
    let unregistered = unregistered(context, &store).await?;
    let works = !instances.is_empty() && instances.iter().all(|one| one.extends && one.stuck.is_none());
    let healthy = works && unregistered.is_empty();
    let output = HealthOutput { healthy, instances, unregistered, held_back };
    context.printer.print(&output, || text(&output, context.printer.manner()))?;
    Ok(if output.healthy { Exit::Done } else { Exit::Failure })
}

/// The daemons of this machine that are not registered, and still are not after some time if they are not stopped: one that
/// starts is registered soon, and one that ends is gone soon.
async fn unregistered(context: &CommandContext, store: &Store<Admin>) -> Result<Vec<UnregisteredDaemon>, CliError> {
    let identity = host::store_identity(&context.config()?.config.store);
    let (mut found, begun) = (Vec::new(), tokio::time::Instant::now());
    loop {
        let registered = store.run(Instances).await.map_err(AdminError::from)?;
        let is_known = |daemon: &FoundDaemon| {
            let mut hosts = registered.iter().map(|state| &state.record.host);
            hosts.any(|host| (host.pid, host.started_ticks) == (daemon.pid, daemon.started_ticks))
        };
        let now = daemons::of_store(&identity).into_iter().filter(|daemon| !is_known(daemon));
        let before = std::mem::replace(&mut found, now.collect());
        // What was not seen before has begun meanwhile.
        found.retain(|daemon| begun.elapsed() < PAUSE || before.iter().any(|one| one.pid == daemon.pid));
        if found.iter().all(|daemon| daemon.is_stopped) || begun.elapsed() >= GRACE {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(found.into_iter().map(|daemon| UnregisteredDaemon { pid: daemon.pid, stopped: daemon.is_stopped }).collect())
}

/// The registered instances of this machine whose process exists. The boot is not compared: a container may have an id of its
/// own in place of the kernel's, which services in it do not see, and the start of the process tells enough.
async fn instances_of_this_host(store: &Store<Admin>) -> Result<Vec<InstanceState>, StoreError> {
    let ourselves = host::identity();
    let mut states = store.run(Instances).await?;
    states.retain(|state| {
        let there = &state.record.host;
        there.hostname == ourselves.hostname
            && there.pid_namespace == ourselves.pid_namespace
            && sweep::is_alive(there.pid, there.started_ticks)
    });
    Ok(states)
}

fn text(output: &HealthOutput, manner: Manner) -> Text {
    let mut text = Text::default();
    if output.instances.is_empty() && output.unregistered.is_empty() {
        text.push("no instance of this machine is registered in the store; start one: windlass run");
    }
    for UnregisteredDaemon { pid, stopped } in &output.unregistered {
        text.push(match stopped {
            true => format!("process {pid} works on this store, is stopped and registered no more; to let it go on: kill -CONT {pid}"),
            false => format!(
                "process {pid} works on this store and is not registered in it: it hangs, or cannot join; its log tells why. \
                 To end it: kill -TERM {pid}"
            ),
        });
    }
    for one in &output.instances {
        let what = match &one.stuck {
            _ if !one.extends => "does not extend its lease: it hangs, or it does not reach the store".to_owned(),
            Some(StuckSince { since, why }) => {
                format!(
                    "cannot exchange jobs with the store since {}: failed to {why}",
                    manner.clock(&since.at, || since.at.clone())
                )
            }
            None => "works".to_owned(),
        };
        let state = one.state.map(|state| format!(", but is {state}")).unwrap_or_default();
        text.push(format!("{} {what}{state}", one.name));
    }
    output.held_back.lines().into_iter().fold(text, Text::and)
}
