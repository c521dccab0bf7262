//! Decides whether a finished run is kept, where, and for how long.

use bytes::Bytes;

use super::ending::Ending;
use crate::job::failure::STUCK_BY_US;
use crate::job::{
    Args, ClaimToken, Failure, FinishedRun, Identity, Outcome, PayloadView, QueueName, RunEnd, RunOutcome, WorkerName,
    date,
};
use crate::store::runs::{KeepResult, KeepRun, RunList, TRACKED_FOR};
use crate::store::working::WorkingRecord;
use crate::task::TaskDefinition;
use crate::task::schedule::JobSchedule;

/// How long a list stays at least without another run, in seconds.
const LASTS_S: u64 = 30 * 86_400;

/// What an operator reads of a run that was cut off.
const CUT_OFF: &str = "the run was cut off before it ended";

/// A run that has ended, or was refused before it began.
#[derive(Debug, Clone, Copy)]
pub struct EndedRun<'a> {
    /// The worker that ran it.
    pub worker: &'a WorkerName,
    /// The queue that its job came from.
    pub queue: &'a QueueName,
    /// The bytes of its job.
    pub payload: &'a Bytes,
    /// The identity of its job; workers of other programs know none.
    pub identity: Option<&'a Identity>,
    /// Its claim.
    pub claim: Option<&'a ClaimToken>,
    /// For when it was scheduled.
    pub scheduled_at: Option<&'a str>,
    /// When it ended, in milliseconds since the Unix epoch.
    pub ended_ms: i64,
    /// How long it was, in milliseconds.
    pub ms: Option<u64>,
}

/// Is something kept of the runs of such a job, or of what it leads to?
#[must_use]
pub fn keeps(task: &TaskDefinition, identity: Option<&Identity>) -> bool {
    task.runs_kept() > 0 || identity.is_some_and(|identity| task.keep_results.is_some() || identity.is_tracked())
}

/// How a run ended, in the words of its handler or plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastWords {
    /// Why it was cut off or did not begin.
    pub why: Option<String>,
    /// The last lines of its output, or its result.
    pub output: Vec<String>,
}

impl LastWords {
    /// Those of a failure.
    #[must_use]
    pub fn of_failure(failure: &Failure) -> Self {
        let lines = &failure.backtrace;
        // The marker of stuck jobs is no output.
        let from = if lines.get(2).is_some_and(|line| line == STUCK_BY_US) { 3 } else { 0 };
        let output = lines.get(from..).unwrap_or_default().to_vec();
        Self { why: Some(failure.to_string()), output }
    }
}

/// What a handler said at the end of a run.
#[must_use]
pub fn last_words(outcome: &Outcome) -> LastWords {
    match outcome {
        Outcome::Success { result } => LastWords { why: None, output: result.iter().cloned().collect() },
        Outcome::Crashed(failure) => LastWords::of_failure(failure),
        Outcome::Stopped { tail } => LastWords { why: None, output: tail.clone() },
        _ => LastWords::default(),
    }
}

impl<'a> EndedRun<'a> {
    /// The run of a working record whose worker is gone; `scheduled_at` is what its job says. When it ended is not known, so
    /// that it counts from its claim until now.
    pub(crate) fn of_record(
        record: &'a WorkingRecord,
        (queue, payload): (&'a QueueName, &'a Bytes),
        scheduled_at: Option<&'a str>,
        now_ms: i64,
    ) -> Self {
        let run_at = record.run_at.as_deref().and_then(date::parse);
        Self {
            worker: &record.worker,
            queue,
            payload,
            identity: record.identity.as_ref(),
            claim: record.claim.as_ref(),
            scheduled_at,
            ended_ms: now_ms,
            ms: run_at.and_then(|run_at| u64::try_from(now_ms.saturating_sub(run_at)).ok()),
        }
    }

