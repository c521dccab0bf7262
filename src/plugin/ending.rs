//! Decides what happens to a job when its run is over: the part of settling without I/O.
//!
//! The pool uses it for runs that ended here, the scheduler for runs whose owner is dead.

use bytes::Bytes;

use super::chain::Chain;
use super::retry;
use crate::config::element::crash_policy::OnCrash;
use crate::config::element::duration::MAX_DURATION;
use crate::job::failure::FailedRun;
use crate::job::run_counts::millis;
use crate::job::{Args, Failure, Identity, LockKey, Outcome, PayloadView, QueueName, RunEnd, WorkerName};
use crate::store::effect::{Retry, RetryKeys, Tick, Verdict};
use crate::task::TaskDefinition;

/// The exception of a job whose run somebody cancelled. A job's own exception may have this name, too.
const CANCELLED: &str = "Cancelled";

/// The configuration for runs that were cut off; a task may override it.
#[derive(Debug, Clone, Copy)]
pub struct CrashPolicy {
    /// Requeue or fail.
    pub on_crash: OnCrash,
    /// How often a job is redelivered before it fails.
    pub max_redeliveries: u32,
}

/// A job whose run is over.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The worker that ran it.
    pub worker: &'a WorkerName,
    /// The queue that it came from.
    pub queue: &'a QueueName,
    /// Its payload.
    pub payload: &'a Bytes,
    /// Its identity.
    pub identity: &'a Identity,
    /// How long it ran, in milliseconds, if that is known.
    pub ms: Option<u64>,
}

impl Run<'_> {
    /// The record of its failure.
    fn record(&self, failure: &Failure, end: RunEnd, now_ms: i64) -> Bytes {
        let run = FailedRun { identity: self.identity, ms: self.ms, cancelled: end == RunEnd::Cancelled };
        failure.record_of(run, self.worker.name(), self.queue.as_str(), self.payload, now_ms)
    }
}

/// What the store writes for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// Where the job goes.
    pub verdict: Verdict,
    /// Locks that end with the run.
    pub free: Vec<LockKey>,
    /// The next tick of a periodic task.
    pub tick: Option<Tick>,
    /// The failure, if the run failed. With the verdict `Done` it means that Noop cleared the failure.
    pub failure: Option<Failure>,
    /// How it is counted and kept, unless the store decides that it is tried again.
    pub end: RunEnd,
}

