//! Finished runs that are kept.

use rusqlite::{OptionalExtension, ToSql, params};

use super::engine::SqliteStore;
use super::number::stored;
use super::step::Step;
use super::value::{AnyValue, bytes};
use crate::job::finished_run::LONGEST_RECORD;
use crate::job::{FinishedRun, KeptResult, RunOutcome, kept_result};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::runs::{
    FindJob, FoundJob, KeepResult, KeepRun, KeptRuns, LONGEST_TRACKED, NO_RECORD, ReadRuns, RunList, TRACKED_FOR,
    TrackedJob, runs_again,
};
use crate::store::unreadable::{PassedOver, RecordKind};

const PLACE: &str = "the table runs";

impl Perform<ReadRuns> for SqliteStore {
    async fn perform(&self, arrow: ReadRuns) -> Result<Vec<KeptRuns>, StoreError> {
        self.reader.call(move |step| read(step, &arrow.lists, arrow.last)).await
    }
}

/// Keeps a run, unless the file refuses that: then only the run is left out, and that is told.
///
/// # Errors
/// Only those that end the whole step.
pub(super) fn keep(step: &Step<'_>, run: Option<&KeepRun>) -> Result<(), StoreError> {
    if let Some(run) = run
        && let Err(refused) = step.part(|| write(step, run, &run.run.outcome))?
    {
        tell_without(step, &refused);
    }
    Ok(())
}

/// Tells that a run is not kept.
pub(super) fn tell_without(step: &Step<'_>, refused: &StoreError) {
    step.findings().tell("runs that are kept", format!("failed to {refused}; the runs of that task are not kept"));
}

/// The run of a tick that was due at this second.
pub(super) fn told(run: &KeepRun, due_s: Option<i64>) -> KeepRun {
    let mut told = run.clone();
    told.run.is_due(due_s);
    told
}

/// Writes a run with its outcome at the end of its list, and removes what is beyond the bound of the list or has lapsed.
///
/// # Errors
/// What the file refuses for good is [`StoreError::Barred`], whatever it is: the run is left out then.
pub(super) fn write(step: &Step<'_>, run: &KeepRun, outcome: &RunOutcome) -> Result<(), StoreError> {
    let barred = |error| match error {
        StoreError::Corrupt { reason, .. } | StoreError::Misuse(reason) => {
            StoreError::Barred { place: PLACE.to_owned(), reason }
        }
        other => other,
    };
    write_run(step, run, outcome).map_err(barred)
}

fn write_run(step: &Step<'_>, keep: &KeepRun, outcome: &RunOutcome) -> Result<(), StoreError> {
    let KeepRun { list, most, lasts_s, run, result } = keep;
    if let Some(result) = result.as_ref().filter(|_| !runs_again(outcome)) {
        keep_result(step, result, run, outcome)?;
    }
    if *most == 0 {
        return Ok(());
    }
    forget_lapsed(step, list)?;
    let (scheduled, name) = key(list);
    let lapses_s = step.now_s().saturating_add(stored(*lasts_s));
    step.change(
        "run_lists",
        "INSERT INTO run_lists (scheduled, name, lapses_s) VALUES (?1, ?2, ?3) \
         ON CONFLICT (scheduled, name) DO UPDATE SET lapses_s = excluded.lapses_s",
        params![scheduled, name, lapses_s],
    )?;
    let record = run.record_as(outcome);
    step.change(
        "runs",
        "INSERT INTO runs (scheduled, name, place, record) VALUES (?1, ?2, \
         coalesce((SELECT max(place) FROM runs WHERE scheduled = ?1 AND name = ?2), 0) + 1, ?3)",
        params![scheduled, name, &record[..]],
    )?;
    step.sweep(
        "DELETE FROM runs WHERE scheduled = ?1 AND name = ?2 AND place <= \
         (SELECT place FROM runs WHERE scheduled = ?1 AND name = ?2 ORDER BY place DESC LIMIT 1 OFFSET ?3)",
        params![scheduled, name, (*most).max(1)],
    )
}

/// How many results that have lapsed a step removes at most.
const SWEPT: usize = 20;

fn keep_result(
    step: &Step<'_>,
    KeepResult { job, lasts_s, result }: &KeepResult,
    run: &FinishedRun,
    outcome: &RunOutcome,
) -> Result<(), StoreError> {
    step.sweep(
        "DELETE FROM results WHERE job IN (SELECT job FROM results WHERE lapses_s <= ?1 ORDER BY lapses_s LIMIT ?2)",
        params![step.now_s(), stored(SWEPT)],
    )?;
    let head = format!("{{\"outcome\":\"{}\"", outcome.word());
    let record = [head.as_bytes(), &kept_result::rest(run, result.as_deref())].concat();
    step.change(
        "results",
        "INSERT INTO results (job, record, lapses_s) VALUES (?1, ?2, ?3) \
         ON CONFLICT (job) DO UPDATE SET record = excluded.record, lapses_s = excluded.lapses_s",
        params![job, record, step.now_s().saturating_add(stored(*lasts_s))],
    )
}

