//! Samples of the queues, and what is published of them.
//!
//! No other program works on the jobs of a file, and each row tells when its job came. So no worker is foreign here, no head
//! is watched, and no curve is kept for the next leader.

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};

use super::engine::SqliteStore;
use super::failed;
use super::leader;
use super::lengths;
use super::number::{count, stored};
use super::pause::paused;
use super::step::Step;
use super::value::{bytes, number, opt_int, text};
use crate::job::QueueName;
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::Paused;
use crate::store::sampling::{
    AskForSamples, Counters, DELAYED_SECONDS, ForgetQueues, Forgotten, Memory, OldestJobs, Publish, PublishedSnapshot,
    QueueState, ReadCurves, ReadSnapshot, SNAPSHOT_MS, Sample, Sampled, Totals, WATCHED_MS, WalkQueues, Walked,
};
use crate::store::scheduling::Leadership;

/// How many queues one step may forget.
const FORGOTTEN: i64 = 200;
/// Up to how many queues are counted.
const COUNTED: i64 = 1_000_000;
/// How many queues with jobs one step of a walk finds.
const WALKED: usize = 1000;

const SNAPSHOT: &str = "snapshot";
const WATCHED: &str = "watched";

impl Perform<Sample> for SqliteStore {
    async fn perform(&self, arrow: Sample) -> Result<Sampled, StoreError> {
        self.reader.call(move |step| sample(step, &arrow)).await
    }
}

impl Perform<Publish> for SqliteStore {
    async fn perform(&self, arrow: Publish) -> Result<(), StoreError> {
        self.writer.call(move |step| announce(step, SNAPSHOT, &arrow.snapshot, arrow.lasts_ms)).await
    }
}

impl Perform<ReadCurves> for SqliteStore {
    async fn perform(&self, arrow: ReadCurves) -> Result<Vec<Option<String>>, StoreError> {
        Ok(vec![None; arrow.queues.len()])
    }
}

impl Perform<ForgetQueues> for SqliteStore {
    async fn perform(&self, arrow: ForgetQueues) -> Result<Forgotten, StoreError> {
        self.writer.call(move |step| forget(step, arrow.from.as_deref())).await
    }
}

impl Perform<WalkQueues> for SqliteStore {
    async fn perform(&self, arrow: WalkQueues) -> Result<Walked, StoreError> {
        let walk = move |step: &Step<'_>| {
            let (holding, next) = lengths::holding(step, arrow.from.as_deref(), WALKED)?;
            Ok(Walked { holding, next })
        };
        self.reader.call(walk).await
    }
}

impl Perform<ReadSnapshot> for SqliteStore {
    async fn perform(&self, _: ReadSnapshot) -> Result<PublishedSnapshot, StoreError> {
        let read = |step: &Step<'_>| {
            Ok(PublishedSnapshot { now_ms: step.now_ms, bytes: notice(step, SNAPSHOT, SNAPSHOT_MS)?.map(Bytes::from) })
        };
        self.reader.call(read).await
    }
}

impl Perform<OldestJobs> for SqliteStore {
    async fn perform(&self, arrow: OldestJobs) -> Result<Vec<Option<i64>>, StoreError> {
        self.reader.call(move |step| arrow.queues.iter().map(|queue| lengths::oldest_ms(step, queue)).collect()).await
    }
}

impl Perform<AskForSamples> for SqliteStore {
    async fn perform(&self, _: AskForSamples) -> Result<(), StoreError> {
        self.writer.call(|step| announce(step, WATCHED, b"1", WATCHED_MS)).await
    }
}

fn sample(step: &Step<'_>, sample: &Sample) -> Result<Sampled, StoreError> {
    let known: i64 =
        step.sql("SELECT count(*) FROM (SELECT 1 FROM queues LIMIT ?1)")?.query_row([COUNTED], |row| row.get(0))?;
    let stat = |name: &str| -> Result<u64, StoreError> {
        let mut select = step.sql("SELECT value FROM stats WHERE name = ?1")?;
        Ok(select.query_row([name], |row| Ok(number(row.get_ref(0)?))).optional()?.unwrap_or(0))
    };
    let counters = Counters { processed: stat("processed")?, failed: stat("failed")? };
    let watched = notice(step, WATCHED, WATCHED_MS)?.is_some();
    let states = sample.queues.iter().map(|one| state(step, &one.queue)).collect::<Result<Vec<_>, _>>()?;
    let stirs = sample.totals || watched || states.iter().any(|state| state.length > 0);
    let totals = if sample.totals { Some(totals(step)?) } else { None };
    Ok(Sampled {
        now_ms: step.now_ms,
        known: count(known),
        workers: 0,
        watched,
        counters,
        queues: (stirs || sample.quiet != Some(counters)).then_some(states),
        totals,
    })
}

