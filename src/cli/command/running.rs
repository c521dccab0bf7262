//! `jobs list` and `jobs cancel`: what runs now, and its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytesize::ByteSize;
use serde::Serialize;
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use tokio::time::{Instant, sleep};

use crate::admin::delayed_moves::{self, DelayedSelection};
use crate::admin::id_text::begins;
use crate::admin::jobs;
use crate::admin::known::expect_known;
use crate::admin::queues::expect_job;
use crate::admin::running::{self, CancelState, CancelledRun, RunPage, RunningView, Which};
use crate::cli::args::{JobsCancelArgs, JobsListArgs};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::manner::Manner;
use crate::cli::output::{Text, confirm, local_time};
use crate::cli::table::TextTable;
use crate::config::element::duration::show;
use crate::job::{Progress, QueueName};
use crate::store::delayed::MoveTo;
use crate::text::count::counted;

#[derive(Debug, Default, Serialize)]
struct CancelOutput {
    runs: Vec<CancelledRun>,
    /// How many jobs were deleted that waited in the task's queue; only with --task.
    #[serde(skip_serializing_if = "Option::is_none")]
    queued: Option<u64>,
    /// How many delayed jobs were deleted; only with --task.
    #[serde(skip_serializing_if = "Option::is_none")]
    delayed: Option<u64>,
}

/// Lists the jobs that run.
///
/// # Errors
/// Failures of the store.
pub(crate) async fn list(context: &CommandContext, args: JobsListArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let which = args.task.as_deref().map_or(Which::All, Which::Class);
    let registry = context.tasks()?.registry;
    let page = running::list(&store, &registry, which, args.limit, args.usage).await?;
    if page.runs.is_empty()
        && let Some(task) = &args.task
    {
        expect_known(&registry, task)?;
    }
    context.printer.print(&page, || list_text(&page, context.printer.manner()))?;
    Ok(Exit::Done)
}

fn list_text(page: &RunPage, manner: Manner) -> Text {
    if page.runs.is_empty() && !page.more {
        return Text::from("no job runs now");
    }
    let mut table = TextTable::new(&[
        "class",
        "queue",
        "since",
        "time left",
        "#attempt",
        "progress",
        "#memory",
        "#cpu",
        "worker",
        "args",
        manner.word("job", "id"),
    ])
    .uncut(&["since"])
    .falling_away(&["worker", "args", "attempt", "queue"]);
    for run in &page.runs {
        let args = run.args.as_ref().map(|args| args.get()).or(run.args_left_out.as_deref()).unwrap_or_default();
        let attempt = run.attempt.map_or_else(String::new, |attempt| attempt.to_string());
        table.row_with_last(
            [
                class(run),
                run.queue.as_deref().unwrap_or("-"),
                &run.since.as_deref().map_or_else(|| "-".to_owned(), |at| manner.time(at, || local_time(at))),
                &run.timeout_left_ms.map_or_else(|| "-".to_owned(), |ms| show(Duration::from_secs(ms / 1000))),
                &attempt,
                &run.progress.as_ref().map(Progress::text).unwrap_or_default(),
                &run.usage.map_or_else(String::new, |usage| ByteSize::b(usage.memory_bytes).display().si().to_string()),
                &run.usage.map_or_else(String::new, |usage| show(Duration::from_millis(usage.cpu_ms))),
                &run.worker,
                args,
            ],
            run.id.as_deref().unwrap_or("(another program's)"),
        );
    }
    let more = if page.more { ", and more: use jobs list --limit N" } else { "" };
    let any = |has: fn(&RunningView) -> bool| page.runs.iter().any(has);
    let table = table
        .column_if("time left", any(|run| run.timeout_left_ms.is_some()))
        .column_if("progress", any(|run| run.progress.is_some()))
        .column_if("memory", any(|run| run.usage.is_some()))
        .column_if("cpu", any(|run| run.usage.is_some()));
    table.text(manner).and(format!("{}{more}", counted(page.runs.len() as u64, "job runs", "jobs run")))
}

fn class(run: &RunningView) -> &str {
    run.class.as_deref().unwrap_or("(no job)")
}