/// Writes what is known of a job that is tracked.
pub(super) fn track(step: &Step<'_>, id: &str, tracked: &TrackedJob) -> Result<(), StoreError> {
    step.sweep(
        "DELETE FROM tracked WHERE job IN (SELECT job FROM tracked WHERE lapses_s <= ?1 ORDER BY lapses_s LIMIT ?2)",
        params![step.now_s(), stored(SWEPT)],
    )?;
    let lapses_s = step.now_s().saturating_add(stored(TRACKED_FOR.as_secs()));
    step.change(
        "tracked",
        "INSERT INTO tracked (job, record, lapses_s) VALUES (?1, ?2, ?3) \
         ON CONFLICT (job) DO UPDATE SET record = excluded.record, lapses_s = excluded.lapses_s",
        params![id, tracked.encode(), lapses_s],
    )
}

impl Perform<FindJob> for SqliteStore {
    async fn perform(&self, FindJob { id }: FindJob) -> Result<FoundJob, StoreError> {
        self.reader.call(move |step| find_job(step, &id)).await
    }
}

fn find_job(step: &Step<'_>, id: &str) -> Result<FoundJob, StoreError> {
    let read = |row: &rusqlite::Row<'_>| Ok(bytes(row.get_ref(0)?));
    let tracked: Option<Vec<u8>> = step
        .sql(
            "SELECT CASE WHEN octet_length(record) <= ?3 THEN record END FROM tracked WHERE job = ?1 AND lapses_s > ?2",
        )?
        .query_row(params![id, step.now_s(), stored(LONGEST_TRACKED)], read)
        .optional()?;
    let result: Option<Vec<u8>> = step
        .sql(
            "SELECT CASE WHEN octet_length(record) <= ?3 THEN record END FROM results WHERE job = ?1 AND lapses_s > ?2",
        )?
        .query_row(params![id, step.now_s(), stored(kept_result::LONGEST)], read)
        .optional()?;
    Ok(FoundJob {
        tracked: tracked.as_deref().and_then(TrackedJob::parse),
        result: result.as_deref().and_then(KeptResult::parse),
    })
}

/// Removes this list if it has lapsed, and one other that has.
fn forget_lapsed(step: &Step<'_>, list: &RunList) -> Result<(), StoreError> {
    let (scheduled, name) = key(list);
    let mut lapsed = step.sql("SELECT 1 FROM run_lists WHERE scheduled = ?1 AND name = ?2 AND lapses_s <= ?3")?;
    if lapsed.exists(params![scheduled, name, step.now_s()])? {
        forget(step, list)?;
    }
    let other = step
        .sql("SELECT scheduled, name FROM run_lists WHERE lapses_s <= ?1 ORDER BY lapses_s LIMIT 1")?
        .query_row([step.now_s()], |row| Ok((row.get::<_, AnyValue>(0)?, row.get::<_, AnyValue>(1)?)))
        .optional()?;
    // Another program may have written rows of any type.
    other.map_or(Ok(()), |(scheduled, name)| forget_rows(step, params![scheduled, name]))
}

/// Removes the runs of a list.
pub(super) fn forget(step: &Step<'_>, list: &RunList) -> Result<(), StoreError> {
    let (scheduled, name) = key(list);
    forget_rows(step, params![scheduled, name])
}

fn forget_rows(step: &Step<'_>, list: &[&dyn ToSql]) -> Result<(), StoreError> {
    step.sweep("DELETE FROM runs WHERE scheduled = ?1 AND name = ?2", list)?;
    step.sweep("DELETE FROM run_lists WHERE scheduled = ?1 AND name = ?2", list)
}

fn key(list: &RunList) -> (bool, &str) {
    (matches!(list, RunList::Schedule(_)), list.name())
}

fn read(step: &Step<'_>, lists: &[RunList], last: usize) -> Result<Vec<KeptRuns>, StoreError> {
    let mut all_passed = PassedOver::of_some(RecordKind::Run);
    let mut select = step.sql(
        "SELECT CASE WHEN octet_length(record) <= ?5 THEN record END FROM runs WHERE scheduled = ?1 AND name = ?2 \
         AND EXISTS (SELECT 1 FROM run_lists WHERE scheduled = ?1 AND name = ?2 AND lapses_s > ?3) \
         ORDER BY place DESC LIMIT ?4",
    )?;
    let mut all = Vec::with_capacity(lists.len());
    for list in lists {
        let (scheduled, name) = key(list);
        let (mut kept, mut passed) = (KeptRuns::default(), PassedOver::new(RecordKind::Run));
        let mut rows = select.query(params![scheduled, name, step.now_s(), stored(last), stored(LONGEST_RECORD)])?;
        while let Some(row) = rows.next()? {
            match FinishedRun::parse(&bytes(row.get_ref(0)?)) {
                Some(run) => kept.runs.push(run),
                None => {
                    passed.add(name.as_bytes(), NO_RECORD);
                    all_passed.add(name.as_bytes(), NO_RECORD);
                }
            }
        }
        kept.unreadable = passed.unreadable(PLACE);
        all.push(kept);
    }
    step.findings().passed_over(&all_passed, PLACE);
    Ok(all)
}