fn state(step: &Step<'_>, queue: &QueueName) -> Result<QueueState, StoreError> {
    let holds = step.finds("SELECT 1 FROM jobs WHERE queue = ?1 LIMIT 1", [queue.as_str()])?;
    let (arrived, departed) = lengths::counts(step, queue)?.unwrap_or((0, 0));
    // Another program may have written into the table.
    let length = if holds { count(arrived.saturating_sub(departed)).max(1) } else { 0 };
    let oldest_ms = if holds { lengths::oldest_ms(step, queue)? } else { None };
    Ok(QueueState {
        length,
        departed: Some(arrived.saturating_sub(stored(length))),
        oldest_ms,
        ..QueueState::default()
    })
}

fn totals(step: &Step<'_>) -> Result<Totals, StoreError> {
    let Paused { all: all_paused, queues: paused } = paused(step)?;
    let one = |sql| -> Result<u64, StoreError> { Ok(step.sql(sql)?.query_row([], |row| Ok(number(row.get_ref(0)?)))?) };
    let next_delayed_s =
        step.sql("SELECT min(second) FROM delayed")?.query_row([], |row| Ok(opt_int(row.get_ref(0)?)))?;
    let used = one("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")?;
    Ok(Totals {
        failed: failed::count(step)?,
        delayed_seconds: delayed_seconds(step)?,
        next_delayed_s,
        all_paused,
        paused,
        instances: one("SELECT count(*) FROM instances")?,
        promoter: leader::leader(step, Leadership::Scheduler)?,
        counted: one("SELECT count(*) FROM stats WHERE name > 'queue:' AND name < 'queue;'")?,
        evicted: None,
        memory: Some(Memory { used, most: None }),
    })
}

/// The seconds for which jobs are delayed. Each is found behind the one before, so that many jobs of one second cost nothing.
fn delayed_seconds(step: &Step<'_>) -> Result<u64, StoreError> {
    let sql = "WITH RECURSIVE found(second) AS (SELECT min(second) FROM delayed UNION ALL \
               SELECT (SELECT min(second) FROM delayed WHERE second > found.second) FROM found \
               WHERE found.second IS NOT NULL LIMIT ?1) SELECT count(second) FROM found";
    Ok(step.sql(sql)?.query_row([DELAYED_SECONDS], |row| Ok(number(row.get_ref(0)?)))?)
}

/// What stands under this name, if it is still to be believed: longer than it may stand it was written by another clock.
fn notice(step: &Step<'_>, name: &str, most_ms: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let mut select = step.sql("SELECT value FROM notices WHERE name = ?1 AND expires_ms > ?2 AND expires_ms <= ?3")?;
    let latest_ms = step.now_ms.saturating_add(stored(most_ms));
    Ok(select.query_row(params![name, step.now_ms, latest_ms], |row| Ok(bytes(row.get_ref(0)?))).optional()?)
}

fn announce(step: &Step<'_>, name: &str, value: &[u8], lasts_ms: u64) -> Result<(), StoreError> {
    let until_ms = step.now_ms.saturating_add(stored(lasts_ms));
    let sql = "INSERT OR REPLACE INTO notices (name, value, expires_ms) VALUES (?1, ?2, ?3)";
    step.change("notices", sql, params![name, value, until_ms])
}

fn forget(step: &Step<'_>, from: Option<&str>) -> Result<Forgotten, StoreError> {
    let names: Vec<String> = step
        .sql(
            "SELECT substr(name, 7) FROM stats WHERE name > 'queue:' || ?1 AND name < 'queue;' ORDER BY name LIMIT ?2",
        )?
        .query_map(params![from.unwrap_or_default(), FORGOTTEN], |row| Ok(text(row.get_ref(0)?)))?
        .collect::<Result<_, _>>()?;
    let next = names.last().filter(|_| stored(names.len()) == FORGOTTEN).cloned();
    let gone = "DELETE FROM stats WHERE name = 'queue:' || ?1 AND NOT EXISTS (SELECT 1 FROM queues WHERE name = ?1) \
                AND NOT EXISTS (SELECT 1 FROM jobs WHERE queue = ?1 LIMIT 1)";
    let mut queues = Vec::new();
    for name in names {
        if step.changed(gone, [&name])? > 0 {
            queues.push(QueueName::as_stored(&name));
        }
    }
    Ok(Forgotten { queues, next })
}
