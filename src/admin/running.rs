//! Jobs that run now, and the end of one that nobody wants any more.
//!
//! Who cancels leaves a wish ([`wishes`](crate::store::wishes)); the instance that has the run ends it. Runs of other programs
//! cannot be reached: their workers know no such wish.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::dates::rfc3339;
use super::error::AdminError;
use super::failed;
use super::failed_walk::Walk;
use super::id_text::{begins, one_of};
use super::job_view::JobView;
use super::watching;
use super::worker_page::Room;
use crate::clock::{Clock as _, SystemClock};
use crate::job::shown_run::RunUsage;
use crate::job::{ClaimToken, FailureView, Progress, QueueName, WorkerName, date};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::store::showing::{LookAtRuns, SeenRun};
use crate::store::wishes::{AskRun, Want, Wish};
use crate::store::workers::{ReadWorkers, Registered, WorkerNames};
use crate::store::working::WorkingRecord;
use crate::task::definition::Registry;

/// How many working records are read together.
const READ: usize = 64;
/// Among how many workers, by their ids, runs are looked for.
const KNOWN: usize = 100_000;
/// How many bytes of a working record tell its claim.
const CLAIM: usize = 512;
/// How many of the newest failures are looked at for runs that have ended, beside one for each of them.
const NEWEST: usize = 100;

/// Of how many runs is asked what they use, and how long the answers are waited for: an instance hears of it with the next extension
/// of its lease.
const MOST_ASKED: usize = 50;
const PATIENCE: Duration = Duration::from_secs(8);

/// A job that runs.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct RunningView {
    /// The job's id; `None` if another program runs it.
    pub id: Option<String>,
    /// The claim of this run; `None` if another program runs it.
    pub claim: Option<String>,
    /// Its class; `None` if its bytes are no job.
    pub class: Option<String>,
    /// The queue it came from.
    pub queue: Option<String>,
    /// Its arguments.
    #[cfg_attr(test, schema(value_type = Option<Vec<serde_json::Value>>))]
    pub args: Option<Box<RawValue>>,
    /// How long the arguments are, if the listing leaves them out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_left_out: Option<String>,
    /// When it was claimed: RFC 3339 with milliseconds, in UTC. `None`: nothing tells.
    pub since: Option<String>,
    /// Which attempt this is, from 1; `None` if another program runs it.
    pub attempt: Option<u32>,
    /// How often it was taken from a run that was cut off; `None` if another program runs it.
    pub redelivered: Option<u32>,
    /// The worker that runs it (`host:pid+n`).
    pub worker: String,
    /// The instance that runs it; left out if another program does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// How long it may still take, in milliseconds, if its task is known here and has a timeout; 0 if it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_left_ms: Option<u64>,
    /// How far it is, if it tells that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What its processes use, if somebody watches it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<RunUsage>,
}

/// Some of the jobs that run.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RunPage {
    /// In order of their workers.
    pub runs: Vec<RunningView>,
    /// Are there more than the limit?
    pub more: bool,
}

impl RunningView {
    fn of(run: &Run) -> Self {
        let record = &run.0;
        let job = JobView::of_record(record);
        let identity = record.identity.as_ref();
        Self {
            id: identity.map(|identity| identity.id.to_string()),
            claim: record.claim.as_ref().map(ToString::to_string),
            class: job.class,
            queue: record.queue.as_ref().map(|queue| queue.as_str().to_owned()),
            args: job.args,
            args_left_out: job.args_left_out,
            since: rfc3339(record.run_at.as_deref()),
            attempt: identity.map(|identity| identity.attempt),
            redelivered: identity.map(|identity| identity.redelivered),
            worker: record.worker.name().to_owned(),
            instance: record.claim.as_ref().map(|claim| claim.instance().to_owned()),
            timeout_left_ms: None,
            progress: None,
            usage: None,
        }
    }

    /// Adds what is known beside the record of the run: how long it may take, how far it is, what it uses.
    fn complete(&mut self, timeout: Option<Duration>, now_ms: i64, seen: SeenRun) {
        let since_ms = self.since.as_deref().and_then(date::parse);
        self.timeout_left_ms = timeout.zip(since_ms).map(|(timeout, since_ms)| {
            let passed = u64::try_from(now_ms.saturating_sub(since_ms)).unwrap_or(0);
            u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).saturating_sub(passed)
        });
        let shown = seen.shown.unwrap_or_default();
        // What is shown is newer while somebody watches.
        self.progress = shown.progress.or(seen.progress);
        self.usage = shown.usage;
    }
}