    /// The run as it is kept, if its task keeps runs.
    #[must_use]
    pub fn kept(self, task: Option<&TaskDefinition>, ending: &Ending, words: LastWords) -> Option<Box<KeepRun>> {
        let task = task.filter(|task| keeps(task, self.identity))?;
        let words = match &ending.failure {
            Some(failure) => LastWords::of_failure(failure),
            None if ending.end == RunEnd::CutOff && words.why.is_none() => {
                LastWords { why: Some(CUT_OFF.to_owned()), ..words }
            }
            None => words,
        };
        self.keep(task, ending.end.into(), words)
    }

    /// The same of a job that its gates may drop: the store says why.
    #[must_use]
    pub fn dropped(self, task: &TaskDefinition) -> Option<Box<KeepRun>> {
        self.keep(task, RunOutcome::Missed, LastWords::default())
    }

    /// The same of a run whose outcome is known.
    fn keep(
        self,
        task: &TaskDefinition,
        outcome: RunOutcome,
        LastWords { why, output }: LastWords,
    ) -> Option<Box<KeepRun>> {
        let most = task.runs_kept();
        let result = self.result(task, &outcome, &output);
        if most == 0 && result.is_none() {
            return None;
        }
        let now_s = self.ended_ms.div_euclid(1000);
        let schedule = self.schedule(task);
        let next_s = match (schedule, &task.cadence) {
            (Some(schedule), _) => schedule.calendar.after(now_s),
            (None, Some(cadence)) => cadence.next_after(now_s),
            (None, None) => None,
        };
        // A task that runs once a year shows its last run when the next one is due, and for as long again.
        let period_s = next_s.map_or(0, |next_s| next_s.abs_diff(now_s));
        Some(Box::new(KeepRun {
            list: schedule.map_or_else(|| RunList::Task(task.name.clone()), |one| RunList::Schedule(one.id.clone())),
            most,
            lasts_s: LASTS_S.saturating_add(period_s.saturating_mul(2)),
            run: FinishedRun {
                ms: self.ms,
                id: self.identity.map(|identity| identity.id.to_string()),
                claim: self.claim.map(|claim| claim.as_str().to_owned()),
                attempt: self.identity.map(|identity| identity.attempt),
                redelivered: self.identity.map(|identity| identity.redelivered),
                worker: Some(self.worker.name().to_owned()),
                scheduled_at: self.scheduled_at.map(str::to_owned),
                error: why,
                output,
                ..FinishedRun::new(outcome, self.ended_ms)
            },
            result,
        }))
    }

    /// What its job led to, if that is kept: its task says so, or somebody tracks it.
    fn result(&self, task: &TaskDefinition, outcome: &RunOutcome, output: &[String]) -> Option<KeepResult> {
        let identity = self.identity?;
        let tracked = identity.is_tracked().then_some(TRACKED_FOR);
        let lasts = task.keep_results.or(tracked)?;
        Some(KeepResult {
            job: identity.id.to_string(),
            lasts_s: lasts.as_secs().max(1),
            result: output.first().filter(|_| *outcome == RunOutcome::Done).cloned(),
        })
    }

    /// The schedule that enqueued its job: the one with this queue and these arguments that is due at this second. If it was
    /// asked for by hand, the only one with them.
    fn schedule<'t>(&self, task: &'t TaskDefinition) -> Option<&'t JobSchedule> {
        if task.schedules.is_empty() {
            return None;
        }
        let view = PayloadView::parse(self.payload).ok()?;
        let second = date::parse(view.scheduled_at.as_deref()?)?.div_euclid(1000);
        let args = Args::of(&view).ok()?;
        let mut alike = task.schedules.iter().filter(|one| one.queue == *self.queue && one.args == args);
        let is_due = |one: &&JobSchedule| one.calendar.after(second.saturating_sub(1)) == Some(second);
        alike.clone().find(is_due).or_else(|| alike.next().filter(|_| alike.next().is_none()))
    }
}

