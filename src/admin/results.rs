//! What a job led to, by its id.

use serde::Serialize;

use super::dates::rfc3339_of_ms;
use super::error::AdminError;
use super::watching::{LastWords, Watcher};
use crate::job::{ClaimToken, KeptResult, RunEnd, RunOutcome, ShownRun};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::store::runs::{FindJob, FoundJob};
use crate::store::showing::LookAtRuns;

/// How the error of a program's exit code begins.
const EXITED: &str = "ExitStatus: exited with ";

/// What a job led to.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ResultView {
    /// The id of the job.
    pub id: String,
    /// `done`, `failed`, `cancelled`, `vetoed`, `missed`, `busy`, or a word of another version.
    pub outcome: String,
    /// What its handler gave back; of a long one the beginning.
    pub result: Option<String>,
    /// The result is longer.
    pub truncated: bool,
    /// Why it failed.
    pub error: Option<String>,
    /// The exit code of its program, if that failed with one.
    pub exit_code: Option<u8>,
    /// The last lines of its output.
    pub output: Vec<String>,
    /// When it ended: RFC 3339 with milliseconds.
    pub ended: String,
    /// The same in milliseconds since the Unix epoch.
    pub ended_ms: i64,
    /// How long its last run was.
    pub duration_ms: Option<u64>,
    /// Its last run.
    pub claim: Option<String>,
    /// Which attempt that was, from 1.
    pub attempt: Option<u32>,
    /// The worker that ran it.
    pub worker: Option<String>,
}

/// What is known of a job that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct TrackedView {
    /// The queue on which it was put.
    pub queue: String,
    /// Its class.
    pub class: String,
    /// When it was put there: RFC 3339 with milliseconds.
    pub enqueued: String,
}

/// What is known of a job by its id, wherever it is.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct KnownJob {
    /// Its producer tracks it.
    pub tracked: Option<TrackedView>,
    /// It has ended.
    pub result: Option<ResultView>,
}

impl ResultView {
    fn of(id: &str, KeptResult { run, result, is_cut }: KeptResult) -> Self {
        let code = run.error.as_deref().and_then(|error| error.strip_prefix(EXITED)?.split(':').next()?.parse().ok());
        Self {
            id: id.to_owned(),
            outcome: run.outcome.word().to_owned(),
            result,
            truncated: is_cut,
            exit_code: code.filter(|_| run.outcome == RunOutcome::Failed),
            error: run.error,
            output: run.output,
            ended: rfc3339_of_ms(run.ended_ms),
            ended_ms: run.ended_ms,
            duration_ms: run.ms,
            claim: run.claim,
            attempt: run.attempt,
            worker: run.worker,
        }
    }

    /// The same as what is left of a run.
    #[must_use]
    pub fn last_words(&self) -> LastWords {
        LastWords {
            outcome: self.outcome.clone(),
            error: self.error.clone(),
            lines: self.output.clone(),
            claim: self.claim.clone(),
            worker: self.worker.clone(),
            failed_id: None,
        }
    }

    /// Has the job done what it was to do?
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.outcome == RunOutcome::from(RunEnd::Done).word()
    }
}

/// What is known of a job.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn find(store: &Store<Admin>, id: &str) -> Result<KnownJob, AdminError> {
    let FoundJob { tracked, result } = store.run(FindJob { id: id.to_owned() }).await?;
    let tracked = tracked.map(|tracked| TrackedView {
        enqueued: rfc3339_of_ms(tracked.at_ms),
        queue: tracked.queue,
        class: tracked.class,
    });
    Ok(KnownJob { tracked, result: result.map(|result| ResultView::of(id, result)) })
}

/// What the instance of a run still shows of it.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn shown(store: &Store<Admin>, claim: &str) -> Result<Option<ShownRun>, AdminError> {
    let claims = vec![ClaimToken::as_stored(claim)];
    Ok(store.run(LookAtRuns { claims, shown: true }).await?.into_iter().next().and_then(|seen| seen.shown))
}

/// Is this the run that is watched?
#[must_use]
pub fn is_watched(watcher: &Watcher<'_>, claim: &str) -> bool {
    watcher.claim().as_str() == claim
}
