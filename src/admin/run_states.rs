//! How runs stand of which only their claims are known, such as those whose outputs are kept in files.

use std::collections::HashMap;

use super::error::AdminError;
use super::failed::FailedView;
use super::failed_page;
use super::running::{self, Which};
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::store::runs::{ReadRuns, RunList};
use crate::task::definition::Registry;

/// How many kept runs of each list are looked through.
const LAST_RUNS: usize = 100;

/// How a run stands, and of which task it is, as far as that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunState {
    /// `running`, as runs are kept (`done`, `failed`, ..), or `ended`, of which no more is known.
    pub state: String,
    /// The task.
    pub task: Option<String>,
}

/// How these runs stand, each named by the id of its job and its claim, the newest first. What is looked through is bounded: the runs
/// that go on, the newest failures, the last runs that tasks defined here keep.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn states(
    store: &Store<Admin>,
    registry: &Registry,
    runs: &[(&str, &str)],
) -> Result<Vec<RunState>, AdminError> {
    let mut known: HashMap<String, RunState> = HashMap::new();
    for (list, task) in lists(registry) {
        let kept = store.run(ReadRuns { lists: vec![list], last: LAST_RUNS }).await?;
        for run in kept.into_iter().flat_map(|kept| kept.runs) {
            if let Some(claim) = run.claim {
                known.insert(claim, RunState { state: run.outcome.word().to_owned(), task: Some(task.clone()) });
            }
        }
    }
    let claims: Vec<String> = runs.iter().map(|(_, claim)| (*claim).to_owned()).collect();
    for run in running::find(store, Which::Ids(&claims), usize::MAX).await?.0 {
        let view = run.view();
        if let Some(claim) = view.claim {
            known.insert(claim, RunState { state: "running".to_owned(), task: view.class });
        }
    }
    let failed = failed_page::of_jobs(store, |id| runs.iter().any(|(of, _)| *of == id)).await?;
    let mut failed: HashMap<String, FailedView> =
        failed.into_iter().rev().map(|(found, id)| (id, found.view())).collect();
    let state = |(id, claim): &(&str, &str)| {
        // A failure is that of the last run of its job.
        let failure = failed.remove(*id);
        known.remove(*claim).unwrap_or_else(|| match failure {
            Some(view) => {
                let state = if view.cancelled { "cancelled" } else { "failed" };
                RunState { state: state.to_owned(), task: view.class }
            }
            None => RunState { state: "ended".to_owned(), task: None },
        })
    };
    Ok(runs.iter().map(state).collect())
}

/// The lists of kept runs of the tasks that are defined here, each with its task.
fn lists(registry: &Registry) -> Vec<(RunList, String)> {
    let mut lists = Vec::new();
    for task in registry.iter().filter(|task| task.runs_kept() > 0) {
        let name = task.name.as_str().to_owned();
        lists.push((RunList::Task(task.name.clone()), name.clone()));
        lists.extend(task.schedules.iter().map(|one| (RunList::Schedule(one.id.clone()), name.clone())));
    }
    lists
}
