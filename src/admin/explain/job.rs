//! Where a job is, and what it waits for.

use super::answer::Explanation;
use super::cause::{Cause, Finding, for_so_long};
use super::class;
use super::fleet::{Fleet, Lost, RunFacts};
use super::here::Here;
use super::locks::Met;
use super::schedule::no_leader;
use super::unread::{FAILED, Unread};
use super::{failed, queue};
use crate::admin::error::AdminError;
use crate::admin::failed::FailedView;
use crate::admin::failed_walk::Walk;
use crate::admin::job_ids;
use crate::admin::queue_place::{self, QUEUED, QueuePlace};
use crate::admin::waiting_jobs::{self, WaitingJob};
use crate::client::moment::Moment;
use crate::client::request::ResolvedJob;
use crate::job::{FailureView, Identity, RetryKeys};
use crate::plugin::chain::Chain;
use crate::store::delayed::{DelayedIdentities, DelayedJob, ReadAttempts, ScheduledAt};
use crate::store::handle::Store;
use crate::store::inspection::FindQueue;
use crate::store::role::Admin;
use crate::store::wishes::{ReadWishes, canceller};
use crate::text::clean::named;
use crate::text::shell;

/// At how many of its times it is asked who the job is.
const TIMES: usize = 20;
/// How much later than its time a delayed job may be before that is told.
const LATE_MS: i64 = 5000;

/// Which job.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum JobSubject<'a> {
    /// The one with this id, or with a claim of this name.
    Id(&'a str),
    /// One of these bytes; equal jobs are interchangeable.
    Job(&'a ResolvedJob),
}

impl JobSubject<'_> {
    fn name(&self) -> String {
        match self {
            Self::Id(id) => format!("job {id}"),
            Self::Job(job) => format!("job {} {} of queue {}", named(&job.task), job.args.as_str(), named(&job.queue)),
        }
    }

    fn is_run(&self, run: &RunFacts) -> bool {
        match self {
            Self::Id(id) => run.record.has_id(id),
            // Of a long one only the beginning is known.
            Self::Job(job) => run.record.payload.as_ref().is_some_and(|payload| {
                *payload == job.payload || (run.record.left_out > 0 && job.payload.starts_with(payload))
            }),
        }
    }

    fn is_failure(&self, view: &FailureView) -> bool {
        match self {
            Self::Id(id) => view.identity.as_ref().is_some_and(|identity| &*identity.id == *id),
            Self::Job(job) => view.payload.as_ref() == Some(&job.payload),
        }
    }
}

/// Explains a job.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn job(store: &Store<Admin>, here: Here<'_>, subject: JobSubject<'_>) -> Result<Explanation, AdminError> {
    let fleet = Box::pin(Fleet::read(store)).await?;
    let (mut findings, mut unread) = (Vec::new(), Unread::of(store));
    for run in fleet.runs.iter().filter(|run| subject.is_run(run)) {
        let wishes = match fleet.owner(run) {
            Some(owner) => store.run(ReadWishes { instance: owner.record.id.clone() }).await?,
            None => Vec::new(),
        };
        let asked = run.record.claim.as_ref().and_then(|claim| canceller(&wishes, claim));
        findings.push(running(&fleet, here, run, asked));
    }
    if let JobSubject::Job(job) = &subject {
        findings.extend(Box::pin(waiting(store, here, &fleet, job)).await?);
    }
    if findings.is_empty() {
        // What waits again has failed before, and that is over.
        findings.extend(unread.or_told(FAILED, failure(store, here, &subject).await)?.flatten());
    }
    if findings.is_empty() {
        // What could not be read may be where it is.
        findings.extend(unread.into_findings());
    }
    if let JobSubject::Id(text) = &subject
        && findings.is_empty()
    {
        if let Some(waiting) = waiting_jobs::find(store, |id| id == *text).await?.first() {
            let finding = put_off_until(waiting);
            return Ok(Explanation::of(subject.name(), vec![finding]));
        }
        // The beginning of an id, or one under which the job is known otherwise.
        if let Some(id) = job_ids::whole(store, text, []).await?.filter(|id| id != text) {
            return Box::pin(job(store, here, JobSubject::Id(&id))).await;
        }
    }
    if findings.is_empty() {
        let text = match subject {
            JobSubject::Id(_) => {
                "no job with this id runs, and none of the newest failed ones has it: it is done, was deleted, or waits. A \
                 job that waits is found by its task and arguments"
            }
            JobSubject::Job(_) => {
                "no such job runs, waits or is among the newest failed ones: it is done, or was deleted"
            }
        };
        let command = if let JobSubject::Id(_) = subject {
            "windlass explain job --task T --args '[...]'".to_owned()
        } else {
            "windlass failed list".to_owned()
        };
        return Ok(Explanation::not_found(subject.name(), Finding::tells(Cause::Gone, text).command(command)));
    }
    findings.extend(fleet.lacks().filter(|one| one.blocks));
    findings.extend(fleet.unread);
    Ok(Explanation::of(subject.name(), findings))
}

