//! `delayed run`, `move` and `delete`, for all jobs that match: they are counted, asked about, and changed in steps.

use serde::Serialize;

use crate::admin::AdminError;
use crate::admin::delayed_moves::{DelayedMatched, DelayedSelection, change, count};
use crate::admin::overview::leader;
use crate::admin::queues::expect_job;
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Text, confirm};
use crate::cli::progress::Progress;
use crate::cli::zones::SaidTime;
use crate::store::delayed::MoveTo;
use crate::store::handle::Store;
use crate::store::role::Admin;
use crate::task::load::Tasks;
use crate::text::count::counted;

/// What becomes of the jobs.
pub(super) enum Change {
    /// They are due now.
    Run,
    /// They are due at this time.
    Move(SaidTime),
    /// They are gone.
    Delete,
}

#[derive(Debug, Serialize)]
struct ChangedOutput {
    /// How many jobs were changed.
    jobs: u64,
    /// How many ticks of periodic tasks were left alone.
    ticks: u64,
    /// When they are due now.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<i64>,
}

/// Counts, asks, changes.
///
/// # Errors
/// A task that does not exist, no answer of yes, failures of the store.
pub(super) async fn run(
    context: &CommandContext,
    store: &Store<Admin>,
    tasks: &Tasks,
    selection: &DelayedSelection,
    what: &Change,
    yes: bool,
) -> Result<Exit, CliError> {
    let mut progress = Progress::new("delayed jobs match");
    let found = count(store, &tasks.registry, selection, |found| progress.at(found.jobs)).await?;
    if found == DelayedMatched::default() {
        expect_job(store, &tasks.registry, selection.task.as_deref(), selection.queue.as_deref()).await?;
    }
    if found.jobs > 0 {
        confirm(&what.question(&jobs(found.jobs)), yes)?;
    }
    let mut so_far = DelayedMatched::default();
    let mut progress = Progress::new(what.done());
    let changed = match found.jobs {
        0 => Ok(found),
        _ => {
            change(store, &tasks.registry, selection, what.target(), |done| {
                so_far = *done;
                progress.at(done.jobs);
            })
            .await
        }
    };
    let changed = changed.map_err(|error| match error {
        AdminError::Store(error) => {
            let message = format!("failed to {error}; {} {} until then", jobs(so_far.jobs), what.done());
            CliError::Interrupted { message, error }
        }
        other => other.into(),
    })?;
    let waits = matches!(what, Change::Run)
        && changed.jobs > 0
        && leader(store).await.is_ok_and(|leaders| leaders.leader.is_none());
    let to = if let Change::Move(to) = what { Some(to.moment) } else { None };
    let output = ChangedOutput {
        jobs: changed.jobs,
        ticks: changed.ticks,
        at: to.map(|to| to.rfc3339()),
        ms: to.map(|to| to.ms()),
    };
    context.printer.report(&output, || {
        let mut text = Text::from(match output.jobs {
            0 => "no delayed jobs match".to_owned(),
            number => format!("{}: {}", what.done_to(), jobs(number)),
        });
        if waits {
            text.push("no scheduler leads at the moment: they go to their queues when one does");
        }
        if output.ticks > 0 {
            text.push(format!(
                "{} left: windlass periodic run TASK and windlass periodic stop TASK are for these",
                counted(output.ticks, "run of a periodic task was", "runs of periodic tasks were")
            ));
        }
        text
    })?;
    Ok(Exit::Done)
}

fn jobs(number: u64) -> String {
    counted(number, "delayed job", "delayed jobs")
}

impl Change {
    /// The command that carries it out.
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Self::Run => "delayed run",
            Self::Move(_) => "delayed move --to TIME",
            Self::Delete => "delayed delete",
        }
    }

    fn target(&self) -> MoveTo {
        match self {
            Self::Run => MoveTo::Now,
            Self::Move(to) => MoveTo::Second(to.moment.second()),
            Self::Delete => MoveTo::Nowhere,
        }
    }

    fn question(&self, jobs: &str) -> String {
        match self {
            Self::Run => format!("Run {jobs} now?"),
            Self::Move(to) => format!("Move {jobs} to {}{}?", to.moment.rfc3339(), to.on_clocks()),
            Self::Delete => format!("Delete {jobs}?"),
        }
    }

    fn done(&self) -> &'static str {
        match self {
            Self::Run => "are due now",
            Self::Move(_) => "were moved",
            Self::Delete => "were deleted",
        }
    }

    fn done_to(&self) -> String {
        match self {
            Self::Run => "due now".to_owned(),
            Self::Move(to) => format!("moved to {}{}", to.moment.rfc3339(), to.on_clocks()),
            Self::Delete => "deleted".to_owned(),
        }
    }
}
