//! What is shown of runs, and how far they are.

use rusqlite::{OptionalExtension, params};

use super::engine::SqliteStore;
use super::number::stored;
use super::step::Step;
use super::value::bytes;
use super::wishes;
use crate::job::shown_run::LONGEST;
use crate::job::{ClaimToken, Progress, ShownRun};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::showing::{KEPT, LookAtRuns, SeenRun, ShowRuns};
use crate::store::wishes::{Wish, watch_name};

/// How many records that have lapsed a step removes at most.
const SWEPT: usize = 100;

impl Perform<ShowRuns> for SqliteStore {
    async fn perform(&self, arrow: ShowRuns) -> Result<Vec<Wish>, StoreError> {
        self.writer.call(move |step| show(step, &arrow)).await
    }
}

impl Perform<LookAtRuns> for SqliteStore {
    async fn perform(&self, arrow: LookAtRuns) -> Result<Vec<SeenRun>, StoreError> {
        self.reader.call(move |step| look(step, &arrow)).await
    }
}

fn show(step: &Step<'_>, ShowRuns { instance, shown, over }: &ShowRuns) -> Result<Vec<Wish>, StoreError> {
    let lapses_ms = step.now_ms.saturating_add(i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX));
    step.sweep(
        "DELETE FROM shown WHERE claim IN (SELECT claim FROM shown WHERE lapses_ms <= ?1 ORDER BY lapses_ms LIMIT ?2)",
        params![step.now_ms, stored(SWEPT)],
    )?;
    for (claim, record) in shown {
        step.change(
            "shown",
            "INSERT INTO shown (claim, instance, record, lapses_ms) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (claim) DO UPDATE SET record = excluded.record, lapses_ms = excluded.lapses_ms",
            params![claim.as_str(), instance, &record[..], lapses_ms],
        )?;
    }
    for claim in over {
        wishes::remove(step, &watch_name(claim))?;
    }
    wishes::read(step, instance)
}

/// Writes how far runs are; of those that have ended nothing stays.
pub(super) fn progress(
    step: &Step<'_>,
    instance: &str,
    told: &[(ClaimToken, Option<Progress>)],
) -> Result<(), StoreError> {
    for (claim, progress) in told {
        match progress {
            Some(progress) => step.change(
                "progress",
                "INSERT INTO progress (claim, instance, told) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (claim) DO UPDATE SET told = excluded.told",
                params![claim.as_str(), instance, progress.encode()],
            )?,
            None => {
                let stands = || step.finds("SELECT 1 FROM progress WHERE claim = ?1", [claim.as_str()]);
                let sql = "DELETE FROM progress WHERE claim = ?1";
                step.change_up_to(1, "progress", sql, [claim.as_str()], stands)?;
            }
        }
    }
    Ok(())
}

fn look(step: &Step<'_>, LookAtRuns { claims, shown: asked }: &LookAtRuns) -> Result<Vec<SeenRun>, StoreError> {
    let mut shown = step.sql(
        "SELECT CASE WHEN octet_length(record) <= ?3 THEN record END FROM shown WHERE claim = ?1 AND lapses_ms > ?2",
    )?;
    let mut progress =
        step.sql("SELECT CASE WHEN octet_length(told) <= ?2 THEN told END FROM progress WHERE claim = ?1")?;
    let mut seen = Vec::with_capacity(claims.len());
    for claim in claims {
        let read = |row: &rusqlite::Row<'_>| Ok(bytes(row.get_ref(0)?));
        let longest = stored(LONGEST);
        let record: Option<Vec<u8>> = match asked {
            true => shown.query_row(params![claim.as_str(), step.now_ms, longest], read).optional()?,
            false => None,
        };
        let told: Option<Vec<u8>> = progress.query_row(params![claim.as_str(), longest], read).optional()?;
        seen.push(SeenRun {
            shown: record.as_deref().and_then(ShownRun::parse),
            progress: told.as_deref().and_then(Progress::parse),
        });
    }
    Ok(seen)
}
