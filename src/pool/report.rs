//! The events that a lane emits about its jobs.

use std::sync::Arc;
use std::time::Duration;

use super::slots::Job;
use crate::event::kind::{JobInfo, LONGEST_TEXT};
use crate::event::{Bus, Event, EventKind};
use crate::job::failure::iso_date;
use crate::job::{Failure, RunEnd, WorkerName};
use crate::plugin::chain::MISSED;
use crate::plugin::ending::Ending;
use crate::plugin::hooks::Refusal;
use crate::store::effect::Verdict;
use crate::store::queueing::Repeated;
use crate::text::cut::cut;

/// The end of a run that is told after the store has decided: until then it is not known what becomes of the job, nor
/// whether a failure is one. If the instance was declared dead meanwhile, another one may have killed the run.
pub(super) struct Untold {
    job: Option<Arc<JobInfo>>,
    end: End,
    duration: Duration,
    /// Does its task tell another server how its runs end?
    pings: bool,
}

enum End {
    /// The store decides by its counter whether it is repeated.
    Failed {
        failure: Failure,
        /// How many attempts Retry grants.
        attempts: u32,
    },
    CutOff {
        id: Arc<str>,
        times: u32,
    },
    /// It crashed often, and waits.
    SetAside {
        id: Arc<str>,
        times: u32,
        delay_ms: u64,
    },
    Later {
        delay_ms: u64,
        times: u32,
        /// What it said last.
        said: Vec<String>,
    },
}

/// Tells what is known now; returns what is to be told after the store has decided.
pub(super) fn tell(
    bus: &Bus,
    job: &Job,
    ending: &Ending,
    (result, said): (Option<String>, Vec<String>),
    duration: Duration,
) -> Option<Box<Untold>> {
    let info = job.info.as_ref();
    let end = match (&ending.verdict, &ending.failure, info) {
        (Verdict::Requeued { identity }, ..) => {
            Some(End::CutOff { id: identity.id.clone(), times: identity.redelivered })
        }
        // `Done` means that Noop took the failure.
        (verdict, Some(failure), Some(_)) if !matches!(verdict, Verdict::Done) => {
            let attempts = if let Verdict::Attempted(retry) = verdict { retry.attempts } else { 1 };
            Some(End::Failed { failure: failure.clone(), attempts })
        }
        (Verdict::Delayed { delay_ms, identity }, _, Some(_)) if ending.end == RunEnd::Later => {
            Some(End::Later { delay_ms: *delay_ms, times: identity.later, said })
        }
        (Verdict::Delayed { delay_ms, identity }, ..) => {
            Some(End::SetAside { id: identity.id.clone(), times: identity.redelivered, delay_ms: *delay_ms })
        }
        _ => None,
    };
    if let Some(end) = end {
        if !matches!(ending.verdict, Verdict::Attempted(_)) {
            tell_tick(bus, ending);
        }
        let pings = job.task().is_some_and(|task| task.ping.is_some());
        return Some(Box::new(Untold { job: info.map(Arc::clone), end, duration, pings }));
    }
    let job = Arc::clone(info?);
    match (&ending.verdict, &ending.failure) {
        (Verdict::Done, Some(failure)) => {
            bus.emit(Event::Swallowed { job, error: cut(failure, LONGEST_TEXT), duration });
        }
        (Verdict::Done | Verdict::DoneAtLast { .. }, _) if bus.wants(EventKind::Success) => {
            bus.emit(Event::Success { job, result, duration })
        }
        _ => {}
    }
    tell_tick(bus, ending);
    None
}

fn tell_tick(bus: &Bus, ending: &Ending) {
    if let Some(tick) = ending.tick.as_ref().filter(|tick| !tick.halt && bus.wants(EventKind::SchedulerReEnqueue)) {
        bus.emit(Event::SchedulerReEnqueue { task: tick.task.clone() });
    }
}