/// Decides what happens to a job. `task` is `None` for jobs whose class is unknown here.
#[must_use]
pub fn ending(
    task: Option<&TaskDefinition>,
    policy: CrashPolicy,
    run: Run<'_>,
    outcome: Outcome,
    now_ms: i64,
) -> Ending {
    // Only locks, ticks and Retry need the parsed payload; most tasks have none of them.
    let looks = task.is_some_and(|task| {
        let chain = Chain::of(task);
        task.cadence.is_some() || chain.has_locks() || chain.retry().is_some()
    });
    let view = if looks { PayloadView::parse(run.payload).ok() } else { None };
    let chain = task.map(Chain::of);
    let free = chain.zip(view.as_ref()).map_or_else(Vec::new, |(chain, view)| held(chain, run.queue, view));
    let tick = |failed: bool| {
        let task = task?;
        let ours = Chain::of(task).is_tick(view.as_ref()?);
        // With `overlap` the tick was written when the run began.
        let mut tick = Chain::of(task).tick().filter(|_| ours && !task.overlap)?;
        tick.halt = failed && !task.re_enqueue_after_failure;
        Some(tick)
    };
    let retry = chain.and_then(|chain| chain.retry()).zip(view.as_ref().and_then(|view| Args::of(view).ok()));
    let class = task.map_or("", |task| task.name.as_str());
    let attempted = |spec, args, failure: &Failure, last| {
        let failed = retry::FailedAttempt { class, queue: run.queue.as_str(), args, identity: run.identity, failure };
        retry::rule(spec, failed, now_ms, last)
    };
    // A final failure also ends what Retry keeps.
    let fail = |failure: Failure, end: RunEnd| {
        let record = run.record(&failure, end, now_ms);
        let verdict = match &retry {
            Some((spec, args)) => {
                Verdict::Attempted(Box::new(Retry { attempts: 0, ..attempted(*spec, args, &failure, Some(record)) }))
            }
            None => Verdict::Failed { record },
        };
        // Nothing is wrong with a task whose run was cancelled, so that a periodic one goes on.
        let tick = tick(end != RunEnd::Cancelled);
        Ending { verdict, free: free.clone(), tick, failure: Some(failure), end }
    };
    match outcome {
        Outcome::Success { .. } => {
            let verdict = match &retry {
                Some((_, args)) => Verdict::DoneAtLast { keys: RetryKeys::of(class, args) },
                None => Verdict::Done,
            };
            Ending { verdict, free, tick: tick(false), failure: None, end: RunEnd::Done }
        }
        Outcome::Failure(failure) => {
            let cleared = chain.is_some_and(|chain| chain.clears_failures());
            let end = if cleared { RunEnd::Done } else { RunEnd::Failed };
            match &retry {
                Some((spec, args)) => {
                    let record = (!cleared).then(|| run.record(&failure, end, now_ms));
                    let verdict = Verdict::Attempted(Box::new(attempted(*spec, args, &failure, record)));
                    Ending { verdict, free, tick: tick(!cleared), failure: Some(failure), end }
                }
                None if cleared => {
                    Ending { verdict: Verdict::Done, free, tick: tick(false), failure: Some(failure), end }
                }
                None => fail(failure, end),
            }
        }
        Outcome::Later { delay, .. } => Ending {
            verdict: Verdict::Delayed {
                // A handler in Rust may ask for any delay, and a time must come out.
                delay_ms: millis(delay.min(MAX_DURATION)),
                identity: run.identity.put_off(),
            },
            free,
            tick: None,
            failure: None,
            end: RunEnd::Later,
        },
        Outcome::NotStarted(_) | Outcome::ClaimDoubted => release(task, run),
        Outcome::Unstarted { failure, .. } => fail(failure, RunEnd::Failed),
        Outcome::Cancelled { by, tail } => {
            let failure = Failure::new(CANCELLED, format!("cancelled by {by}")).with_backtrace(tail);
            fail(failure, RunEnd::Cancelled)
        }
        Outcome::Interrupted | Outcome::Stopped { .. } | Outcome::Crashed(_) => {
            let on_crash = task.and_then(|task| task.on_crash).unwrap_or(policy.on_crash);
            let most = task.and_then(|task| task.max_redeliveries).unwrap_or(policy.max_redeliveries);
            let crash = if let Outcome::Crashed(crash) = outcome { Some(crash) } else { None };
            match on_crash {
                OnCrash::Fail => {
                    let failure =
                        crash.unwrap_or_else(|| Failure::new("Interrupted", "the run was cut off before it ended"));
                    // The marker comes first, so that searches for stuck jobs find it.
                    let mut backtrace = Failure::stuck(host_of(run.worker), now_ms).backtrace;
                    backtrace.extend(failure.backtrace);
                    fail(Failure { backtrace, ..failure }, RunEnd::Failed)
                }
                OnCrash::Requeue if run.identity.redelivered >= most => {
                    let text = format!("the run was cut off again after {} redeliveries", run.identity.redelivered);
                    let why = crash.as_ref().map(|crash| format!(": {}", crash.error)).unwrap_or_default();
                    let backtrace = crash.map(|crash| crash.backtrace).unwrap_or_default();
                    fail(Failure::new("TooManyRedeliveries", text + &why).with_backtrace(backtrace), RunEnd::Failed)
                }
                OnCrash::Requeue => {
                    let identity = run.identity.redelivered();
                    // At the head of its queue it would hold up all others for as long as it crashes.
                    let verdict = match crash.and_then(|_| identity.crash_wait()) {
                        Some(wait) => Verdict::Delayed { delay_ms: millis(wait), identity },
                        None => Verdict::Requeued { identity },
                    };
                    Ending { verdict, free, tick: None, failure: None, end: RunEnd::CutOff }
                }
            }
        }
    }
}

