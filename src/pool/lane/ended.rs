//! What becomes of a job whose run is over, or that a plugin refused: it is sent to the store with the next exchange.

use super::{LaneTask, Settled, late};
use crate::job::run_counts::millis;
use crate::job::shown_run::ShownEnd;
use crate::job::{Outcome, RunOutcome, WorkerName};
use crate::plugin::ending::{self, Ending, Run};
use crate::plugin::hooks::Refusal;
use crate::plugin::kept_run::{LastWords, last_words};
use crate::pool::counted::{Afterwards, Counted};
use crate::pool::report;
use crate::pool::slots::Job;
use crate::store::queueing::Settlement;
use crate::store::runs::KeepRun;

impl LaneTask {
    /// Drops a job that a plugin of its task refused before its run.
    pub(super) fn drop_vetoed(&mut self, number: usize, worker: &WorkerName, job: Job, refusal: Refusal) {
        let Some((task, _)) = &job.known else { return };
        let run = Run { worker, queue: &job.queue, payload: &job.payload, identity: &job.identity, ms: None };
        let ending = ending::vetoed(task, run);
        let kept = job.keeps_runs().then(|| {
            let words = LastWords { why: Some(refusal.to_string()), ..LastWords::default() };
            job.ended(worker, None, self.core.clock.now_ms()).kept(job.task(), &ending, words)
        });
        report::tell_vetoed(&self.core.bus, worker, &job, refusal);
        let counted = Some(Counted::new(&self.core, &job, ending.end, None));
        self.settle(number, worker, job, ending, Afterwards { untold: None, counted }, kept.flatten());
    }

    /// A run is over, and its claim is still ours as far as we know.
    pub(super) fn end(&mut self, number: usize, worker: &WorkerName, job: Job, outcome: Outcome) {
        if let Outcome::NotStarted(why) = outcome {
            let running = self.core.slots.running().len();
            if let Some(news) = self.core.shortage.met(running, &why) {
                self.core.warn(news);
            }
            return self.give_back(number, worker, job, &why);
        }
        if outcome == Outcome::ClaimDoubted {
            return self.release(number, worker, job);
        }
        let Some((job, outcome)) = self.begun(number, worker, job, outcome) else { return };
        let result = match &outcome {
            Outcome::Success { result } => result.clone(),
            _ => None,
        };
        let said = match &outcome {
            Outcome::Later { tail, .. } => tail.clone(),
            _ => Vec::new(),
        };
        let (duration, ran, keeps) = (job.began.elapsed(), late::may_have_run(&job, &outcome), job.keeps_runs());
        // Only failure records and runs that are kept carry a duration.
        let ms = match &outcome {
            Outcome::Success { .. } | Outcome::Later { .. } if !keeps => None,
            _ => Some(millis(duration)),
        };
        let words = keeps.then(|| last_words(&outcome));
        let run = Run { worker, queue: &job.queue, payload: &job.payload, identity: &job.identity, ms };
        let now_ms = self.core.clock.now_ms();
        let ending = ending::ending(job.task(), self.core.settings.policy(), run, outcome, now_ms);
        let kept = words.and_then(|words| job.ended(worker, ms, now_ms).kept(job.task(), &ending, words));
        let untold = report::tell(&self.core.bus, &job, &ending, (result, said), duration);
        let counted = Some(Counted::new(&self.core, &job, ending.end, ran.then(|| millis(duration))));
        self.settle(number, worker, job, ending, Afterwards { untold, counted }, kept);
    }

    /// Sends the end of a job to the store with the next exchange, with the run if it is kept, and what is told and counted when
    /// the store has taken it.
    pub(super) fn settle(
        &mut self,
        slot: usize,
        worker: &WorkerName,
        job: Job,
        ending: Ending,
        afterwards: Afterwards,
        run: Option<Box<KeepRun>>,
    ) {
        self.core.slots.settle(slot, &job.identity, &job.claim);
        self.core.watches.ended(&job.claim, || {
            let error = ending.failure.as_ref().map(ToString::to_string);
            ShownEnd::new(RunOutcome::from(ending.end).word(), error.as_deref())
        });
        let settlement = Settlement {
            worker: worker.clone(),
            claim: job.claim,
            queue: job.queue,
            payload: job.payload,
            verdict: ending.verdict,
            free: ending.free,
            tick: ending.tick,
            run,
        };
        self.settlements.push((Settled { slot, identity: job.identity, afterwards, told: false }, settlement));
    }
}