impl Untold {
    /// Tells of it. `repeated` is what the store decided about a failed attempt, `now_ms` the time.
    pub(super) fn tell(&self, bus: &Bus, repeated: Option<&Repeated>, now_ms: i64) {
        if let End::CutOff { id, times } = &self.end {
            let text = format!("the run of job {id} was cut off; it went back to its queue, redelivery {times}");
            bus.emit(if *times < 3 { Event::Notice { text } } else { Event::Warning { text } });
        }
        if let End::SetAside { id, times, delay_ms } = &self.end {
            let wait = humantime::format_duration(Duration::from_millis(*delay_ms));
            let text = format!("the run of job {id} was cut off once more; it waits for {wait}, redelivery {times}");
            bus.emit(Event::Warning { text });
        }
        let Some(job) = self.job.clone() else { return };
        match (&self.end, repeated) {
            (End::Failed { failure, attempts }, Some(Repeated { left, delay_ms, .. })) => {
                let attempt = attempts.saturating_sub(*left);
                let why = format!("attempt {attempt} of {attempts} failed; {}", again(now_ms, *delay_ms));
                let error = cut(failure, LONGEST_TEXT);
                bus.emit(Event::Retry { job, error, why, duration: self.duration });
            }
            (End::Failed { failure, .. }, None) => tell_failure(bus, job, failure, self.duration, self.pings),
            (End::CutOff { times, .. }, _) => {
                bus.emit(Event::ReEnqueue { job, why: format!("its run was cut off; redelivery {times}") });
            }
            (End::SetAside { times, delay_ms, .. }, _) => {
                let why = format!("its run was cut off once more, redelivery {times}; {}", again(now_ms, *delay_ms));
                bus.emit(Event::ReEnqueue { job, why });
            }
            (End::Later { delay_ms, times, .. }, _) => {
                let why = format!("its handler said later, time {times}; {}", again(now_ms, *delay_ms));
                bus.emit(Event::Later { job, why });
            }
        }
    }

    /// The job fails in place of what was to become of it. The failure is given the error that the run ended with.
    pub(super) fn fail(&mut self, failure: &mut Failure) {
        match &mut self.end {
            End::Failed { failure: before, .. } => {
                failure.error = format!("{}; its run had failed: {before}", failure.error);
                failure.backtrace = std::mem::take(&mut before.backtrace);
            }
            End::Later { said, .. } => failure.backtrace = std::mem::take(said),
            End::CutOff { .. } | End::SetAside { .. } => {}
        }
        self.end = End::Failed { failure: failure.clone(), attempts: 1 };
    }
}

/// When a job runs again that is delayed now. A delayed job is due at a whole second.
fn again(now_ms: i64, delay_ms: u64) -> String {
    let wait = humantime::format_duration(Duration::from_millis(delay_ms));
    let at = now_ms.saturating_add(i64::try_from(delay_ms).unwrap_or(i64::MAX));
    format!("it runs again in {wait}, at {}", iso_date(at))
}

fn tell_failure(bus: &Bus, job: Arc<JobInfo>, failure: &Failure, duration: Duration, pings: bool) {
    if bus.wants(EventKind::Failure) {
        let event = Event::failure(job, failure, duration);
        bus.emit(if pings { event.with_tail(failure) } else { event });
    }
}

/// Tells that a job is dropped without a run, even if no listener wants to hear of jobs that run.
pub(super) fn tell_vetoed(bus: &Bus, worker: &WorkerName, job: &Job, Refusal { plugin, reason }: Refusal) {
    let Some(task) = job.task().filter(|_| bus.wants(EventKind::Warning)) else { return };
    let info = job.info.clone().unwrap_or_else(|| {
        let (args, id) = (JobInfo::args_of(&job.args), Arc::clone(&job.identity.id));
        Arc::new(JobInfo::new(worker.clone(), job.queue.clone(), task.name.clone(), args, id))
    });
    bus.emit(Event::Vetoed { job: info, plugin, reason });
}

/// Tells that the rules of its task dropped a job without a run.
pub(super) fn dropped(bus: &Bus, job: &Job, plugin: &str) {
    if let Some(task) = job.task().filter(|_| plugin == MISSED) {
        let text = format!("periodic task {} leaves out a run: it was missed, and is too old now", task.name);
        bus.emit(Event::Missed { task: task.name.clone(), text });
    }
    vetoed(bus, job, format!("dropped by {plugin}"));
}

/// Tells that a job goes back without a run.
pub(super) fn vetoed(bus: &Bus, job: &Job, why: String) {
    if let Some(info) = &job.info {
        bus.emit(Event::ReEnqueue { job: Arc::clone(info), why });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_run_that_cannot_be_put_off_keeps_what_it_said_last() {
        let said = || vec!["no disk".to_owned()];
        let before = Failure::new("ExitStatus", "exited with 3").with_backtrace(said());
        let failed = End::Failed { failure: before, attempts: 3 };
        let later = End::Later { delay_ms: 1, times: 1, said: said() };
        for (end, why) in [(failed, "exited with 3"), (later, "")] {
            let mut untold = Untold { job: None, end, duration: Duration::ZERO, pings: false };
            let mut failure = Failure::new("Error", "the job could not be put off or back");
            untold.fail(&mut failure);
            assert!(failure.error.contains(why), "{failure}");
            assert_eq!(failure.backtrace, said());
        }
    }
}
