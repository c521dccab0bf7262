//! Failures of one kind counted together.
//!
//! A scan walks from the newest record to older ones, in steps of bounded size, and keeps of each record only what counts it.
//! Anyone who serves many looks keeps the scan and lets it go on (`http/failed_index`).

use std::collections::HashMap;

use serde::Serialize;
use tokio::time::Instant;

use super::error::AdminError;
use super::failed::id;
use super::failed_search::FailedFilter;
use super::filter::{Group, at_ms};
use crate::client::moment::Moment;
use crate::job::{FailureView, PayloadView};
use crate::store::failed_part::{FailedPart, FailedSide, ReadFailed};
use crate::store::handle::Store;
use crate::store::inspection::FailedCount;
use crate::store::role::Admin;

/// How many records a step reads at most.
const STEP: usize = 200;
/// How many kinds are told apart. Failures of others are counted together.
const MOST: usize = 1000;

/// Failures of one kind.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct FailedGroup {
    /// Its id: `group:ID` in a filter means its jobs.
    pub id: String,
    /// The class of the jobs; `null`: they are no jobs.
    pub class: Option<String>,
    /// The class of the error.
    pub exception: Option<String>,
    /// The first line of the message; what differs is `N` (numbers), `ID` (ids) and `".."` (quoted parts).
    pub error: String,
    /// How many failed so.
    pub count: u64,
    /// When the first of them failed: RFC 3339 with milliseconds, in UTC.
    pub first: Option<String>,
    /// When the last of them failed.
    pub last: Option<String>,
    /// The id of the newest of them.
    pub newest: String,
}

/// Groups, those of most failures first.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct FailedGroups {
    /// How many failed jobs there were.
    pub count: u64,
    /// How many of them were looked at, from the newest on.
    pub scanned: u64,
    /// Were all of them looked at?
    pub complete: bool,
    /// The groups.
    pub groups: Vec<FailedGroup>,
    /// How many failures are in groups that are not listed.
    pub others: u64,
}

#[derive(Debug)]
struct Counted {
    group: Group,
    count: u64,
    first_ms: Option<i64>,
    last_ms: Option<i64>,
    newest: String,
}

/// A walk over the failed list that counts.
#[derive(Debug)]
pub struct GroupScan {
    filter: FailedFilter,
    /// How long the list was when the walk began.
    length: u64,
    /// Behind the next record that is read.
    end: i64,
    step: usize,
    scanned: u64,
    most: u64,
    counted: HashMap<String, Counted>,
    others: u64,
    /// The last record of the list, and where it stands.
    newest: Option<(i64, String)>,
}

impl GroupScan {
    /// Begins at the newest record; of all records it looks at the newest `most`.
    ///
    /// # Errors
    /// Fails when the store cannot be reached.
    pub async fn begin(store: &Store<Admin>, filter: FailedFilter, most: u64) -> Result<Self, AdminError> {
        let length = store.run(FailedCount).await?;
        let end = i64::try_from(length).unwrap_or(i64::MAX);
        let (scanned, counted) = (0, HashMap::new());
        Ok(Self { filter, length, end, step: 1, scanned, most, counted, others: 0, newest: None })
    }

    /// Looks at the next records, about 200; false when it is at its end.
    ///
    /// # Errors
    /// Fails when the store cannot be reached; the walk can go on.
    pub async fn go_on(&mut self, store: &Store<Admin>) -> Result<bool, AdminError> {
        if self.is_done() {
            return Ok(false);
        }
        let left = usize::try_from(self.most - self.scanned).unwrap_or(usize::MAX);
        let read = ReadFailed { side: FailedSide::Before(self.end), most: self.step.min(left) };
        let FailedPart { position, records } = store.run(read).await?;
        if self.newest.is_none() {
            self.newest = records.first().map(|record| (position, id(record)));
        }
        for record in &records {
            self.count(record);
        }
        self.scanned += records.len() as u64;
        let last = position - i64::try_from(records.len()).unwrap_or(i64::MAX) + 1;
        self.end = if records.is_empty() { 0 } else { last };
        self.step = (self.step * 2).min(STEP);
        Ok(!self.is_done())
    }

