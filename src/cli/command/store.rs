//! `store copy`: moves waiting jobs from one store to another.

use crate::admin::copy::{Copied, copy};
use crate::cli::args::verbs::{CopyArgs, StoreVerb};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{count_noun, warn};

/// Moves everything that waits.
///
/// # Errors
/// Invalid addresses, the same store twice, a store that is in use, failures of either store.
pub(crate) async fn run(context: &CommandContext, verb: StoreVerb) -> Result<Exit, CliError> {
    let StoreVerb::Copy(CopyArgs { from, to, from_namespace, to_namespace }) = verb;
    let from = context.store_at(&from, from_namespace.as_deref()).await?;
    let to = context.store_at(&to, to_namespace.as_deref()).await?;
    if from.describe() == to.describe() && from_namespace == to_namespace {
        return Err(CliError::Usage("both addresses name the same store: give two different stores".to_owned()));
    }
    let tasks = context.tasks()?;
    context.warn_of_problems(&tasks);
    let (mut said, mut so_far) = (0, Copied::default());
    let moved = copy(&from, &to, &tasks.registry, |copied| {
        so_far = *copied;
        // Reports progress, because millions of jobs take a while.
        if total(copied) >= said + 50_000 {
            said = total(copied);
            warn(&format!("{} so far", summary(copied)));
        }
    })
    .await
    .inspect_err(|_| {
        if total(&so_far) > 0 {
            warn(&format!("moved {} before this; the same command continues from there", summary(&so_far)));
        }
    })?;
    context.printer.print(&moved, || {
        if total(&moved) == 0 {
            return format!("nothing to move in {}", from.describe());
        }
        format!("moved {} from {} to {}", summary(&moved), from.describe(), to.describe())
    })?;
    Ok(Exit::Done)
}

fn total(copied: &Copied) -> u64 {
    copied.queued + copied.delayed + copied.failed + copied.periodic
}

fn summary(copied: &Copied) -> String {
    let Copied { queued, delayed, failed, periodic } = *copied;
    let periodic = count_noun(periodic, "periodic task", "periodic tasks");
    format!("{queued} queued, {delayed} delayed and {failed} failed jobs, {periodic}")
}
