//! The events that a lane emits about its jobs.

use std::sync::Arc;
use std::time::Duration;

use super::slots::Job;
use crate::event::kind::JobInfo;
use crate::event::{Bus, Event, EventKind};
use crate::job::{Failure, WorkerName};
use crate::plugin::ending::Ending;
use crate::plugin::hooks::Refusal;
use crate::store::effect::Verdict;
use crate::store::queueing::Repeated;

/// A failed attempt. The store decides by its counter whether it is repeated.
pub(super) struct Attempt {
    job: Arc<JobInfo>,
    failure: Failure,
    duration: Duration,
}

/// Tells what is known now; returns what is to be told after the store has decided.
pub(super) fn tell(
    bus: &Bus,
    job: &Job,
    ending: &Ending,
    result: Option<String>,
    put_off: bool,
) -> Option<Box<Attempt>> {
    if let Verdict::Requeued { identity } = &ending.verdict {
        let (id, times) = (&identity.id, identity.redelivered);
        let text = format!("the run of job {id} was cut off; it goes back to its queue, redelivery {times}");
        bus.emit(if times < 3 { Event::Notice { text } } else { Event::Warning { text } });
    }
    let info = job.info.as_ref()?;
    let (job, duration) = (Arc::clone(info), job.began.elapsed());
    match (&ending.verdict, &ending.failure) {
        (Verdict::Attempted(_), Some(failure)) => {
            return Some(Box::new(Attempt { job, failure: failure.clone(), duration }));
        }
        (Verdict::Done, Some(failure)) => bus.emit(Event::Warning {
            text: format!("Noop took the failure of job {} ({}) for done: {failure}", job.id, job.class),
        }),
        (_, Some(failure)) => bus.emit(Event::Failure { job, failure: failure.clone(), duration }),
        (Verdict::Done | Verdict::DoneAtLast { .. }, _) if bus.wants(EventKind::Success) => {
            bus.emit(Event::Success { job, result, duration })
        }
        (Verdict::Requeued { identity }, _) => {
            let why = format!("its run was cut off; redelivery {}", identity.redelivered);
            bus.emit(Event::ReEnqueue { job, why });
        }
        (Verdict::Delayed { delay_ms, identity }, _) if put_off => {
            let why = format!("its handler said later ({} ms, time {})", delay_ms, identity.later);
            bus.emit(Event::ReEnqueue { job, why });
        }
        _ => {}
    }
    if let Some(tick) = ending.tick.as_ref().filter(|tick| !tick.halt && bus.wants(EventKind::SchedulerReEnqueue)) {
        bus.emit(Event::SchedulerReEnqueue { task: tick.task.clone() });
    }
    None
}

/// Tells of a failed attempt after the store has decided.
pub(super) fn tell_attempt(bus: &Bus, attempt: &Attempt, repeated: Option<&Repeated>) {
    let Attempt { job, failure, duration } = attempt;
    let (job, duration, failure) = (Arc::clone(job), *duration, failure.clone());
    bus.emit(match repeated {
        Some(Repeated { left, delay_ms, .. }) => {
            let wait = humantime::format_duration(Duration::from_millis(*delay_ms));
            let why = format!("Retry repeats it in {wait}, {left} attempts left, because it failed: {failure}");
            Event::ReEnqueue { job, why }
        }
        None => Event::Failure { job, failure, duration },
    });
}

/// Tells that a job is dropped without a run, even if no listener wants to hear of jobs that run.
pub(super) fn tell_vetoed(bus: &Bus, worker: &WorkerName, job: &Job, Refusal { plugin, reason }: Refusal) {
    let Some(task) = job.task().filter(|_| bus.wants(EventKind::Warning)) else { return };
    let info = job.info.clone().unwrap_or_else(|| {
        Arc::new(JobInfo {
            worker: worker.clone(),
            queue: job.queue.clone(),
            class: task.name.clone(),
            args: job.args.clone(),
            id: Arc::clone(&job.identity.id),
        })
    });
    bus.emit(Event::Vetoed { job: info, plugin, reason });
}

/// Tells that a job goes back without a run.
pub(super) fn vetoed(bus: &Bus, job: &Job, why: String) {
    if let Some(info) = &job.info {
        bus.emit(Event::ReEnqueue { job: Arc::clone(info), why });
    }
}