/// A run as it stood on record.
#[derive(Debug, Clone)]
pub struct Run(WorkingRecord);

impl Run {
    /// What people see of it.
    #[must_use]
    pub fn view(&self) -> RunningView {
        RunningView::of(self)
    }

    /// The worker that runs it.
    #[must_use]
    pub fn worker(&self) -> &WorkerName {
        &self.0.worker
    }

    /// Its queue and its bytes, if all of them were read.
    #[must_use]
    pub fn whole_job(&self) -> Option<(&QueueName, &Bytes)> {
        let record = Some(&self.0).filter(|record| record.left_out == 0)?;
        record.queue.as_ref().zip(record.payload.as_ref())
    }

    /// Is this its id or its claim, or the beginning of one?
    #[must_use]
    pub fn is_named(&self, text: &str) -> bool {
        let id = self.0.identity.as_ref().is_some_and(|identity| begins(&identity.id, text));
        self.0.has_id(text) || id || self.claim().is_some_and(|claim| begins(claim.as_str(), text))
    }

    /// Its claim; nothing if another program runs it.
    #[must_use]
    pub fn claim(&self) -> Option<&ClaimToken> {
        self.0.claim.as_ref()
    }
}

/// Which runs are meant.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Which<'a> {
    /// All of them.
    All,
    /// Those of this class.
    Class(&'a str),
    /// Those whose job has one of these ids, or whose claim is one of them.
    Ids(&'a [String]),
    /// The same, also of ids of which only the beginning is given.
    Begun(&'a [String]),
}

impl Which<'_> {
    fn means(self, run: &Run) -> bool {
        match self {
            Self::All => true,
            Self::Class(class) => run.0.class().is_some_and(|of| of == class),
            Self::Ids(ids) => ids.iter().any(|id| run.0.has_id(id)),
            Self::Begun(ids) => ids.iter().any(|id| run.is_named(id)),
        }
    }
}

/// The runs that are meant, in order of their workers, at most `limit`; and whether there are more.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn find(store: &Store<Admin>, which: Which<'_>, limit: usize) -> Result<(Vec<Run>, bool), AdminError> {
    // One more shows whether there are more.
    let mut workers = store.run(WorkerNames { limit: KNOWN + 1 }).await?;
    let cut = workers.len() > KNOWN;
    workers.truncate(KNOWN);
    let (mut runs, mut room) = (Vec::new(), Room::default());
    for some in workers.chunks(READ) {
        let read = store.run(ReadWorkers { workers: some.to_vec(), longest: room.longest() }).await?;
        room.take(&read);
        for run in read.into_iter().filter_map(|one| one.working).map(Run).filter(|run| which.means(run)) {
            if runs.len() == limit {
                return Ok((runs, true));
            }
            runs.push(run);
        }
    }
    Ok((runs, cut))
}

/// The runs of the jobs that these ids name, in full or by their beginnings; what a beginning means must be one job.
///
/// # Errors
/// If it is several, and when the store cannot be reached.
pub async fn find_named(store: &Store<Admin>, names: &[String]) -> Result<Vec<Run>, AdminError> {
    let (runs, _) = find(store, Which::Begun(names), usize::MAX).await?;
    for name in names.iter().filter(|name| !runs.iter().any(|run| run.0.has_id(name))) {
        let meant = runs.iter().filter(|run| run.is_named(name)).filter_map(|run| {
            let view = run.view();
            Some((view.id?, format!("{} on {}", view.class.as_deref().unwrap_or("it"), view.worker)))
        });
        one_of(name, meant.collect())?;
    }
    let is_meant = |run: &Run, name: &String| {
        run.0.has_id(name) || run.is_named(name) && !runs.iter().any(|other| other.0.has_id(name))
    };
    Ok(runs.iter().filter(|run| names.iter().any(|name| is_meant(run, name))).cloned().collect())
}

