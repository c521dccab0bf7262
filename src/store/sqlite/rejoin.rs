//! An instance goes on in a file whose content was replaced.

use rusqlite::{OptionalExtension, params};

use super::engine::SqliteStore;
use super::locks::{self, Taken};
use super::step::Step;
use super::{lease, working};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::rejoin::{Rejoin, Rejoined};

impl Perform<Rejoin> for SqliteStore {
    async fn perform(&self, arrow: Rejoin) -> Result<Rejoined, StoreError> {
        self.writer.call(move |step| rejoin(step, &arrow)).await
    }
}

/// A lane needs no row: the first exchange that comes is taken, and none can arrive late in one process.
fn rejoin(step: &Step<'_>, rejoin: &Rejoin) -> Result<Rejoined, StoreError> {
    let record = &rejoin.record;
    let mark = lease::birth(step)?;
    if mark.as_deref() == Some(&rejoin.lost) {
        return Ok(Rejoined::Buried);
    }
    let stands = step.sql("SELECT 1 FROM instances WHERE id = ?1")?.exists([&record.id])?;
    let holder: Option<()> = step
        .sql("SELECT 1 FROM instances WHERE name = ?1 AND id <> ?2")?
        .query_row([&record.name, &record.id], |_| Ok(()))
        .optional()?;
    if holder.is_some() {
        return Ok(Rejoined::NameTaken);
    }
    if !stands {
        for job in &rejoin.jobs {
            working::put(step, job)?;
        }
        for worker in &rejoin.workers {
            lease::add(step, &record.id, worker)?;
        }
    }
    let mut lost_locks = Vec::new();
    for (index, lock) in rejoin.locks.iter().enumerate() {
        if locks::take_job_lock(step, &lock.key, &lock.claim, lock.ttl_s)? == Taken::No {
            lost_locks.push(index);
        }
    }
    if !stands {
        let sql = "INSERT INTO instances (id, name, record, counter) VALUES (?1, ?2, ?3, 1)";
        step.change("instances", sql, params![record.id, record.name, lease::encode(record)?])?;
    }
    let birth = match mark {
        Some(mark) => mark,
        None => {
            lease::set_birth(step, &rejoin.birth)?;
            rejoin.birth.clone()
        }
    };
    Ok(Rejoined::Yes { birth, lost_locks })
}
