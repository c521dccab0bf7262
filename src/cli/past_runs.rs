//! Runs that have ended, for people.

use std::time::Duration;

use super::manner::Manner;
use super::output::{Text, Tone};
use super::table::TextTable;
use crate::admin::runs::{PastRunView, RunsView};
use crate::config::element::duration::show;

/// How much of an error stands beside an outcome, in characters.
const ERROR: usize = 48;

/// When a run began (or ended, if that is not known), how it went, and how long it was.
pub(super) fn cells(run: Option<&PastRunView>, manner: Manner) -> [String; 3] {
    let Some(run) = run else { return ["-", "-", "-"].map(str::to_owned) };
    let outcome = match &run.error {
        Some(error) => {
            let cut = if error.chars().count() > ERROR { "..." } else { "" };
            format!("{}: {}{cut}", run.outcome, error.chars().take(ERROR).collect::<String>())
        }
        None => run.outcome.clone(),
    };
    [began(run, manner), outcome, took(run, manner)]
}

/// The runs of a task as a table.
pub(super) fn runs_text(found: &RunsView, manner: Manner) -> Text {
    let name = &found.name;
    if found.runs.is_empty() {
        return Text::from(match found.keep_runs {
            Some(0) => format!("task {name} keeps no runs; to keep some, write keep_runs = 20 in its file"),
            _ => format!("no run of {name} is kept: none has ended since runs are kept"),
        });
    }
    let scheduled = found.runs.iter().any(|run| run.schedule.is_some());
    let headings = ["began", "outcome", "took", "#attempt", "scheduled for", "worker", "schedule", "error"];
    let mut table = TextTable::new(&headings).uncut(&["began", "took", "outcome", "scheduled for"]).falling_away(&[
        "worker",
        "schedule",
        "attempt",
        "scheduled for",
    ]);
    for run in &found.runs {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let attempt = run.attempt.map_or_else(|| "-".to_owned(), |attempt| attempt.to_string());
        let (began, took, at, worker) =
            (began(run, manner), took(run, manner), text(&run.scheduled_at), text(&run.worker));
        let at = if at == "-" { at } else { manner.time(&at, || at.clone()) };
        let (schedule, error) = (text(&run.schedule), text(&run.error));
        table.row([&began, &run.outcome, &took, &attempt, &at, &worker, &schedule, &error]);
        table.tone(if run.outcome == "failed" { Tone::Wrong } else { Tone::Plain });
    }
    table.column_if("schedule", scheduled).text(manner)
}

/// In a pipe in UTC, to the second.
fn began(run: &PastRunView, manner: Manner) -> String {
    let time = run.started.as_deref().unwrap_or(&run.ended);
    manner.time(time, || match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    })
}

/// In a pipe with milliseconds only where they matter.
fn took(run: &PastRunView, manner: Manner) -> String {
    let Some(ms) = run.duration_ms else { return "-".to_owned() };
    manner.span(ms, || {
        let ms = if ms < 10_000 { ms } else { ms / 1000 * 1000 };
        show(Duration::from_millis(ms)).to_string()
    })
}
