//! Failed jobs, for people.

use crate::admin::failed::{FailedPage, FailedView, FoundFailure, SHOWN_ID};
use crate::cli::fields::FieldList;
use crate::cli::manner::Manner;
use crate::cli::output::{Text, local_time};
use crate::cli::table::TextTable;
use crate::job::output_end::last_of_stderr;
use crate::text::count::counted;

/// As much of an id as people read.
pub(super) fn short(id: &str) -> &str {
    id.get(..SHOWN_ID).unwrap_or(id)
}

/// That it is there no more.
pub(super) fn gone(id: &str) -> String {
    format!("{} is not in the failed list any more: it was removed or retried in the meantime", short(id))
}

/// Its id and class.
pub(super) fn title(found: &FoundFailure) -> String {
    let view = found.view();
    format!("{} {}", short(&view.id), view.class.as_deref().unwrap_or("(no job)"))
}

/// The list as a table.
pub(super) fn list_text(page: &FailedPage, is_filtered: bool, manner: Manner) -> Text {
    if page.count == 0 {
        return Text::from("no failed jobs");
    }
    let all = counted(page.count, "failed job", "failed jobs");
    if page.failed.is_empty() && page.more != Some(true) {
        return Text::from(format!("none of {all} match"));
    }
    let output = "last line of stderr";
    let headings = ["#pos", "id", "failed at", "queue", "class", "args", "job", "error", output];
    let mut table = TextTable::new(&headings)
        .uncut(&["id", "failed at", "job"])
        .falling_away(&["job", output, "queue", "args", "pos"])
        .else_beneath(output);
    for view in &page.failed {
        let at = view.failed_at.as_deref().map(|at| manner.time(at, || local_time(at))).unwrap_or_default();
        let class = view.class.as_deref().unwrap_or("(no job)");
        let class = if view.retried_at.is_some() { format!("{class} (retried)") } else { class.to_owned() };
        let queue = view.queue.as_deref().unwrap_or("-");
        let args = view.args.as_ref().map(|args| args.get()).or(view.args_left_out.as_deref()).unwrap_or("-");
        let (position, error) = (view.position.to_string(), error_text(view));
        let (said, job) = (last_output(view).unwrap_or_default(), view.job_id.as_deref().unwrap_or_default());
        table.row([&position, short(&view.id), &at, queue, &class, args, job, &error, said]);
    }
    let table = table.column_if("job", page.failed.iter().any(|view| view.job_id.is_some()));
    let table = table.column_if(output, page.failed.iter().any(|view| last_output(view).is_some()));
    let told = match page.more {
        Some(true) => format!("{all} in all; there are more of these: use --limit N"),
        _ if is_filtered => format!("{} of {all}", page.failed.len()),
        _ => format!("{all} in all"),
    };
    table.text(manner).and(told)
}

/// The last line that a job's program wrote to stderr. What other programs keep there are stacks.
fn last_output(view: &FailedView) -> Option<&str> {
    view.job_id.as_ref().and_then(|_| last_of_stderr(&view.backtrace))
}

/// The error in one line. The class is left out if it equals the message.
fn error_text(view: &FailedView) -> String {
    match (view.exception.as_deref(), view.error.as_deref()) {
        (Some(exception), Some(error)) if exception != error => format!("{exception}: {error}"),
        (_, Some(error)) => error.to_owned(),
        (Some(exception), None) => exception.to_owned(),
        (None, None) => view.problem.clone().unwrap_or_default(),
    }
}

/// Everything that is known of one.
pub(super) fn show_text(view: &FailedView, manner: Manner) -> Text {
    let time = |date: &Option<String>| date.as_deref().map(|date| manner.whole_time(date));
    let mut fields = FieldList::default();
    fields
        .add("id", &view.id)
        .add("position", &view.position.to_string())
        .maybe("class", view.class.as_deref())
        .maybe("queue", view.queue.as_deref())
        .maybe("args", view.args.as_ref().map(|args| args.get()))
        .maybe("worker", view.worker.as_deref())
        .maybe("failed at", time(&view.failed_at).as_deref())
        .maybe("retried at", time(&view.retried_at).as_deref())
        .maybe(manner.word("job", "job id"), view.job_id.as_deref())
        .maybe("attempt", view.attempt.map(|attempt| attempt.to_string()).as_deref())
        .maybe("exception", view.exception.as_deref())
        .maybe("error", view.error.as_deref())
        .maybe("problem", view.problem.as_deref())
        .maybe("raw", view.raw.as_deref());
    let mut text = fields.text();
    if !view.backtrace.is_empty() {
        text.push("backtrace:");
        for line in &view.backtrace {
            text.push(format!("  {line}"));
        }
    }
    text
}
