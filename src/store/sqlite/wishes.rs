//! What people wish of runs.

use rusqlite::params;

use super::engine::SqliteStore;
use super::number::stored;
use super::step::Step;
use super::value::bytes;
use super::working;
use crate::job::{ClaimToken, WorkerName};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::unreadable::{PassedOver, RecordKind};
use crate::store::wishes::{
    AskRun, KEPT, LONGEST, MOST, MOST_TOLD, ProgressTold, ReadWishes, TellProgress, Wish, names,
};

impl Perform<AskRun> for SqliteStore {
    async fn perform(&self, arrow: AskRun) -> Result<bool, StoreError> {
        self.writer
            .call(move |step| leave(step, &arrow.worker, &arrow.wish, None))
            .await
            .map(|left| left == ProgressTold::Left)
    }
}

impl Perform<TellProgress> for SqliteStore {
    async fn perform(&self, arrow: TellProgress) -> Result<ProgressTold, StoreError> {
        self.writer.call(move |step| leave(step, &arrow.worker, &arrow.wish(), Some(MOST_TOLD))).await
    }
}

impl Perform<ReadWishes> for SqliteStore {
    async fn perform(&self, arrow: ReadWishes) -> Result<Vec<Wish>, StoreError> {
        self.reader.call(move |step| read(step, &arrow.instance)).await
    }
}

/// Leaves a wish, if the worker still has the claim. Wishes that nobody removed in their time go. `most`: only if fewer stand for the
/// instance, or it replaces one.
fn leave(step: &Step<'_>, worker: &WorkerName, wish: &Wish, most: Option<usize>) -> Result<ProgressTold, StoreError> {
    let claim = working::of(step, worker)?.and_then(|record| record.claim);
    if claim.as_ref() != Some(&wish.claim) {
        return Ok(ProgressTold::Over);
    }
    let lapsed = || step.finds("SELECT 1 FROM wishes WHERE lapses_ms <= ?1", [step.now_ms]);
    step.change_up_to(usize::MAX, "wishes", "DELETE FROM wishes WHERE lapses_ms <= ?1", [step.now_ms], lapsed)?;
    if let Some(most) = most {
        let replaces = step.finds("SELECT 1 FROM wishes WHERE claim = ?1", [wish.name()])?;
        let place = params![wish.claim.instance(), stored(most.saturating_sub(1))];
        if !replaces && step.finds("SELECT 1 FROM wishes WHERE instance = ?1 LIMIT 1 OFFSET ?2", place)? {
            return Ok(ProgressTold::Full);
        }
    }
    let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
    step.change(
        "wishes",
        "INSERT INTO wishes (claim, instance, want, lapses_ms) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (claim) DO UPDATE SET want = excluded.want, lapses_ms = excluded.lapses_ms",
        params![wish.name(), wish.claim.instance(), wish.encode(), step.now_ms.saturating_add(kept)],
    )?;
    // The instance learns of it at once if its waker is armed.
    step.wake();
    Ok(ProgressTold::Left)
}

/// Removes the wishes about runs that have ended, and reads the others.
pub(super) fn after(step: &Step<'_>, instance: &str, done: &[ClaimToken]) -> Result<Vec<Wish>, StoreError> {
    for name in done.iter().flat_map(names) {
        remove(step, &name)?;
    }
    read(step, instance)
}

/// Removes a wish, if it stands.
pub(super) fn remove(step: &Step<'_>, name: &str) -> Result<(), StoreError> {
    let stands = || step.finds("SELECT 1 FROM wishes WHERE claim = ?1", [name]);
    step.change_up_to(1, "wishes", "DELETE FROM wishes WHERE claim = ?1", [name], stands).map(drop)
}

/// The wishes for an instance that have not lapsed.
pub(super) fn read(step: &Step<'_>, instance: &str) -> Result<Vec<Wish>, StoreError> {
    // Of what is too long neither is read.
    let mut select = step.sql(
        "SELECT CASE WHEN octet_length(claim) <= ?4 THEN claim ELSE substr(claim, 1, 64) END, \
         CASE WHEN octet_length(claim) <= ?4 AND octet_length(want) <= ?5 THEN want ELSE '' END \
         FROM wishes WHERE instance = ?1 AND lapses_ms > ?2 LIMIT ?3",
    )?;
    let these = params![instance, step.now_ms, stored(MOST), stored(LONGEST.0), stored(LONGEST.1)];
    let mut passed = PassedOver::new(RecordKind::Wish).of(instance);
    let mut rows = select.query(these)?;
    let (mut found, mut looked_at) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        looked_at += 1;
        found.extend(Wish::read(&bytes(row.get_ref(0)?), &bytes(row.get_ref(1)?), &mut passed));
    }
    if looked_at >= MOST {
        passed.ends_early();
    }
    step.findings().passed_over(&passed, "the table wishes");
    Ok(found)
}

/// Are there wishes for this instance that have not lapsed?
pub(super) fn any(step: &Step<'_>, instance: &str) -> Result<bool, StoreError> {
    step.finds("SELECT 1 FROM wishes WHERE instance = ?1 AND lapses_ms > ?2", params![instance, step.now_ms])
}
