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
use crate::process::sweep;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::instance::{Halt, InstanceState, Instances, Stuck};
use crate::store::role::Admin;

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

#[derive(Debug, Serialize)]
struct HealthOutput {
    healthy: bool,
    instances: Vec<InstanceHealth>,
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
    let healthy = !instances.is_empty() && instances.iter().all(|one| one.extends && one.stuck.is_none());
    let output = HealthOutput { healthy, instances, held_back };
    context.printer.print(&output, || text(&output, context.printer.manner()))?;
    Ok(if output.healthy { Exit::Done } else { Exit::Failure })
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
    if output.instances.is_empty() {
        let none = Text::from("no instance of this machine is registered in the store; start one: windlass run");
        return output.held_back.lines().into_iter().fold(none, Text::and);
    }
    let mut text = Text::default();
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
