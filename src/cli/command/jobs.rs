//! `jobs delete`: deletes jobs from their queue.

use crate::admin::jobs;
use crate::cli::args::verbs::{JobsDeleteArgs, JobsVerb};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{count_noun, escape};
use crate::client::{ClientError, Request};

/// Deletes.
///
/// # Errors Invalid names, failures of the store.
pub(crate) async fn run(context: &CommandContext, verb: JobsVerb) -> Result<Exit, CliError> {
    let JobsVerb::Delete(JobsDeleteArgs { task, queue, args, any_args, count, start, stop }) = verb;
    let tasks = context.tasks()?;
    // The task may be unknown here, because other programs enqueue jobs, too.
    let request = Request { queue, ..Request::new(task).args(args.get()).foreign() };
    let job = request.resolve_as_written(&tasks.registry).map_err(ClientError::from)?;
    let store = context.store().await?;
    let deleted = if any_args {
        jobs::delete_by_class(&store, &job.queue, job.task.as_str(), start, stop).await?
    } else {
        jobs::delete(&store, &job, count).await?
    };
    context.printer.print(&deleted, || {
        let queue = escape(job.queue.as_str());
        let spelt = if deleted.other_spellings > 0 { ", spelt as another program spells them" } else { "" };
        format!(
            "deleted {} of {} from {queue}{spelt}",
            count_noun(deleted.deleted, "job", "jobs"),
            escape(job.task.as_str())
        )
    })?;
    Ok(Exit::Done)
}
