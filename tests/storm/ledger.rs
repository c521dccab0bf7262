//! What the handler wrote: one line when a run starts and one when it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The handler. Lines this short reach an appended file whole.
pub(crate) const HANDLER: &str = r#"#!/bin/sh
# Writes the ledger; $1 is the number of the job, $2 how long to sleep, in seconds. Its times are the system's.
unset LD_PRELOAD
# Its daemon was killed before it wrote the job.
read -r job || exit 1
redelivered=${job#*'"redelivered":'}
note() {
    printf '%s %s %s %s %s %s %s %s %s %s\n' "$1" "$WINDLASS_TASK" "$2" "$WINDLASS_JOB_ID" "$WINDLASS_CLAIM" \
        "$WINDLASS_ATTEMPT" "${redelivered%%[,\}]*}" "$STORM_SEAT" "${WINDLASS_SCHEDULED_AT:--}" "$(date +%s%3N)" \
        >>"$STORM_LEDGER"
}
note start "$1"
sleep "$2"
note end "$1"
"#;

/// One run of a job.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) task: String,
    /// Its number; `None` for a tick.
    pub(crate) job: Option<u64>,
    pub(crate) id: String,
    pub(crate) claim: String,
    pub(crate) attempt: u64,
    /// How often Windlass had told that it was cut off.
    pub(crate) redelivered: u64,
    pub(crate) seat: usize,
    /// The occurrence of the schedule, in seconds since 1970.
    pub(crate) scheduled_at: Option<i64>,
    pub(crate) started_ms: u64,
    pub(crate) ended_ms: Option<u64>,
}

/// All runs, by id, in the order in which they started.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    jobs: BTreeMap<String, Vec<Run>>,
}

impl Ledger {
    pub(crate) fn read(path: &Path) -> Self {
        let mut ledger = Self::default();
        for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
            let fields: Vec<_> = line.split(' ').collect();
            let [what, task, job, id, claim, attempt, redelivered, seat, scheduled_at, at] = fields[..] else {
                panic!("a torn line: {line:?}")
            };
            let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("no number in {line:?}"));
            let runs = ledger.jobs.entry(id.to_owned()).or_default();
            if what == "start" {
                let second = |text: &str| {
                    let time = chrono::DateTime::parse_from_rfc3339(text);
                    time.unwrap_or_else(|_| panic!("no time in {line:?}")).timestamp()
                };
                runs.push(Run {
                    task: task.to_owned(),
                    job: (job != "-").then(|| number(job)),
                    id: id.to_owned(),
                    claim: claim.to_owned(),
                    attempt: number(attempt),
                    redelivered: number(redelivered),
                    seat: usize::try_from(number(seat)).expect("a seat must be small"),
                    scheduled_at: (scheduled_at != "-").then(|| second(scheduled_at)),
                    started_ms: number(at),
                    ended_ms: None,
                });
            } else {
                let run = runs.iter_mut().find(|run| run.claim == claim);
                run.unwrap_or_else(|| panic!("an end without a start: {line:?}")).ended_ms = Some(number(at));
            }
        }
        ledger
    }

    /// The runs of each job.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = &[Run]> {
        self.jobs.values().map(Vec::as_slice)
    }

    /// The numbers of the jobs that ended.
    pub(crate) fn ended(&self) -> BTreeSet<u64> {
        self.runs().filter(|run| run.ended_ms.is_some()).filter_map(|run| run.job).collect()
    }

    pub(crate) fn instances(&self) -> BTreeSet<String> {
        self.runs().map(|run| run.claim.split('-').next().unwrap_or_default().to_owned()).collect()
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.jobs.values().flatten()
    }
}
