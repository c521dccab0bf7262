//! `store copy`: from one store to another.

use crate::admin::copy::{Copied, copy};
use crate::cli::args::store::{CopyArgs, StoreVerb};
use crate::cli::context::Context;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{complain, counted};

/// Moves everything that waits.
///
/// # Errors
/// Addresses that are none, one store twice, a store that is in use, failures of either store.
pub async fn run(context: &Context, verb: StoreVerb) -> Result<Exit, CliError> {
    let StoreVerb::Copy(CopyArgs { from, to, from_namespace, to_namespace }) = verb;
    let from = context.store_at(&from, from_namespace.as_deref()).await?;
    let to = context.store_at(&to, to_namespace.as_deref()).await?;
    if from.describe() == to.describe() && from_namespace == to_namespace {
        return Err(CliError::Usage("expected two stores, found one twice".to_owned()));
    }
    let tasks = context.tasks()?;
    context.complain_of(&tasks);
    let (mut said, mut so_far) = (0, Copied::default());
    let moved = copy(&from, &to, &tasks.registry, |copied| {
        so_far = *copied;
        // A sign of life now and then, for millions take a while.
        if total(copied) >= said + 50_000 {
            said = total(copied);
            complain(&format!("{} so far", summary(copied)));
        }
    })
    .await
    .inspect_err(|_| {
        if total(&so_far) > 0 {
            complain(&format!("{} came over; the same command goes on from there", summary(&so_far)));
        }
    })?;
    context.output.tell(&moved, || {
        if total(&moved) == 0 {
            return format!("nothing waits in {}", from.describe());
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
    let periodic = counted(periodic, "periodic task", "periodic tasks");
    format!("{queued} queued, {delayed} delayed and {failed} failed jobs, {periodic}")
}