/// A job that was claimed before, and is due later.
fn put_off_until(waiting: &WaitingJob) -> Finding {
    let at = Moment::of_second(waiting.second).rfc3339();
    let (attempt, queue) = (waiting.identity.attempt, named(&waiting.queue));
    let text = format!("it waits for attempt {attempt}, which is due at {at} and goes to queue {queue}");
    let cause = if attempt > 1 { Cause::RetryWaiting } else { Cause::DelayedUntil };
    Finding::tells(cause, text)
        .fact("attempt", attempt)
        .command(shell::command("explain queue", &[waiting.queue.as_str()]))
}

/// A run, and who has asked it to end.
fn running(fleet: &Fleet, here: Here<'_>, run: &RunFacts, asked: Option<&str>) -> Finding {
    let worker = run.worker.name();
    if let Some(owner) = fleet.owner(run)
        && let Some(lost) = owner.lost
    {
        let what = match lost {
            Lost::Gone => "whose process is gone".to_owned(),
            Lost::Stopped => "whose process is stopped".to_owned(),
            Lost::Silent(silent_ms) => format!("whose instance has not pinged for {}", for_so_long(silent_ms)),
        };
        let text = format!(
            "it is on record under {worker}, {what}: the job is recovered when the lease of that instance is over",
            worker = named(&worker)
        );
        return Finding::blocks(Cause::OwnerSilent, text).since_ms(run.since_ms).command("windlass leader");
    }
    let for_ms = run.since_ms.map(|since_ms| fleet.now_ms.saturating_sub(since_ms));
    let so_long = for_ms.map(|ms| format!(", for {}", for_so_long(ms))).unwrap_or_default();
    let timeout = run.class.as_deref().and_then(|class| here.registry.get(class)).and_then(|task| task.timeout);
    let left = timeout.zip(for_ms).map(|(timeout, for_ms)| {
        let left_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX).saturating_sub(for_ms);
        format!("; its timeout ends it in {}", for_so_long(left_ms))
    });
    let asked_by = asked.map(|by| format!("; {by} has asked it to end, and it has not ended so far"));
    let text = format!(
        "it runs on {worker}{so_long}{}{}",
        left.unwrap_or_default(),
        asked_by.unwrap_or_default(),
        worker = named(&worker)
    );
    let finding = Finding::tells(Cause::Running, text);
    let finding = finding.since_ms(run.since_ms).fact("worker", worker);
    match &run.record.identity {
        Some(identity) => {
            let finding = match asked {
                Some(_) => finding.command("windlass jobs list"),
                None => finding.command(shell::command("jobs cancel", &[&identity.id])),
            };
            finding.fact("id", &*identity.id).fact("attempt", identity.attempt).fact("cancelled_by", asked)
        }
        None => finding,
    }
}