/// The run of a worker that is removed, and whose job fails with that.
pub(crate) fn of_removed<'a>(
    record: &WorkingRecord,
    find: impl Fn(&str) -> Option<&'a TaskDefinition>,
    failure: &Failure,
    now_ms: i64,
) -> Option<Box<KeepRun>> {
    let (queue, payload) = (record.queue.as_ref()?, record.payload.as_ref()?);
    let view = PayloadView::parse(payload).ok()?;
    let run = EndedRun::of_record(record, (queue, payload), view.scheduled_at.as_deref(), now_ms);
    run.keep(find(&view.class)?, RunOutcome::Failed, LastWords::of_failure(failure))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::element::crash_policy::OnCrash;
    use crate::job::TaskName;
    use crate::plugin::ending::{CrashPolicy, Run, ending, vetoed};
    use crate::task::calendar::Calendar;
    use crate::task::handler_spec::{BuiltinSpec, HandlerSpec};
    use crate::task::plugin_spec::{Backoff, PluginSpec, RetrySpec};
    use crate::task::schedule::{Cadence, scheduled_at};

    /// 2026-11-24, 03:26:18 UTC.
    const NOW_MS: i64 = 1_795_490_778_000;

    fn task(plugins: Vec<PluginSpec>) -> TaskDefinition {
        let noop = HandlerSpec::Builtin(BuiltinSpec { name: "noop".into() });
        let cadence = Some(Cadence::Every(Duration::from_secs(60)));
        TaskDefinition {
            cadence,
            plugins,
            ..TaskDefinition::new(TaskName::as_stored("t"), QueueName::as_stored("q"), noop)
        }
    }

    fn ended(task: &TaskDefinition, payload: &str, end: impl FnOnce(Run<'_>) -> Ending) -> Option<Box<KeepRun>> {
        let (worker, queue) = (WorkerName::parse("h-windlass:1+1:q"), QueueName::as_stored("q"));
        let (payload, claim) = (Bytes::copy_from_slice(payload.as_bytes()), ClaimToken::new("00", 0, 1, 0));
        let identity = Identity::first(&claim);
        let view = PayloadView::parse(&payload).unwrap();
        let ending = end(Run { worker: &worker, queue: &queue, payload: &payload, identity: &identity, ms: Some(812) });
        let run = EndedRun {
            worker: &worker,
            queue: &queue,
            payload: &payload,
            identity: Some(&identity),
            claim: Some(&claim),
            scheduled_at: view.scheduled_at.as_deref(),
            ended_ms: NOW_MS,
            ms: Some(812),
        };
        run.kept(Some(task), &ending, LastWords { why: None, output: vec!["result".to_owned()] })
    }

    const TICK: &str = r#"{"class":"t","queue":"q","args":[{}]}"#;

    #[test]
    fn each_end_has_its_word_and_its_reason() {
        let policy = CrashPolicy { on_crash: OnCrash::Requeue, max_redeliveries: 25 };
        let retry =
            PluginSpec::Retry(RetrySpec { attempts: 3, backoff: Backoff::Fixed { delay_ms: 1 }, jitter_permille: 0 });
        let failure = || Outcome::Failure(Failure::new("Error", "no").with_backtrace(vec!["last words".to_owned()]));
        let called_so = || Outcome::Failure(Failure::new("Cancelled", "cancelled by ann"));
        let cancelled = || Outcome::Cancelled { by: "ann".to_owned(), tail: vec!["tail".to_owned()] };
        let plain = task(Vec::new());
        let crashes = TaskDefinition { on_crash: Some(OnCrash::Fail), ..task(Vec::new()) };
        for (task, outcome, word, error, output) in [
            (&plain, Outcome::Success { result: None }, "done", None, "result"),
            (&plain, failure(), "failed", Some("Error: no"), "last words"),
            (&task(vec![retry]), failure(), "failed", Some("Error: no"), "last words"),
            (&task(vec![PluginSpec::Noop]), failure(), "done", Some("Error: no"), "last words"),
            (&plain, Outcome::Later { delay: Duration::ZERO, tail: Vec::new() }, "later", None, "result"),
            (&plain, Outcome::Interrupted, "cut_off", Some(CUT_OFF), "result"),
            (&plain, Outcome::Crashed(Failure::new("Crash", "x")), "cut_off", Some(CUT_OFF), "result"),
            (&plain, called_so(), "failed", Some("Cancelled: cancelled by ann"), ""),
            (&plain, cancelled(), "cancelled", Some("Cancelled: cancelled by ann"), "tail"),
            (&crashes, Outcome::Interrupted, "failed", Some("Interrupted: the run was cut off before it ended"), ""),
        ] {
            let kept = ended(task, TICK, |run| ending(Some(task), policy, run, outcome, NOW_MS)).unwrap();
            let told = (kept.run.outcome.word(), kept.run.error.as_deref(), kept.run.output.join(""));
            assert_eq!(told, (word, error, output.to_owned()));
            assert_eq!((kept.list, kept.most), (RunList::Task(task.name.clone()), 20));
            assert_eq!((kept.run.ended_ms, kept.run.ms, kept.run.attempt), (NOW_MS, Some(812), Some(1)));
        }
        let veto = ended(&plain, TICK, |run| vetoed(&plain, run)).unwrap();
        assert_eq!(veto.run.outcome, RunOutcome::Vetoed);
    }

    #[test]
    fn a_task_keeps_the_runs_that_it_says_and_by_default_those_that_come_by_themselves() {
        let kept =
            |task: &TaskDefinition| ended(task, TICK, |run| vetoed(task, run)).map(|kept| (kept.most, kept.lasts_s));
        let task = task(Vec::new());
        assert_eq!(kept(&task), Some((20, LASTS_S + 120)));
        assert_eq!(kept(&TaskDefinition { keep_runs: Some(0), ..task.clone() }), None);
        let other = TaskDefinition { cadence: None, ..task.clone() };
        assert_eq!(kept(&other), None);
        assert_eq!(kept(&TaskDefinition { keep_runs: Some(3), ..other }), Some((3, LASTS_S)));
        let yearly = Cadence::Calendar(Calendar::parse("0 0 1 1 *", None).unwrap());
        let (_, lasts_s) = kept(&TaskDefinition { cadence: Some(yearly), ..task }).unwrap();
        assert_eq!(lasts_s, LASTS_S + 2 * 3_270_822, "twice the time to New Year");
    }

    #[test]
    fn each_schedule_has_a_list_of_its_own() {
        let schedule = |id: &str, cron: &str, args: &str| JobSchedule {
            id: format!("t/{id}"),
            calendar: Calendar::parse(cron, None).unwrap(),
            queue: QueueName::as_stored("q"),
            args: Args::from_json(args).unwrap(),
            missed_max_age_s: None,
        };
        let schedules = vec![
            schedule("early", "0 3 * * *", "[1]"),
            schedule("late", "0 4 * * *", "[1]"),
            schedule("two", "@daily", "[2]"),
        ];
        let task = TaskDefinition { cadence: None, schedules, ..task(Vec::new()) };
        let list = |args: &str, second: Option<i64>| {
            let at =
                second.map_or_else(String::new, |second| format!(",\"scheduled_at\":\"{}\"", scheduled_at(second)));
            let payload = format!(r#"{{"class":"t","queue":"q","args":{args}{at}}}"#);
            ended(&task, &payload, |run| vetoed(&task, run)).unwrap().list
        };
        let of = |id: &str| RunList::Schedule(format!("t/{id}"));
        let midnight = NOW_MS / 1000 - (3 * 3600 + 26 * 60 + 18);
        assert_eq!(list("[1]", Some(midnight + 3 * 3600)), of("early"));
        assert_eq!(list("[1]", Some(midnight + 4 * 3600)), of("late"));
        assert_eq!(list("[2]", Some(midnight + 77)), of("two"), "somebody ran it by hand");
        let own = RunList::Task(task.name.clone());
        assert_eq!(list("[1]", Some(midnight + 77)), own, "it may be of either");
        assert_eq!((list("[1]", None), list("[3]", Some(midnight))), (own.clone(), own));
    }
}
