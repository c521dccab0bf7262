//! What holds jobs back: pauses of queues, and instances that claim nothing. All views show the same.

use serde::Serialize;

use super::error::AdminError;
use super::remedy::signal;
use super::room::{self, Shortage};
use crate::client::moment::Moment;
use crate::store::handle::Store;
use crate::store::inspection::{Paused, ReadPaused};
use crate::store::instance::{Halt, InstanceRecord, InstanceState, Instances, Stuck};
use crate::store::role::Admin;
use crate::store::room::ReadRoom;
use crate::text::clean::named;

/// How many names a line of text holds at most.
const NAMED: usize = 10;

/// What holds jobs back. In JSON it is empty if nothing does.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct HeldBack {
    /// All queues are paused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all_paused: bool,
    /// Queues that are paused one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paused_queues: Vec<String>,
    /// Instances that claim nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub halted: Vec<HaltedInstance>,
    /// Instances that skip tasks because their files have mistakes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipping: Vec<SkippingInstance>,
    /// Instances that work by older files than those that stand there, because their reload was refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reload_refused: Vec<RefusedReload>,
    /// What room the store lacks, and whether it deletes keys to make some: sentences, each with what to type next.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shortages: Vec<String>,
}

/// An instance that claims nothing.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct HaltedInstance {
    /// The first two parts of its workers' names, without the number.
    pub name: String,
    /// `paused` by USR2, or `draining`.
    pub state: &'static str,
    /// The daemon's process id.
    pub pid: u32,
    /// Its host.
    pub host: String,
}

/// An instance that works without some tasks, because their files have mistakes.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct SkippingInstance {
    /// The first two parts of its workers' names, without the number.
    pub name: String,
    /// The first of those tasks, or their files.
    pub tasks: Vec<String>,
    /// The daemon's process id.
    pub pid: u32,
    /// Its host.
    pub host: String,
}

/// An instance that works by older files than those that stand there.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct RefusedReload {
    /// The first two parts of its workers' names, without the number.
    pub name: String,
    /// Since when: RFC 3339.
    pub since: Option<String>,
    /// The first problem of the files.
    pub why: String,
    /// The daemon's process id.
    pub pid: u32,
    /// Its host.
    pub host: String,
}

impl RefusedReload {
    /// Tells of this instance if its last reload was refused.
    #[must_use]
    pub fn of(record: &InstanceRecord) -> Option<Self> {
        let Stuck { since_ms, why } = record.reload_refused.clone()?;
        let (name, host) = (record.name.clone(), record.host.hostname.clone());
        let since = Moment::of_ms(since_ms).map(Moment::rfc3339);
        Some(Self { name, since, why, pid: record.host.pid, host })
    }

    fn text(&self) -> String {
        let Self { name, since, why, pid, host } = self;
        let since = since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
        let reload = signal("HUP", *pid, host);
        format!(
            "instance {name} works by older files{since}, because their reload was refused: {why}; windlass check shows all \
             problems, then: {reload}"
        )
    }
}

impl SkippingInstance {
    /// Tells of this instance if it skips any.
    #[must_use]
    pub fn of(record: &InstanceRecord) -> Option<Self> {
        let (name, host) = (record.name.clone(), record.host.hostname.clone());
        let tasks = record.skipped.clone();
        (!tasks.is_empty()).then_some(Self { name, tasks, pid: record.host.pid, host })
    }

    fn text(&self) -> String {
        let Self { name, tasks, pid, host } = self;
        let (tasks, reload) = (tasks.join(", "), signal("HUP", *pid, host));
        format!(
            "instance {name} skips tasks whose files have mistakes, and their jobs wait: {tasks}; windlass check shows the \
             mistakes, then: {reload} (not needed with reload = \"auto\")"
        )
    }
}

impl HaltedInstance {
    /// Tells of this instance if it claims nothing.
    #[must_use]
    pub fn of(record: &InstanceRecord) -> Option<Self> {
        let state = record.halt?.name();
        let (name, host) = (record.name.clone(), record.host.hostname.clone());
        Some(Self { name, state, pid: record.host.pid, host })
    }

    /// Is this one of its workers?
    #[must_use]
    pub fn has_worker(&self, name: &str) -> bool {
        name.strip_prefix(&self.name).is_some_and(|rest| rest.starts_with('+'))
    }

    fn text(&self) -> String {
        let Self { name, state, pid, host } = self;
        if *state == Halt::Paused.name() {
            let resume = signal("CONT", *pid, host);
            return format!("instance {name} is paused and claims nothing; to resume it: {resume}");
        }
        format!("instance {name} is {state} and claims nothing")
    }
}

impl HeldBack {
    /// Reads it.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn read(store: &Store<Admin>) -> Result<Self, AdminError> {
        Self::of(store, &store.run(Instances).await?).await
    }

    /// The same for instances that were read before.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn of(store: &Store<Admin>, instances: &[InstanceState]) -> Result<Self, AdminError> {
        let (paused, room) = tokio::join!(store.run(ReadPaused), store.run(ReadRoom));
        let shortages = room::shortages(store.describe(), room.ok().as_ref(), None);
        let shortages = shortages.iter().map(Shortage::line).collect();
        Ok(Self { shortages, ..Self::told(&paused?, instances) })
    }

    /// What pauses and instances tell that were read before.
    #[must_use]
    pub fn told(paused: &Paused, instances: &[InstanceState]) -> Self {
        Self {
            all_paused: paused.all,
            paused_queues: paused.queues.iter().map(|queue| queue.as_str().to_owned()).collect(),
            halted: instances.iter().filter_map(|state| HaltedInstance::of(&state.record)).collect(),
            skipping: instances.iter().filter_map(|state| SkippingInstance::of(&state.record)).collect(),
            reload_refused: instances.iter().filter_map(|state| RefusedReload::of(&state.record)).collect(),
            shortages: Vec::new(),
        }
    }

    /// In sentences, with what to type next.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.shortages.clone();
        if self.all_paused {
            lines.push("all queues are paused; resume them: windlass queues resume --all".to_owned());
        }
        if !self.paused_queues.is_empty() {
            let first = &self.paused_queues[..self.paused_queues.len().min(NAMED)];
            let more = self.paused_queues.len() - first.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let names = first.iter().map(named).collect::<Vec<_>>().join(", ");
            lines.push(format!("paused one by one: {names}{more}; to resume one: windlass queues resume Q"));
        }
        let halted = &self.halted[..self.halted.len().min(NAMED)];
        lines.extend(halted.iter().map(HaltedInstance::text));
        if self.halted.len() > NAMED {
            lines.push(format!("{} more instances claim nothing", self.halted.len() - NAMED));
        }
        lines.extend(self.skipping.iter().take(NAMED).map(SkippingInstance::text));
        lines.extend(self.reload_refused.iter().take(NAMED).map(RefusedReload::text));
        lines
    }
}
