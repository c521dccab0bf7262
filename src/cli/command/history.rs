//! `history`: shows what ran.

use std::time::Duration;

use crate::admin::history::{self, CountsView, Window};
use crate::cli::args::{HistoryArgs, HistoryBy, HistoryWindow};
use crate::cli::context::CommandContext;
use crate::cli::exit::{CliError, Exit};
use crate::cli::manner::Manner;
use crate::cli::output::{Text, local_time};
use crate::cli::table::TextTable;
use crate::job::run_counts::{DURATION_BOUNDS_MS, Percentile};

/// How many minutes a line of the table stands for.
const HOUR: i64 = 60;
const DAY: i64 = 24 * 60;

/// Shows what ran, in time or task by task.
///
/// # Errors
/// An unknown task, failures of the store.
pub(crate) async fn run(context: &CommandContext, args: HistoryArgs) -> Result<Exit, CliError> {
    let tasks = context.tasks()?;
    context.warn_of_problems(&tasks);
    let store = context.store().await?;
    let task = args.task.as_deref();
    let manner = context.printer.manner();
    let window = match args.window {
        HistoryWindow::Hour => Window::Hour,
        HistoryWindow::Day => Window::Day,
        HistoryWindow::Month => Window::Month,
    };
    if args.by == HistoryBy::Task {
        let output = history::by_task(&store, &tasks.registry, task, window).await?;
        context.printer.print(&output, || {
            if output.tasks.is_empty() {
                return nothing(task, window);
            }
            let mut table = Table::new("task", &output.total, manner);
            for one in &output.tasks {
                table.add(&one.task, &one.counts);
            }
            if output.tasks.len() > 1 {
                table.add("all", &output.total);
            }
            table.text()
        })?;
        return Ok(Exit::Done);
    }
    let output = history::in_time(&store, &tasks.registry, task, window).await?;
    context.printer.print(&output, || {
        if output.times.is_empty() {
            return nothing(task, window);
        }
        let times = match window {
            Window::Hour => output.times.clone(),
            Window::Day => output.coarser(HOUR),
            Window::Month => output.coarser(DAY),
        };
        let mut table = Table::new("local time", &output.total, manner);
        for time in &times {
            table.add(&manner.clock(&time.at, || local_time(&time.at)), &time.counts);
        }
        table.add("all", &output.total);
        table.text()
    })?;
    Ok(Exit::Done)
}

fn nothing(task: Option<&str>, window: Window) -> Text {
    let of = task.map(|task| format!(" of {task}")).unwrap_or_default();
    let back = match window {
        Window::Hour => "hour",
        Window::Day => "24 hours",
        Window::Month => "30 days",
    };
    Text::from(format!("nothing{of} ran in the last {back}"))
}

/// A line for each time or task.
struct Table {
    rows: TextTable,
    cancelled: bool,
    manner: Manner,
}

impl Table {
    fn new(what: &str, total: &CountsView, manner: Manner) -> Self {
        let ends = ["#done", "#failed", "#retried", "#later", "#cut off", "#cancelled"];
        let rest = ["#dropped", "#failure rate", "#mean", "#p50", "#p95"];
        let headings: Vec<&str> = [what].into_iter().chain(ends).chain(rest).collect();
        let rows = TextTable::new(&headings).uncut(&["local time"]).falling_away(&[
            "dropped",
            "later",
            "cut off",
            "p50",
            "retried",
            "mean",
            "cancelled",
            "failure rate",
        ]);
        Self { rows, cancelled: total.cancelled > 0, manner }
    }

    /// Who never cancels jobs sees no column for that.
    fn text(self) -> Text {
        self.rows.column_if("cancelled", self.cancelled).text(self.manner)
    }

    fn add(&mut self, what: &str, counts: &CountsView) {
        let number = |number: u64| number.to_string();
        let [done, failed, retried] = [counts.done, counts.failed, counts.retried].map(number);
        let [later, cut_off, cancelled] = [counts.later, counts.cut_off, counts.cancelled].map(number);
        let dropped = number(counts.vetoed.saturating_add(counts.dropped));
        let rate = counts.failure_rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
        let mean = counts.mean_ms.map_or_else(|| "-".to_owned(), |ms| self.manner.span(ms, || time(ms)));
        let [p50, p95] = [50, 95].map(|percent| bound(counts.percentile(percent), self.manner));
        let cells = [&done, &failed, &retried, &later, &cut_off, &cancelled, &dropped, &rate, &mean, &p50, &p95];
        let [done, failed, retried, later, cut_off, cancelled, dropped, rate, mean, p50, p95] =
            cells.map(String::as_str);
        self.rows.row([what, done, failed, retried, later, cut_off, cancelled, dropped, rate, mean, p50, p95]);
    }
}

/// A duration in a pipe, with as many digits as people read.
fn time(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => humantime::format_duration(Duration::from_secs(ms / 1000)).to_string(),
    }
}

/// What is known of a duration: the bound of its bucket.
fn bound(percentile: Option<Percentile>, manner: Manner) -> String {
    let exact = |ms| manner.span(ms, || humantime::format_duration(Duration::from_millis(ms)).to_string());
    match percentile {
        Some(Percentile::AtMost(ms)) => format!("<={}", exact(ms)),
        Some(Percentile::Longer) => format!(">{}", exact(DURATION_BOUNDS_MS[DURATION_BOUNDS_MS.len() - 1])),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_at_a_glance() {
        assert_eq!(
            [0, 999, 1000, 59_999, 60_000, 3_725_900].map(time),
            ["0ms", "999ms", "1.0s", "59.9s", "1m", "1h 2m 5s"]
        );
        let bounds = [Some(Percentile::AtMost(5)), Some(Percentile::AtMost(2500)), Some(Percentile::Longer), None];
        assert_eq!(bounds.map(|bounds| bound(bounds, Manner::default())), ["<=5ms", "<=2s 500ms", ">30m", "-"]);
    }
}