/// Ends runs, and with `--task` deletes what waits.
///
/// # Errors
/// Ids that no run has, no answer of yes, failures of the store.
pub(crate) async fn cancel(context: &CommandContext, args: JobsCancelArgs) -> Result<Exit, CliError> {
    let store = context.store().await?;
    let registry = context.tasks()?.registry;
    let which = args.task.as_deref().map_or(Which::Ids(&args.ids), Which::Class);
    let runs = match &args.task {
        Some(_) => running::find(&store, which, usize::MAX).await?.0,
        None => running::find_named(&store, &args.ids).await?,
    };
    let by = format!("{} on {}", context.user(), context.host());
    let mut output = CancelOutput::default();
    if let Some(task) = args.task.as_deref().filter(|_| !args.running) {
        let queue = args.queue.clone().or_else(|| registry.get(task).map(|known| known.queue.as_str().to_owned()));
        let queue = queue.map(|queue| QueueName::as_stored(&queue));
        let selection = DelayedSelection::new(Some(task.to_owned()), args.queue.clone(), None, None);
        let waiting = match &queue {
            Some(queue) => jobs::count_by_class(&store, queue, task, (0, -1)).await?,
            None => 0,
        };
        let later = delayed_moves::count(&store, &registry, &selection, |_| {}).await?.jobs;
        if runs.is_empty() && waiting + later == 0 {
            expect_job(&store, &registry, Some(task), args.queue.as_deref()).await?;
        }
        let found = runs.len() as u64 + waiting + later;
        if found > 0 {
            let (runs, waiting) = (counted(runs.len() as u64, "run", "runs"), counted(waiting + later, "job", "jobs"));
            confirm(&format!("End {runs} of {task} and delete {waiting} that wait?"), args.yes)?;
        }
        // In the order in which they go on, so that none comes where it was looked for already.
        output.delayed =
            Some(delayed_moves::change(&store, &registry, &selection, MoveTo::Nowhere, |_| {}).await?.jobs);
        if let Some(queue) = &queue {
            output.queued = Some(jobs::delete_by_class(&store, &registry, queue, task, (0, -1)).await?.deleted);
        }
        // Some of it may have begun meanwhile.
        let (runs, _) = running::find(&store, which, usize::MAX).await?;
        output.runs = running::cancel(&store, &runs, &by).await?;
    } else {
        if let Some(task) = args.task.as_deref().filter(|_| runs.is_empty()) {
            expect_known(&registry, task)?;
        }
        if args.task.is_some() && !runs.is_empty() {
            confirm(&format!("End {}?", counted(runs.len() as u64, "run", "runs")), args.yes)?;
        }
        output.runs = running::cancel(&store, &runs, &by).await?;
    }
    let until = Instant::now() + args.wait;
    // What was asked stays asked, and who presses Ctrl-C is told so; the second one ends the command at once.
    let interrupted = Arc::new(AtomicBool::new(false));
    let is_caught = !args.no_wait && catch(&interrupted).is_ok();
    for looks in 1.. {
        running::look_again(&store, &mut output.runs).await?;
        let left = output.runs.iter().any(|run| run.state == CancelState::Asked);
        if !left || args.no_wait || Instant::now() >= until || interrupted.load(Ordering::Relaxed) {
            break;
        }
        sleep(running::next_look(looks)).await;
    }
    let missing: Vec<&String> = args.ids.iter().filter(|id| !output.runs.iter().any(|run| is(&run.run, id))).collect();
    let waits = |run: &CancelledRun| run.state == CancelState::Asked && !args.no_wait;
    let done = missing.is_empty() && !output.runs.iter().any(|run| waits(run) || run.state == CancelState::Foreign);
    let left = output.runs.iter().any(|run| run.state == CancelState::Asked);
    let given_up = is_caught && left && interrupted.load(Ordering::Relaxed);
    context.printer.report(&output, || cancel_text(&output, &missing, &args, given_up))?;
    if given_up {
        return Ok(Exit::Interrupted);
    }
    Ok(if done { Exit::Done } else { Exit::Failure })
}

/// From now on Ctrl-C only sets this.
fn catch(interrupted: &Arc<AtomicBool>) -> std::io::Result<()> {
    flag::register_conditional_shutdown(SIGINT, Exit::Interrupted.code().into(), Arc::clone(interrupted))?;
    flag::register(SIGINT, Arc::clone(interrupted)).map(drop)
}

fn is(run: &RunningView, id: &str) -> bool {
    [&run.id, &run.claim].into_iter().flatten().any(|own| own == id || begins(own, id))
}

fn cancel_text(output: &CancelOutput, missing: &[&String], args: &JobsCancelArgs, given_up: bool) -> Text {
    let mut text = Text::default();
    if let Some(delayed) = output.delayed {
        let delayed = counted(delayed, "delayed job", "delayed jobs");
        match output.queued {
            Some(queued) => {
                text.push(format!("deleted {} and {delayed}", counted(queued, "queued job", "queued jobs")));
            }
            // No file here says where jobs of the task go.
            None => text.push(format!("deleted {delayed}; for queued ones name their queue: --queue Q")),
        }
    }
    for CancelledRun { run, state, failed_id, .. } in &output.runs {
        let (id, class) = (run.id.as_deref().unwrap_or("?"), class(run));
        text.push(match (state, failed_id) {
            (CancelState::Cancelled, Some(failed)) => format!("cancelled {class} {id}; it is failed job {failed}"),
            (CancelState::Cancelled, None) => format!("cancelled {class} {id}"),
            (CancelState::Ended, _) => format!("{class} {id} had ended before it could be cancelled"),
            (CancelState::Asked, _) if args.no_wait || given_up => format!("{class} {id} is asked to end"),
            (CancelState::Asked, _) => format!(
                "{class} {id} is asked to end and has not ended yet: is its instance ({}) alive? See windlass jobs list",
                run.worker
            ),
            (CancelState::Foreign, _) => {
                format!("{class} is run by {}, a worker of another program, which cannot be asked", run.worker)
            }
        });
    }
    for id in missing {
        text.push(format!(
            "no run has the id {id} now: see windlass jobs list. A job that waits is deleted by windlass jobs delete or \
             windlass delayed delete"
        ));
    }
    if given_up {
        text.push(
            "you did not wait for the end; what is asked to end does so all the same. To look: windlass jobs list; what was \
             cancelled is on the failed list: windlass failed --filter is:cancelled",
        );
    }
    if output.runs.is_empty() && output.delayed.is_none() && missing.is_empty() {
        text.push("no job of this task runs now");
    }
    text
}