/// What a job waits for: its turn, its time, a lock.
async fn waiting(
    store: &Store<Admin>,
    here: Here<'_>,
    fleet: &Fleet,
    job: &ResolvedJob,
) -> Result<Vec<Finding>, AdminError> {
    let mut findings = Vec::new();
    let place = queue_place::find(store, &job.queue, std::slice::from_ref(&job.payload)).await?;
    if let QueuePlace::At(place) = place {
        let text = format!("it is number {} of queue {}", place + 1, named(&job.queue));
        findings.push(Finding::tells(Cause::Behind, text).fact("position", place));
        let length = store.run(FindQueue { queue: job.queue.clone() }).await?.map_or(0, |queue| queue.length);
        let about_it = queue::judge(fleet, &job.queue, length);
        findings.extend(about_it.into_iter().filter(|one| !matches!(one.cause, Cause::Behind | Cause::Empty)));
        findings.extend(class::obstacles(here, fleet, &job.queue, job.task.as_str()));
    }
    let seconds = store.run(ScheduledAt { payload: job.payload.clone() }).await?;
    let attempts = match seconds.first() {
        Some(_) => {
            let keys = vec![RetryKeys::of(job.task.as_str(), &job.args)];
            store.run(ReadAttempts { keys }).await?.into_iter().next().flatten()
        }
        None => None,
    };
    let is_delayed = !seconds.is_empty();
    findings.extend(put_off(store, job, &seconds).await?);
    for second in seconds {
        let due_ms = second.saturating_mul(1000);
        let at = Moment::of_second(second).rfc3339();
        let late_ms = fleet.now_ms.saturating_sub(due_ms);
        findings.push(match &attempts {
            _ if late_ms > LATE_MS => {
                let text = format!("it was due {} ago and has not been moved to its queue", for_so_long(late_ms));
                Finding::blocks(Cause::PromotionLate, text).since_ms(Some(due_ms)).command("windlass leader")
            }
            Some(attempts) => {
                let text = format!("{} of its attempts failed; the next one is at {at}", attempts.count);
                Finding::tells(Cause::RetryWaiting, text).fact("failed_attempts", attempts.count)
            }
            None => Finding::tells(Cause::DelayedUntil, format!("it is delayed until {at}")),
        });
    }
    // On its queue it was told above.
    if is_delayed && !matches!(place, QueuePlace::At(_)) {
        findings.extend(class::obstacles(here, fleet, &job.queue, job.task.as_str()));
        findings.extend(queue::hindrances(fleet, &job.queue));
    }
    if is_delayed && !fleet.promotes() {
        findings.push(no_leader("nobody moves delayed jobs to their queues"));
    }
    if findings.is_empty() && place == QueuePlace::Behind {
        let text =
            format!("it is not among the first {QUEUED} jobs of queue {}; it may stand behind them", named(&job.queue));
        findings.push(
            Finding::tells(Cause::PartlyRead, text).command(shell::command("queues show", &[job.queue.as_str()])),
        );
    }
    if !findings.is_empty() {
        findings.extend(Box::pin(locks(store, here, fleet, job)).await?);
    }
    Ok(findings)
}

/// How often a delayed job was put off, and by whom.
async fn put_off(store: &Store<Admin>, job: &ResolvedJob, seconds: &[i64]) -> Result<Vec<Finding>, AdminError> {
    let at = |second: &i64| DelayedJob { second: *second, queue: job.queue.clone(), payload: job.payload.clone() };
    let jobs: Vec<_> = seconds.iter().take(TIMES).map(at).collect();
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    for identity in store.run(DelayedIdentities { jobs }).await?.into_iter().flatten() {
        let Identity { id, redelivered, later, .. } = &identity;
        if *redelivered > 0 {
            let text = format!("it was cut off {}: its process or its daemon died during its run", times(*redelivered));
            findings.push(
                Finding::tells(Cause::CutOff, text)
                    .command(shell::command("tasks runs", &[job.task.as_str()]))
                    .fact("redelivered", *redelivered)
                    .fact("id", &**id),
            );
        }
        if *later > 0 {
            let text = format!("its handler postponed it {}", times(*later));
            findings.push(Finding::tells(Cause::PutOff, text).fact("later", *later).fact("id", &**id));
        }
        if identity.is_first_run() {
            let text = "it was claimed and put off before it began";
            findings.push(Finding::tells(Cause::PutOff, text).fact("id", &**id));
        }
    }
    Ok(findings)
}

/// How often.
fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// The JobLock that the job will meet, if it is held.
async fn locks(
    store: &Store<Admin>,
    here: Here<'_>,
    fleet: &Fleet,
    job: &ResolvedJob,
) -> Result<Vec<Finding>, AdminError> {
    let chain = here.registry.get(job.task.as_str()).map(|task| Chain::of(task));
    let Some((key, _)) = chain.and_then(|chain| chain.job_lock(&job.queue, &job.args)) else { return Ok(Vec::new()) };
    Met::of(key, &job.queue, job.task.as_str()).by_name(store, fleet).await
}

/// The newest failure of a job.
async fn failure(
    store: &Store<Admin>,
    here: Here<'_>,
    subject: &JobSubject<'_>,
) -> Result<Option<Finding>, AdminError> {
    let (mut walk, mut looked_at) = (Walk::before(store, i64::MAX), 0);
    while looked_at < failed::LOOKED_AT
        && let Some(page) = walk.next().await?
    {
        looked_at += page.len() as u64;
        if let Some((_, record)) = page.iter().find(|(_, record)| subject.is_failure(&FailureView::parse(record))) {
            return Ok(Some(failed::finding(here, &FailedView::of(0, record))));
        }
    }
    Ok(None)
}
