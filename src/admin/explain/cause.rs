//! The causes, by names that stay, and what is told of each.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::client::moment::Moment;
use crate::text::clean::named;
use crate::text::shell;

/// Why something does not run, or how it stands. Programs may depend on the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is its own sentence; docs/explain.md has what is told of each")]
pub enum Cause {
    PausedAll,
    PausedQueue,
    NoInstance,
    NoProcessorForQueue,
    OnlyForeignWorkers,
    Halted,
    InstanceSilent,
    AllBusy,
    LowerPriority,
    Behind,
    WaitsLong,
    FallsBehind,
    Empty,
    UnknownTask,
    TaskSkipped,
    Running,
    OwnerSilent,
    DelayedUntil,
    RetryWaiting,
    PromotionLate,
    NoLeader,
    LockHeld,
    Failed,
    Failing,
    FailureRate,
    Stopped,
    HaltedByFailure,
    NotSeeded,
    Gone,
    SetAside,
    Unreadable,
    DifferentVersions,
    PartlyRead,
    ProgramMissing,
    ProgramUnseen,
    CutOff,
    PutOff,
    Undeclared,
    StoreFull,
    StoreEvicts,
    Stuck,
    ReloadRefused,
}

/// One cause.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Finding {
    /// Which.
    pub cause: Cause,
    /// Does it keep the subject from running?
    pub blocks: bool,
    /// A sentence for people.
    pub text: String,
    /// Since when, if that is known: RFC 3339 with milliseconds, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What to type next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The host on which that is typed, if it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// The facts behind it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[cfg_attr(test, schema(value_type = std::collections::BTreeMap<String, Value>))]
    pub evidence: Map<String, Value>,
}

impl Finding {
    /// Something that keeps the subject from running.
    pub(super) fn blocks(cause: Cause, text: impl Into<String>) -> Self {
        Self { blocks: true, ..Self::tells(cause, text) }
    }

    /// Something that is worth knowing.
    pub(super) fn tells(cause: Cause, text: impl Into<String>) -> Self {
        Self { cause, blocks: false, text: text.into(), since: None, command: None, on: None, evidence: Map::new() }
    }

    /// With what to type next.
    pub(super) fn command(self, command: impl Into<String>) -> Self {
        Self { command: Some(command.into()), ..self }
    }

    /// With this command, if there is nothing better to type.
    pub(super) fn or_command(self, verb: &str, name: &str) -> Self {
        Self { command: self.command.or_else(|| Some(shell::command(verb, &[name]))), ..self }
    }

    /// With the host on which the command is typed.
    pub(super) fn on(self, host: &str) -> Self {
        Self { on: Some(host.to_owned()), ..self }
    }

    /// With since when.
    pub(super) fn since_ms(self, ms: Option<i64>) -> Self {
        Self { since: ms.and_then(Moment::of_ms).map(Moment::rfc3339_ms), ..self }
    }

    /// With a fact.
    pub(super) fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.evidence.insert(name.to_owned(), value.into());
        self
    }
}

/// How long something has taken, for people: whole seconds.
pub(super) fn for_so_long(ms: i64) -> String {
    let seconds = u64::try_from(ms / 1000).unwrap_or(0);
    humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string()
}

/// So many jobs, with what they do: "1 job waits", "2 jobs wait".
pub(super) fn jobs(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 job {one}") } else { format!("{number} jobs {many}") }
}

/// The first of these names, and how many more there are.
pub(super) fn some_names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    first_names(names.iter().copied(), names.len())
}

/// The same of so many names, of which no more are made than are told.
pub(super) fn first_names(names: impl Iterator<Item = impl AsRef<str>>, count: usize) -> String {
    const NAMED: usize = 5;
    let first = names.take(NAMED).map(|name| named(name.as_ref())).collect::<Vec<_>>().join(", ");
    if count > NAMED { format!("{first} and {} more", count - NAMED) } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_documented() {
        let documented =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/explain.md")).expect("it is there");
        let mut cause = Some(Cause::PausedAll);
        while let Some(now) = cause {
            let name = serde_json::to_string(&now).expect("a name").replace('"', "`");
            assert!(documented.contains(&name), "{name}");
            cause = after(now);
        }
    }

    /// The next one: a new cause does not compile without its place here.
    fn after(cause: Cause) -> Option<Cause> {
        Some(match cause {
            Cause::PausedAll => Cause::PausedQueue,
            Cause::PausedQueue => Cause::NoInstance,
            Cause::NoInstance => Cause::NoProcessorForQueue,
            Cause::NoProcessorForQueue => Cause::OnlyForeignWorkers,
            Cause::OnlyForeignWorkers => Cause::Halted,
            Cause::Halted => Cause::InstanceSilent,
            Cause::InstanceSilent => Cause::AllBusy,
            Cause::AllBusy => Cause::LowerPriority,
            Cause::LowerPriority => Cause::Behind,
            Cause::Behind => Cause::WaitsLong,
            Cause::WaitsLong => Cause::FallsBehind,
            Cause::FallsBehind => Cause::Empty,
            Cause::Empty => Cause::UnknownTask,
            Cause::UnknownTask => Cause::TaskSkipped,
            Cause::TaskSkipped => Cause::Running,
            Cause::Running => Cause::OwnerSilent,
            Cause::OwnerSilent => Cause::DelayedUntil,
            Cause::DelayedUntil => Cause::RetryWaiting,
            Cause::RetryWaiting => Cause::PromotionLate,
            Cause::PromotionLate => Cause::NoLeader,
            Cause::NoLeader => Cause::LockHeld,
            Cause::LockHeld => Cause::Failed,
            Cause::Failed => Cause::Failing,
            Cause::Failing => Cause::FailureRate,
            Cause::FailureRate => Cause::Stopped,
            Cause::Stopped => Cause::HaltedByFailure,
            Cause::HaltedByFailure => Cause::NotSeeded,
            Cause::NotSeeded => Cause::Gone,
            Cause::Gone => Cause::SetAside,
            Cause::SetAside => Cause::Unreadable,
            Cause::Unreadable => Cause::DifferentVersions,
            Cause::DifferentVersions => Cause::PartlyRead,
            Cause::PartlyRead => Cause::ProgramMissing,
            Cause::ProgramMissing => Cause::ProgramUnseen,
            Cause::ProgramUnseen => Cause::CutOff,
            Cause::CutOff => Cause::PutOff,
            Cause::PutOff => Cause::Undeclared,
            Cause::Undeclared => Cause::StoreFull,
            Cause::StoreFull => Cause::StoreEvicts,
            Cause::StoreEvicts => Cause::Stuck,
            Cause::Stuck => Cause::ReloadRefused,
            Cause::ReloadRefused => return None,
        })
    }
}