/// The jobs that run, at most `limit`, with what they tell of themselves. `usage`: asks their instances what their processes use,
/// and waits for that.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn list(
    store: &Store<Admin>,
    registry: &Registry,
    which: Which<'_>,
    limit: usize,
    usage: bool,
) -> Result<RunPage, AdminError> {
    let (runs, more) = find(store, which, limit).await?;
    let claims: Vec<ClaimToken> = runs.iter().filter_map(|run| run.claim().cloned()).collect();
    let mut seen = store.run(LookAtRuns { claims: claims.clone(), shown: false }).await?;
    if usage {
        let asked: Vec<ClaimToken> = claims.into_iter().take(MOST_ASKED).collect();
        for run in runs.iter().filter(|run| run.claim().is_some()).take(MOST_ASKED) {
            if let Some(claim) = run.claim() {
                watching::ask(store, run.worker(), claim).await?;
            }
        }
        let begun = Instant::now();
        loop {
            let answers = store.run(LookAtRuns { claims: asked.clone(), shown: true }).await?;
            let is_over = answers.iter().all(|seen| seen.shown.is_some()) || begun.elapsed() >= PATIENCE;
            if is_over {
                seen.splice(..asked.len(), answers);
                break;
            }
            tokio::time::sleep(watching::LOOK).await;
        }
    }
    let mut seen = seen.into_iter();
    let now_ms = SystemClock.now_ms();
    let view = |run: &Run| {
        let mut view = RunningView::of(run);
        let timeout = view.class.as_deref().and_then(|class| registry.get(class)?.timeout);
        let beside = run.claim().and_then(|_| seen.next()).unwrap_or_default();
        view.complete(timeout, now_ms, beside);
        view
    };
    Ok(RunPage { runs: runs.iter().map(view).collect(), more })
}

/// What became of the wish to end a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CancelState {
    /// Its instance was asked, and has not ended it so far.
    Asked,
    /// It has ended, and its job is on the failed list as cancelled.
    Cancelled,
    /// It has ended by itself.
    Ended,
    /// Another program runs it.
    Foreign,
}

/// A run that is to be cancelled.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct CancelledRun {
    /// The run.
    #[serde(flatten)]
    pub run: RunningView,
    /// What became of it.
    pub state: CancelState,
    /// The id of its failure record, if it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_id: Option<String>,
    #[serde(skip)]
    worker: WorkerName,
}

/// Asks the instances of these runs to end them. `by` is told on the failed list and in the log.
///
/// # Errors
/// Fails when the store cannot be reached; runs that were asked by then end all the same.
pub async fn cancel(store: &Store<Admin>, runs: &[Run], by: &str) -> Result<Vec<CancelledRun>, AdminError> {
    let mut asked = Vec::with_capacity(runs.len());
    for run in runs {
        let worker = run.0.worker.clone();
        let state = match &run.0.claim {
            None => CancelState::Foreign,
            Some(claim) => {
                let wish = Wish { claim: claim.clone(), want: Want::cancel(by) };
                let stands = store.run(AskRun { worker: worker.clone(), wish }).await?;
                if stands { CancelState::Asked } else { CancelState::Ended }
            }
        };
        asked.push(CancelledRun { run: run.view(), state, failed_id: None, worker });
    }
    Ok(asked)
}

/// Looks which of the runs that were asked have ended, and how.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn look_again(store: &Store<Admin>, runs: &mut [CancelledRun]) -> Result<(), AdminError> {
    let mut asked: Vec<&mut CancelledRun> = runs.iter_mut().filter(|run| run.state == CancelState::Asked).collect();
    if asked.is_empty() {
        return Ok(());
    }
    let workers = asked.iter().map(|run| run.worker.clone()).collect();
    let records = store.run(ReadWorkers { workers, longest: CLAIM }).await?;
    let stands = |run: &CancelledRun, record: &Registered| {
        let claim = record.working.as_ref().and_then(|record| record.claim.as_ref());
        claim.is_some_and(|claim| run.run.claim.as_deref() == Some(claim.as_str()))
    };
    let mut over = Vec::new();
    for (run, record) in asked.iter_mut().zip(&records) {
        if !stands(run, record) {
            run.state = CancelState::Ended;
            over.push(run);
        }
    }
    if over.is_empty() {
        return Ok(());
    }
    let (newest, mut looked_at, mut walk) = (NEWEST + over.len(), 0, Walk::before(store, i64::MAX));
    while looked_at < newest
        && let Some(records) = walk.next().await?
    {
        looked_at += records.len();
        for (_, record) in records {
            let view = FailureView::parse(&record);
            let Some(identity) = view.identity.filter(|_| view.cancelled) else { continue };
            for run in over.iter_mut().filter(|run| run.run.id.as_deref() == Some(&identity.id)) {
                // Of several the newest.
                run.failed_id.get_or_insert_with(|| failed::id(&record));
                run.state = CancelState::Cancelled;
            }
        }
    }
    Ok(())
}

/// How long a person waits between two looks: soon at first, then calmly.
#[must_use]
pub fn next_look(looks: u32) -> Duration {
    Duration::from_millis(100) * looks.clamp(1, 10)
}
