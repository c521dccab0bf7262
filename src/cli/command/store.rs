//! `store copy`: moves waiting jobs from one store to another.

use serde::Serialize;

use crate::admin::copy::{AsideView, Copied, aside, copy, undo};
use crate::admin::{delayed, failed, queues};
use crate::cli::args::verbs::{CopyArgs, StoreVerb};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::{Text, confirm, warn};
use crate::store::handle::Store;
use crate::store::role::{Admin, Mover};
use crate::text::count::counted;

/// Moves everything that waits, or puts back what an interrupted move left.
///
/// # Errors
/// Invalid addresses, the same store twice, a store that is in use, failures of either store.
pub(crate) async fn run(context: &CommandContext, verb: StoreVerb) -> Result<Exit, CliError> {
    let StoreVerb::Copy(args) = verb;
    // Before either is opened: under two names the file would be spoilt.
    if let Some(to) = &args.to
        && context.are_one_file(&args.from, to)?
    {
        return Err(CliError::Usage(format!("{} and {to} are the same file: give two different stores", args.from)));
    }
    let from: Store<Mover> = context.store_at(&args.from, args.from_namespace.as_deref()).await?;
    let to: Option<Store<Mover>> = match &args.to {
        Some(to) if args.undo => Some(context.store_at(to, args.to_namespace.as_deref()).await?),
        Some(to) => Some(context.store_to_fill_at(to, args.to_namespace.as_deref()).await?),
        None => None,
    };
    if to.as_ref().is_some_and(|to| to.describe() == from.describe()) && args.from_namespace == args.to_namespace {
        return Err(CliError::Usage("both addresses name the same store: give two different stores".to_owned()));
    }
    match to {
        Some(to) if !args.undo => moved(context, &args, &from, &to).await,
        to => undone(context, &args, &from, to.as_ref()).await,
    }
}

async fn moved(
    context: &CommandContext,
    args: &CopyArgs,
    from: &Store<Mover>,
    to: &Store<Mover>,
) -> Result<Exit, CliError> {
    let tasks = context.tasks()?;
    context.warn_of_problems(&tasks);
    if let Some(what) = waiting(context, args).await? {
        let (from, to) = (from.describe(), to.describe());
        confirm(&format!("Move {what} from {from} to {to}? {from} is empty then."), args.yes)?;
    }
    let mut address = to.describe().to_owned();
    if let Some(namespace) = &args.to_namespace {
        address += &format!(" --to-namespace {namespace}");
    }
    let (mut said, mut so_far) = (0, Copied::default());
    let moved = copy(from, to, &address, &tasks.registry, |copied| {
        if copied.may_be_twice > 0 && so_far.may_be_twice == 0 {
            let text = "has fallen back to an older state, from which jobs had been moved already: some of those that are \
                        moved now may be twice in";
            warn(&format!("{} {text} {}", from.describe(), to.describe()));
        }
        so_far = *copied;
        // Reports progress, because millions of jobs take a while.
        if copied.total() >= said + 50_000 {
            said = copied.total();
            warn(&format!("{} so far", summary(copied)));
        }
    })
    .await;
    let told = moved.as_ref().unwrap_or(&so_far);
    if told.may_be_twice > 0 {
        warn(&format!(
            "at most {} of the jobs that were moved now may be twice in {}; to find them, compare its queues, delayed and \
             failed jobs",
            told.may_be_twice,
            to.describe()
        ));
    }
    let moved = moved.inspect_err(|_| {
        if so_far.total() > 0 {
            warn(&format!("moved {} before this; the same command continues from there", summary(&so_far)));
        }
    })?;
    // An interrupted copy the other way has left jobs in neither store's queues: who looks for them here must be told.
    let aside = aside(to).await.unwrap_or_else(|error| {
        warn(&format!("{error}, to look for items set aside in {}", to.describe()));
        None
    });
    if let Some(aside) = &aside {
        warn(&format!("in {}, {}", to.describe(), aside.text));
    }
    let output = CopyOutput { moved, aside_in_target: aside };
    context.printer.report(&output, || {
        let (from, to) = (from.describe(), to.describe());
        match (moved.total(), moved.pauses) {
            (0, 0) => Text::from(format!("nothing to move in {from}")),
            (_, 0) => Text::from(format!("moved {} from {from} to {to}", summary(&moved))),
            (_, pauses) => Text::from(format!("moved {} from {from} to {to}", summary(&moved))).and(format!(
                "and {}: look by windlass queues, end them by windlass queues resume",
                counted(pauses, "pause", "pauses")
            )),
        }
    })?;
    Ok(Exit::Done)
}

/// What waits in the first store, in words; nothing if it is empty.
async fn waiting(context: &CommandContext, args: &CopyArgs) -> Result<Option<String>, CliError> {
    let store: Store<Admin> = context.store_at(&args.from, args.from_namespace.as_deref()).await?;
    let queues = queues::list(&store, usize::MAX).await?;
    let queued: u64 = queues.queues.iter().map(|queue| queue.length).sum();
    let failed = failed::count(&store).await?;
    let is_delayed = !delayed::timestamps(&store, 1).await?.timestamps.is_empty();
    let is_paused = queues.all_paused || queues.queues.iter().any(|queue| queue.paused);
    if queued == 0 && failed == 0 && !is_delayed && !is_paused {
        return Ok(None);
    }
    let delayed = if is_delayed { ", all delayed jobs" } else { "" };
    Ok(Some(format!("{queued} queued and {failed} failed jobs{delayed}, periodic tasks and pauses")))
}

#[derive(Debug, Serialize)]
struct CopyOutput {
    #[serde(flatten)]
    moved: Copied,
    /// What an interrupted copy has set aside in the store that was filled.
    #[serde(skip_serializing_if = "Option::is_none")]
    aside_in_target: Option<AsideView>,
}

async fn undone(
    context: &CommandContext,
    args: &CopyArgs,
    from: &Store<Mover>,
    to: Option<&Store<Mover>>,
) -> Result<Exit, CliError> {
    if to.is_none() {
        let question = "Put back without asking the other store? If it has taken the jobs in, they will be in both.";
        confirm(question, args.yes)?;
    }
    let tasks = context.tasks()?;
    context.warn_of_problems(&tasks);
    let undone = undo(from, to, &tasks.registry).await?;
    if undone.may_be_twice > 0 {
        warn(&format!(
            "{} has fallen back to an older state: {} that were put back may have been moved before",
            from.describe(),
            counted(undone.may_be_twice, "item", "items")
        ));
    }
    context.printer.report(&undone, || {
        let (from, items) = (from.describe(), |count| counted(count, "item", "items"));
        match (undone.put_back, undone.moved_before, to) {
            (0, 0, _) => format!("nothing is set aside in {from}"),
            (0, moved, Some(to)) => {
                format!(
                    "{} had taken in {} before the copy was interrupted: they stay there",
                    to.describe(),
                    items(moved)
                )
            }
            (count, ..) => format!("put back {} to their places in {from}", items(count)),
        }
    })?;
    Ok(Exit::Done)
}

fn summary(copied: &Copied) -> String {
    let Copied { queued, delayed, failed, periodic, .. } = *copied;
    let periodic = counted(periodic, "periodic task", "periodic tasks");
    format!("{queued} queued, {delayed} delayed and {failed} failed jobs, {periodic}")
}