/// A claimed job that a plugin of its task refused is dropped. Its locks are freed, its retry state is deleted, and
/// its next tick is written.
#[must_use]
pub fn vetoed(task: &TaskDefinition, run: Run<'_>) -> Ending {
    let (chain, view) = (Chain::of(task), PayloadView::parse(run.payload).ok());
    let free = view.as_ref().map_or_else(Vec::new, |view| held(chain, run.queue, view));
    // With `overlap` the tick was written before.
    let ours = view.as_ref().is_some_and(|view| chain.is_tick(view)) && !task.overlap;
    let tick = if ours { chain.tick() } else { None };
    let retry = chain.retry().zip(view.as_ref().and_then(|view| Args::of(view).ok()));
    let retry = retry.map(|(_, args)| RetryKeys::of(task.name.as_str(), &args));
    Ending { verdict: Verdict::Vetoed { retry }, free, tick, failure: None, end: RunEnd::Vetoed }
}

/// A claimed job is dropped that holds nothing, and of which nothing follows.
#[must_use]
pub fn dropped() -> Ending {
    let verdict = Verdict::Vetoed { retry: None };
    Ending { verdict, free: Vec::new(), tick: None, failure: None, end: RunEnd::Dropped }
}

/// A claimed job that never began goes back to the head of its queue. Its redeliveries do not grow by that.
#[must_use]
pub fn release(task: Option<&TaskDefinition>, run: Run<'_>) -> Ending {
    let view = PayloadView::parse(run.payload).ok();
    let free = task.map(Chain::of).zip(view).map_or_else(Vec::new, |(chain, view)| held(chain, run.queue, &view));
    let verdict = Verdict::Requeued { identity: run.identity.clone() };
    Ending { verdict, free, tick: None, failure: None, end: RunEnd::CutOff }
}

/// A claimed job that is not to begin now waits for so long, without counting. `task` is the one whose locks it holds.
#[must_use]
pub fn put_off(task: Option<&TaskDefinition>, run: Run<'_>, delay_ms: u64) -> Ending {
    let verdict = Verdict::Delayed { delay_ms, identity: run.identity.clone() };
    Ending { verdict, end: RunEnd::Later, ..release(task, run) }
}

fn held(chain: Chain<'_>, queue: &QueueName, view: &PayloadView<'_>) -> Vec<LockKey> {
    // Lock keys need the canonical form of the arguments; most tasks hold no lock and skip it.
    if !chain.has_locks() {
        return Vec::new();
    }
    match Args::of(view) {
        Ok(args) => chain.held_locks(queue, &args).into_iter().map(|held| held.key).collect(),
        Err(_) => Vec::new(),
    }
}

