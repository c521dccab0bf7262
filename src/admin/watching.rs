//! Watches a run from any machine: what it prints, how far it is, and how it ended.
//!
//! Who watches leaves a wish and renews it; the instance that has the run shows it meanwhile. If the instance dies, nobody tells
//! the end: then the claim is gone, and what the stores of failed and of kept runs hold is all that is left.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::error::AdminError;
use super::failed_page;
use crate::job::shown_run::ShownEnd;
use crate::job::{ClaimToken, FailureView, FinishedRun, ShownRun, WorkerName, output_end};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::store::runs::{ReadRuns, RunList};
use crate::store::showing::{LookAtRuns, SeenRun};
use crate::store::wishes::{AskRun, Want, Wish};
use crate::task::definition::Registry;

/// How often the wish is renewed.
const RENEW: Duration = Duration::from_secs(5);
/// How long the end of a run is waited for after its claim has gone.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// How long a person waits between two looks.
pub const LOOK: Duration = Duration::from_millis(300);
/// For how long an instance is waited for that shows nothing: it hears of a wish with the next extension of its lease.
pub const ANSWER: Duration = Duration::from_secs(20);
/// How many runs of each task are looked through.
const LAST_RUNS: usize = 100;

/// A run that is watched.
#[derive(Debug)]
pub struct Watcher<'s> {
    store: &'s Store<Admin>,
    worker: WorkerName,
    claim: ClaimToken,
    /// The number of the line that is told next.
    next: u64,
    asked: Option<Instant>,
    /// Since when the claim is known to be gone.
    gone: Option<Instant>,
    seen: Option<ShownRun>,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    /// How many lines were not seen, because only the last ones are shown.
    pub missed: u64,
    /// The lines that came.
    pub lines: Vec<String>,
    /// All that its instance shows at present; nothing so far.
    pub shown: Option<ShownRun>,
    /// The run is over. Nothing: its instance did not tell how it ended.
    pub over: Option<Option<ShownEnd>>,
}

impl<'s> Watcher<'s> {
    /// Watches a run; nothing if another program runs it, which knows no wishes.
    #[must_use]
    pub fn new(store: &'s Store<Admin>, worker: &WorkerName, claim: Option<&ClaimToken>) -> Option<Self> {
        let (worker, claim) = (worker.clone(), claim?.clone());
        Some(Self { store, worker, claim, next: 0, asked: None, gone: None, seen: None })
    }

    /// The claim of the run.
    #[must_use]
    pub fn claim(&self) -> &ClaimToken {
        &self.claim
    }

    /// Looks what has changed since the last look.
    ///
    /// # Errors
    /// Fails when the store cannot be reached; another look may succeed.
    pub async fn look(&mut self) -> Result<News, AdminError> {
        if self.gone.is_none() && self.asked.is_none_or(|at| at.elapsed() >= RENEW) {
            self.asked = Some(Instant::now());
            if !ask(self.store, &self.worker, &self.claim).await? {
                self.gone = Some(Instant::now());
            }
        }
        let seen = self.store.run(LookAtRuns { claims: vec![self.claim.clone()], shown: true }).await?;
        if let Some(SeenRun { shown: Some(shown), .. }) = seen.into_iter().next() {
            self.seen = Some(shown);
        }
        let mut news = News { missed: 0, lines: Vec::new(), shown: self.seen.clone(), over: None };
        if let Some(shown) = &self.seen {
            let (missed, lines) = shown.lines_from(self.next);
            (news.missed, news.lines) = (missed, lines.to_vec());
            self.next = self.next.max(shown.next());
            news.over = shown.end.clone().map(Some);
        }
        if news.over.is_none() && self.gone.is_some_and(|at| at.elapsed() >= LAST_WORDS) {
            news.over = Some(None);
        }
        Ok(news)
    }
}

/// Renews the wish to watch a run. False if its claim is over.
pub(super) async fn ask(store: &Store<Admin>, worker: &WorkerName, claim: &ClaimToken) -> Result<bool, AdminError> {
    // Any other number than before: anyone who renews a wish need not know who else does.
    let turn = RandomState::new().build_hasher().finish();
    let wish = Wish { claim: claim.clone(), want: Want::Watch { turn } };
    Ok(store.run(AskRun { worker: worker.clone(), wish }).await?)
}

/// What is left of a run that has ended.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct LastWords {
    /// What it led to: `failed`, `cancelled`, or as runs are kept.
    pub outcome: String,
    /// Its error, if it had one.
    pub error: Option<String>,
    /// The last lines of its output, or its result.
    pub lines: Vec<String>,
    /// Which run it was.
    pub claim: Option<String>,
    /// The worker that ran it.
    pub worker: Option<String>,
    /// The id of its failure record, if it is on the failed list.
    pub failed_id: Option<String>,
}

/// What is left of the last run of a job, or of the run of this claim: on the failed list, among its newest, or among the runs that
/// tasks defined here keep.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn last_words(
    store: &Store<Admin>,
    registry: &Registry,
    id: &str,
    claim: Option<&str>,
) -> Result<Option<LastWords>, AdminError> {
    let failed = if claim.is_none() { failed_page::of_job(store, id).await? } else { None };
    if let Some(found) = failed {
        let view = FailureView::parse(&found.record);
        let error = view.exception.iter().chain(&view.error).cloned().collect::<Vec<_>>().join(": ");
        return Ok(Some(LastWords {
            outcome: if view.cancelled { "cancelled" } else { "failed" }.to_owned(),
            error: Some(error).filter(|error| !error.is_empty()),
            lines: output_end::written(&view.backtrace).map(str::to_owned).collect(),
            claim: None,
            worker: view.worker,
            failed_id: Some(found.id),
        }));
    }
    let is_meant = |run: &FinishedRun| match claim {
        Some(claim) => run.claim.as_deref() == Some(claim),
        None => run.id.as_deref() == Some(id) || run.claim.as_deref() == Some(id),
    };
    let mut lists = Vec::new();
    for task in registry.iter().filter(|task| task.runs_kept() > 0) {
        lists.push(RunList::Task(task.name.clone()));
        lists.extend(task.schedules.iter().map(|one| RunList::Schedule(one.id.clone())));
    }
    if lists.is_empty() {
        return Ok(None);
    }
    let kept = store.run(ReadRuns { lists, last: LAST_RUNS }).await?;
    let meant = kept.into_iter().flat_map(|kept| kept.runs).filter(is_meant).max_by_key(|run| run.ended_ms);
    Ok(meant.map(|run| LastWords {
        outcome: run.outcome.word().to_owned(),
        error: run.error,
        lines: run.output,
        claim: run.claim,
        worker: run.worker,
        failed_id: None,
    }))
}
