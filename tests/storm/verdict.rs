//! What must hold when a storm is over.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Step;
use crate::fault::Fault;
use crate::fleet::{ALONE, FREQUENCY_S, SCHEDULED, TICK};
use crate::ledger::{Ledger, Run};

/// What a storm left behind.
pub(crate) struct Aftermath<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) faults: &'a [Fault],
    pub(crate) steps: &'a [Step],
    /// The numbers of the jobs that the store took for sure.
    pub(crate) acknowledged: &'a BTreeSet<u64>,
    /// How long it was, the calm after it included.
    pub(crate) seconds: u64,
    /// How often the logs tell that a job of this id is given back.
    pub(crate) told: &'a dyn Fn(&str) -> usize,
}

impl Aftermath<'_> {
    /// Everything that does not hold.
    pub(crate) fn objections(&self) -> Vec<String> {
        let mut found = Vec::new();
        let ended = self.ledger.ended();
        let missing: Vec<_> = self.acknowledged.difference(&ended).collect();
        if !missing.is_empty() {
            found.push(format!("jobs never finished: {missing:?}"));
        }
        self.ledger.jobs().for_each(|runs| self.judge(runs, &mut found));
        self.one_id_each(&mut found);
        for task in [ALONE, TICK] {
            self.none_beside_another(task, &mut found);
        }
        self.no_tick_twice(&mut found);
        found
    }

    /// The runs of one job.
    fn judge(&self, runs: &[Run], found: &mut Vec<String>) {
        let id = &runs[0].id;
        let claims: BTreeSet<_> = runs.iter().map(|run| &run.claim).collect();
        if claims.len() != runs.len() {
            found.push(format!("a claim was given out twice: {runs:#?}"));
        }
        if runs.iter().any(|run| run.attempt != 1) {
            found.push(format!("nobody retried job {id}, but its attempt is counted: {runs:#?}"));
        }
        // The handler is told of each repetition.
        if runs.windows(2).any(|pair| pair[1].redelivered <= pair[0].redelivered) {
            found.push(format!("job {id} ran again and was not told that it did: {runs:#?}"));
        }
        let unexplained: Vec<_> =
            runs[..runs.len() - 1].iter().filter(|run| !self.faults.iter().any(|fault| fault.explains(run))).collect();
        let told = (self.told)(id);
        if unexplained.len() > told {
            found.push(format!(
                "job {id} ran again without a word: no fault hit {unexplained:#?} of {runs:#?}, and the logs tell {told} \
                 redeliveries"
            ));
        }
    }

    /// A job keeps its id over all runs.
    fn one_id_each(&self, found: &mut Vec<String>) {
        let mut ids: BTreeMap<u64, BTreeSet<&str>> = BTreeMap::new();
        for run in self.ledger.runs() {
            if let Some(job) = run.job {
                ids.entry(job).or_default().insert(&run.id);
            }
        }
        found.extend(
            ids.iter().filter(|(_, ids)| ids.len() > 1).map(|(job, ids)| format!("job {job} has several ids: {ids:?}")),
        );
    }

    /// Jobs of this task exclude each other. A run without an end may have been killed at any time.
    fn none_beside_another(&self, task: &str, found: &mut Vec<String>) {
        let mut runs: Vec<_> = self.ledger.runs().filter(|run| run.task == task).collect();
        runs.sort_by_key(|run| run.started_ms);
        let beside = |one: &Run, next: &Run| one.ended_ms.is_some_and(|ended| next.started_ms < ended);
        for (at, one) in runs.iter().enumerate() {
            found.extend(
                runs[at + 1..]
                    .iter()
                    .take_while(|next| beside(one, next))
                    .map(|next| format!("two ran at once: {one:#?} and {next:#?}")),
            );
        }
    }

    fn no_tick_twice(&self, found: &mut Vec<String>) {
        // A clock that is set forward makes a tick due at once; one that is set back moves it.
        let ticks: BTreeSet<_> = self.ledger.runs().filter(|run| run.task == TICK).map(|run| &run.id).collect();
        let most = self.seconds / FREQUENCY_S + 2 + self.steps.len() as u64;
        if ticks.len() as u64 > most {
            found.push(format!("{} ticks, at most {most} were due", ticks.len()));
        }
        let mut occurrences: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
        for run in self.ledger.runs() {
            // Ticks are told for when they were due as well.
            if let Some(at) = run.scheduled_at.filter(|_| run.task == SCHEDULED) {
                occurrences.entry(at).or_default().insert(&run.id);
            }
        }
        for (second, ids) in &occurrences {
            let times = 1 + self.steps.iter().filter(|step| step.repeats(*second)).count();
            if ids.len() > times {
                found.push(format!("the occurrence {second} of {SCHEDULED}, which was {times} times, has {ids:?}"));
            }
        }
        if ticks.is_empty() || occurrences.is_empty() {
            found.push(format!("{} ticks and {} occurrences ran", ticks.len(), occurrences.len()));
        }
    }
}