fn host_of(worker: &WorkerName) -> &str {
    worker.id().split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::job::{ClaimToken, FailureView, TaskName};
    use crate::store::effect::Next;
    use crate::task::handler_spec::{BuiltinSpec, HandlerSpec};
    use crate::task::plugin_spec::PluginSpec;
    use crate::task::schedule::Cadence;

    const POLICY: CrashPolicy = CrashPolicy { on_crash: OnCrash::Requeue, max_redeliveries: 2 };

    fn task(periodic: bool) -> TaskDefinition {
        let job_lock =
            PluginSpec::JobLock { lock_timeout_s: 60, enqueue_timeout_ms: 1001, re_enqueue: false, key: None };
        let noop = HandlerSpec::Builtin(BuiltinSpec { name: "noop".into() });
        TaskDefinition {
            cadence: periodic.then_some(Cadence::Every(Duration::from_secs(5))),
            plugins: vec![job_lock],
            ..TaskDefinition::new(TaskName::as_stored("t"), QueueName::as_stored("q"), noop)
        }
    }

    fn end(task: Option<&TaskDefinition>, payload: &'static str, redelivered: u32, outcome: Outcome) -> Ending {
        let identity = Identity { redelivered, ..Identity::first(&ClaimToken::new("00", 0, 1, 0)) };
        let run = Run {
            worker: &WorkerName::parse("h-windlass:1+1:q"),
            queue: &QueueName::as_stored("q"),
            payload: &Bytes::from_static(payload.as_bytes()),
            identity: &identity,
            ms: Some(812),
        };
        ending(task, POLICY, run, outcome, 0)
    }

    #[test]
    fn a_cut_off_run_is_redelivered_until_the_limit_and_then_fails() {
        let task = task(false);
        let job = r#"{"class":"t","queue":"q","args":[1]}"#;
        let first = end(Some(&task), job, 0, Outcome::Interrupted);
        assert!(matches!(&first.verdict, Verdict::Requeued { identity } if identity.redelivered == 1));
        assert_eq!(first.free, [LockKey::job_lock("t", "q", "[1]")]);
        let last = end(Some(&task), job, 2, Outcome::Interrupted);
        assert_eq!(last.failure.unwrap().exception, "TooManyRedeliveries");
    }

    #[test]
    fn who_crashes_again_and_again_waits_longer_each_time_and_lets_others_pass() {
        let after = |redelivered, outcome| {
            let identity = Identity { redelivered, ..Identity::first(&ClaimToken::new("00ff", 0, 1, 0)) };
            let (worker, queue) = (WorkerName::parse("h-windlass:1+1:q"), QueueName::as_stored("q"));
            let payload = Bytes::from_static(b"{}");
            let run = Run { worker: &worker, queue: &queue, payload: &payload, identity: &identity, ms: None };
            let policy = CrashPolicy { on_crash: OnCrash::Requeue, max_redeliveries: 25 };
            match ending(None, policy, run, outcome, 0).verdict {
                Verdict::Requeued { identity } if identity.redelivered == redelivered + 1 => None,
                Verdict::Delayed { delay_ms, identity } if identity.redelivered == redelivered + 1 => {
                    Some(delay_ms / 1000)
                }
                other => panic!("{other:?}"),
            }
        };
        let crash = || Outcome::Crashed(Failure::new("Crash", "x"));
        let waits: Vec<_> = (0..11).map(|redelivered| after(redelivered, crash())).collect();
        let expected = [0, 0, 5, 10, 20, 40, 80, 160, 300, 300, 300].map(|s| Some(s).filter(|s| *s > 0));
        assert_eq!(waits, expected);
        assert_eq!(after(24, crash()), Some(300));
        assert_eq!(after(20, Outcome::Interrupted), None, "a drain is not its fault");
    }

    #[test]
    fn a_task_that_says_fail_fails_with_the_stuck_marker() {
        let task = TaskDefinition { on_crash: Some(OnCrash::Fail), ..task(false) };
        let ending = end(Some(&task), r#"{"class":"t","args":[]}"#, 0, Outcome::Interrupted);
        let Verdict::Failed { record } = ending.verdict else { panic!("{:?}", ending.verdict) };
        assert!(FailureView::parse(&record).is_stuck());
    }

    #[test]
    fn a_crash_is_a_cut_off_run_that_can_be_explained() {
        let crash = || {
            let failure = Failure::new("Crash", "killed by signal 11");
            Outcome::Crashed(Failure { backtrace: vec!["last words".into()], ..failure })
        };
        let job = r#"{"class":"t","queue":"q","args":[1]}"#;
        let first = end(Some(&task(false)), job, 0, crash());
        assert!(matches!(&first.verdict, Verdict::Requeued { identity } if identity.redelivered == 1));
        let last = end(Some(&task(false)), job, 2, crash()).failure.unwrap();
        assert_eq!(last.error, "the run was cut off again after 2 redeliveries: killed by signal 11");
        assert_eq!((last.exception.as_str(), last.backtrace), ("TooManyRedeliveries", vec!["last words".to_owned()]));
        let failing = TaskDefinition { on_crash: Some(OnCrash::Fail), ..task(false) };
        let ending = end(Some(&failing), job, 0, crash());
        let Verdict::Failed { record } = ending.verdict else { panic!("{:?}", ending.verdict) };
        let view = FailureView::parse(&record);
        assert!(view.is_stuck());
        assert_eq!((view.exception.as_deref(), view.backtrace[3].as_str()), (Some("Crash"), "last words"));
    }

    #[test]
    fn only_a_tick_writes_the_next_tick() {
        let mut task = task(true);
        let done = || Outcome::Success { result: None };
        let tick = end(Some(&task), r#"{"class":"t","queue":"q","args":[null]}"#, 0, done()).tick.unwrap();
        assert_eq!((tick.next, tick.halt), (Next::Every { seconds: 5 }, false));
        assert_eq!(&tick.payload[..], br#"{"class":"t","queue":"q","args":[{}]}"#);
        assert_eq!(end(Some(&task), r#"{"class":"t","args":[{"x":1}]}"#, 0, done()).tick, None);
        assert_eq!(end(Some(&task), r#"{"class":"t","args":[{}]}"#, 0, Outcome::Interrupted).tick, None);
        task.re_enqueue_after_failure = false;
        let failed = Outcome::Failure(Failure::new("Error", "x"));
        assert!(end(Some(&task), r#"{"class":"t","args":[{}]}"#, 0, failed).tick.unwrap().halt);
    }

    #[test]
    fn a_job_that_is_put_off_stays_who_it_is_and_frees_the_lock_that_it_holds() {
        let (task, identity) = (task(true), Identity::first(&ClaimToken::new("00", 0, 1, 0)));
        let payload = Bytes::from_static(br#"{"class":"t","queue":"q","args":[{}]}"#);
        let run = Run {
            worker: &WorkerName::parse("h-windlass:1+1:q"),
            queue: &QueueName::as_stored("q"),
            payload: &payload,
            identity: &identity,
            ms: None,
        };
        let ending = put_off(Some(&task), run, 7);
        assert_eq!(ending.verdict, Verdict::Delayed { delay_ms: 7, identity: identity.clone() });
        assert_eq!((ending.free, ending.tick), (vec![LockKey::job_lock("t", "q", "[{}]")], None));
        assert_eq!(put_off(None, run, 7).free, [], "it holds none yet");
    }

    #[test]
    fn a_vetoed_job_frees_its_lock_and_goes_on_ticking() {
        let task = task(true);
        let veto = |payload: &'static str| {
            let run = Run {
                worker: &WorkerName::parse("h-windlass:1+1:q"),
                queue: &QueueName::as_stored("q"),
                payload: &Bytes::from_static(payload.as_bytes()),
                identity: &Identity::first(&ClaimToken::new("00", 0, 1, 0)),
                ms: None,
            };
            vetoed(&task, run)
        };
        let tick = veto(r#"{"class":"t","queue":"q","args":[{}]}"#);
        assert_eq!(
            (tick.verdict, tick.free),
            (Verdict::Vetoed { retry: None }, vec![LockKey::job_lock("t", "q", "[{}]")])
        );
        assert!(tick.tick.is_some_and(|tick| !tick.halt));
        assert_eq!(veto(r#"{"class":"t","queue":"q","args":[1]}"#).tick, None);
    }

    #[test]
    fn later_is_remembered_and_an_unknown_class_follows_the_configuration() {
        let put_off =
            |delay| end(Some(&task(false)), r#"{"class":"t"}"#, 0, Outcome::Later { delay, tail: Vec::new() });
        let later = put_off(Duration::from_secs(2));
        assert!(matches!(later.verdict, Verdict::Delayed { delay_ms: 2000, identity } if identity.later == 1));
        let endless = put_off(Duration::MAX);
        let ten_years = u64::try_from(MAX_DURATION.as_millis()).unwrap();
        assert!(matches!(endless.verdict, Verdict::Delayed { delay_ms, .. } if delay_ms == ten_years));
        let unknown = end(None, "{bad", 0, Outcome::Interrupted);
        assert!(matches!(unknown.verdict, Verdict::Requeued { .. }));
    }
}
