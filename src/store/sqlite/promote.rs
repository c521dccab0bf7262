//! Delayed -> queue.

use rusqlite::params;

use super::effect::at_least;
use super::engine::SqliteStore;
use super::number::stored;
use super::step::Step;
use super::value::{AnyValue, opt_text, seen};
use super::verdict::{CounterDeltas, fail};
use super::{delayed, enqueue, leader, locks};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::scheduling::{Leadership, PromoteTo, Promoted, Promotion};

impl Perform<Promotion> for SqliteStore {
    async fn perform(&self, arrow: Promotion) -> Result<Promoted, StoreError> {
        self.writer.call(move |step| promote(step, &arrow)).await
    }
}

/// Moves those of a batch that still stand at the head of their second.
fn promote(step: &Step<'_>, promotion: &Promotion) -> Result<Promoted, StoreError> {
    if let Some(name) = &promotion.leader
        && leader::holder(step, Leadership::Scheduler)?.is_some_and(|leader| leader != *name)
    {
        return Ok(Promoted::NotLeader);
    }
    // The caller may send it before its time.
    if promotion.second.saturating_mul(1000) > step.now_ms {
        return Ok(Promoted::Early { now_ms: step.now_ms });
    }
    let heads = heads(step, promotion)?;
    let (mut moved, mut last) = (0, None);
    let mut deltas = CounterDeltas::default();
    for (job, (place, identity)) in promotion.jobs.iter().zip(heads) {
        let payload = &job.payload;
        match &job.to {
            PromoteTo::Queue { queue, lock } => {
                if let Some((key, ttl_s)) = lock {
                    locks::take_queue_lock_if_free(step, key, *ttl_s)?;
                }
                enqueue::make_known(step, queue)?;
                enqueue::push_tail(step, queue, payload, identity.as_deref())?;
            }
            PromoteTo::Failed { record } => {
                fail(step, record)?;
                deltas.failed();
            }
            PromoteTo::Later { wait_ms } => {
                delayed::insert(step, delayed::second_after(step, *wait_ms), payload, identity.as_deref())?;
            }
        }
        (moved, last) = (moved + 1, Some(place));
    }
    if let Some(last) = last {
        let sql = "DELETE FROM delayed WHERE second = ?1 AND place <= ?2";
        at_least(moved, "delayed", step.changed(sql, params![promotion.second, last])?)?;
        deltas.write(step)?;
        step.wake();
    }
    Ok(Promoted::Moved(moved))
}

/// The places and identities of those of a batch that still stand at the head of their second. Others may have come there,
/// of any size: they are compared and not read.
fn heads(step: &Step<'_>, promotion: &Promotion) -> Result<Vec<(AnyValue, Option<String>)>, StoreError> {
    let mut select =
        step.sql("SELECT place, payload, identity FROM delayed WHERE second = ?1 ORDER BY place LIMIT ?2")?;
    let mut rows = select.query(params![promotion.second, stored(promotion.jobs.len())])?;
    let (mut heads, mut jobs) = (Vec::with_capacity(promotion.jobs.len()), promotion.jobs.iter());
    while let Some(row) = rows.next()?
        && let Some(job) = jobs.next()
        && seen(row.get_ref(1)?)[..] == job.payload[..]
    {
        heads.push((row.get(0)?, opt_text(row.get_ref(2)?)));
    }
    Ok(heads)
}