    /// Counts what failed since. False: the list changed below its end, so that what was counted may not be there any more.
    ///
    /// # Errors
    /// Fails when the store cannot be reached; what was counted stays.
    pub async fn follow(&mut self, store: &Store<Admin>) -> Result<bool, AdminError> {
        loop {
            let known = self.newest.clone();
            let mut start = 0;
            if let Some((position, known)) = &known {
                let read = ReadFailed { side: FailedSide::From(*position), most: 1 };
                if store.run(read).await?.records.first().is_none_or(|record| id(record) != *known) {
                    return Ok(false);
                }
                start = position + 1;
            }
            let records = store.run(ReadFailed { side: FailedSide::From(start), most: STEP }).await?.records;
            if records.is_empty() {
                return Ok(true);
            }
            for (position, record) in (start..).zip(records) {
                self.count(&record);
                self.newest = Some((position, id(&record)));
                self.scanned += 1;
                self.length += 1;
            }
        }
    }

    /// Was all looked at that it may look at?
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.end <= 0 || self.scanned >= self.most
    }

    fn count(&mut self, record: &[u8]) {
        let view = FailureView::parse(record);
        if !self.filter.is_meant(record, &view) {
            return;
        }
        let job = view.payload.as_ref().and_then(|payload| PayloadView::parse(payload).ok());
        let group = Group::of(&view, job.as_ref());
        let at = at_ms(&view);
        if !self.counted.contains_key(&group.id) && self.counted.len() >= MOST {
            self.others += 1;
            return;
        }
        let counted = self.counted.entry(group.id.clone()).or_insert_with(|| Counted {
            group,
            count: 0,
            first_ms: at,
            last_ms: at,
            newest: id(record),
        });
        counted.count += 1;
        if at > counted.last_ms {
            (counted.last_ms, counted.newest) = (at, id(record));
        }
        counted.first_ms = counted.first_ms.into_iter().chain(at).min();
    }

    /// What was counted so far, at most so many groups.
    #[must_use]
    pub fn groups(&self, limit: usize) -> FailedGroups {
        let mut all: Vec<&Counted> = self.counted.values().collect();
        all.sort_by(|one, other| {
            (other.count, other.last_ms, &other.group.id).cmp(&(one.count, one.last_ms, &one.group.id))
        });
        let listed = limit.min(all.len());
        let rest: u64 = all[listed..].iter().map(|counted| counted.count).sum();
        let date = |ms: Option<i64>| Moment::of_ms(ms?).map(Moment::rfc3339_ms);
        let groups = all[..listed].iter().map(|counted| FailedGroup {
            id: counted.group.id.clone(),
            class: counted.group.class.clone(),
            exception: counted.group.exception.clone(),
            error: counted.group.error.clone(),
            count: counted.count,
            first: date(counted.first_ms),
            last: date(counted.last_ms),
            newest: counted.newest.clone(),
        });
        FailedGroups {
            count: self.length,
            scanned: self.scanned,
            complete: self.end <= 0,
            groups: groups.collect(),
            others: self.others + rest,
        }
    }
}

impl FailedGroups {
    /// The same with at most so many groups.
    #[must_use]
    pub fn first(&self, limit: usize) -> Self {
        let rest = self.groups.iter().skip(limit).map(|group| group.count).sum::<u64>();
        let groups = self.groups.iter().take(limit).cloned().collect();
        Self { groups, others: self.others + rest, ..*self }
    }
}

/// The groups among the newest `most` that match, as far as they are counted by `until`. `progress` is told how many were looked
/// at.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn groups(
    store: &Store<Admin>,
    filter: FailedFilter,
    most: u64,
    limit: usize,
    until: Option<Instant>,
    mut progress: impl FnMut(u64),
) -> Result<FailedGroups, AdminError> {
    let mut scan = GroupScan::begin(store, filter, most).await?;
    while scan.go_on(store).await? {
        progress(scan.scanned);
        if until.is_some_and(|until| Instant::now() >= until) {
            break;
        }
    }
    Ok(scan.groups(limit))
}
