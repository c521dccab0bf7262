//! What the handler wrote: one line when a run starts and one when it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The handler. Lines this short reach an appended file whole.
pub(crate) const HANDLER: &str = r#"#!/bin/sh
# Writes the ledger; $1 is the job, $2 how long to sleep, in seconds.
note() {
    printf '%s %s %s %s %s %s %s\n' "$1" "$2" "$WINDLASS_JOB_ID" "$WINDLASS_CLAIM" "$WINDLASS_ATTEMPT" "$STORM_SEAT" \
        "$(date +%s%3N)" >>"$STORM_LEDGER"
}
note start "$1"
sleep "$2"
note end "$1"
"#;

/// One run of a job.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) claim: String,
    pub(crate) seat: usize,
    pub(crate) started_ms: u64,
    pub(crate) ended_ms: Option<u64>,
}

/// All runs, by job, in the order in which they started.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    jobs: BTreeMap<u64, Vec<Run>>,
}

impl Ledger {
    pub(crate) fn read(path: &Path) -> Self {
        let mut ledger = Self::default();
        for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
            let fields: Vec<_> = line.split(' ').collect();
            let [what, job, id, claim, _attempt, seat, at] = fields[..] else { panic!("a torn line: {line:?}") };
            let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("no number in {line:?}"));
            let runs = ledger.jobs.entry(number(job)).or_default();
            if what == "start" {
                let (id, claim) = (id.to_owned(), claim.to_owned());
                let seat = usize::try_from(number(seat)).expect("a seat must be small");
                runs.push(Run { id, claim, seat, started_ms: number(at), ended_ms: None });
            } else {
                let run = runs.iter_mut().find(|run| run.claim == claim);
                run.unwrap_or_else(|| panic!("an end without a start: {line:?}")).ended_ms = Some(number(at));
            }
        }
        ledger
    }

    pub(crate) fn has_ended(&self, job: u64) -> bool {
        self.jobs.get(&job).is_some_and(|runs| runs.iter().any(|run| run.ended_ms.is_some()))
    }

    pub(crate) fn jobs(&self) -> impl Iterator<Item = (u64, &[Run])> {
        self.jobs.iter().map(|(job, runs)| (*job, runs.as_slice()))
    }

    pub(crate) fn instances(&self) -> BTreeSet<String> {
        let claims = self.jobs.values().flatten().map(|run| run.claim.split('-').next().unwrap_or_default());
        claims.map(str::to_owned).collect()
    }
}
