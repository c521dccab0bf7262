//! Failed jobs: list, show and remove them.
//!
//! A failed job is addressed by its position, which changes when others are removed, by its failure's id, or by the id of the
//! job, which logs and listings of runs show. The failure's id is a hash of the record's raw bytes in 16 hexadecimal digits; its first `MIN_ID_DIGITS` or more digits are enough.
//! Records of equal bytes share an id and are interchangeable.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Serialize;

use super::dates::rfc3339;
use super::error::AdminError;
use super::failed_address::{Address, MIN_ID_DIGITS};
use super::id_text::begins;
use super::job_view::JobView;
use super::listing::{SHOWN, cut, positions};
use crate::job::{FailureView, digest, last_words};
use crate::store::failed_part::{FAILED_READ_BYTES, FailedSide, ReadFailed};
use crate::store::handle::Store;
use crate::store::inspection::{ClearFailed, FailedCount, FailedRecord, RemoveFailed};
use crate::store::role::Admin;

/// How many records are read at a time.
pub(super) const PAGE: usize = 200;

/// How many lines of a backtrace a listing holds.
const LISTED_LINES: usize = 200;

/// How many digits of an id the listings for people show.
pub const SHOWN_ID: usize = 12;

/// A failure record.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct FailedView {
    /// Its position, from 0, the oldest first. It changes when others are removed.
    pub position: i64,
    /// Its id, which never changes.
    pub id: String,
    /// The queue the job came from.
    pub queue: Option<String>,
    /// The job's class.
    pub class: Option<String>,
    /// Its arguments.
    #[cfg_attr(test, schema(value_type = Option<Vec<serde_json::Value>>))]
    pub args: Option<Box<serde_json::value::RawValue>>,
    /// How long the arguments are, if they are too long for a listing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_left_out: Option<String>,
    /// The error's class.
    pub exception: Option<String>,
    /// The error's message.
    pub error: Option<String>,
    /// What led to it, a line each.
    pub backtrace: Vec<String>,
    /// The worker that ran it.
    pub worker: Option<String>,
    /// When it failed: RFC 3339 with milliseconds, in UTC. `None`: the record has no date that any writer has.
    pub failed_at: Option<String>,
    /// When resque-web retried it, if it did; as `failed_at`.
    pub retried_at: Option<String>,
    /// The job's id, if Windlass ran it: the same in every run of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Which attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// How often the job had been redelivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redelivered: Option<u32>,
    /// How long the run was, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// Somebody cancelled that run.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
    /// The bytes in place of the job, if they are not a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Why they are not a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Some of the failed jobs.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct FailedPage {
    /// How many there are in all.
    pub count: u64,
    /// The requested records: oldest first by position, newest first by what they match.
    pub failed: Vec<FailedView>,
    /// Do more match than were asked for?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<bool>,
}

/// A failed job that was found by its address.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FoundFailure {
    /// Its position when it was found.
    pub position: i64,
    /// Its id.
    pub id: String,
    /// The record's bytes.
    pub record: Bytes,
}

/// The id of a record: FNV-1a over its bytes, then murmur3's finalizer, which spreads the influence of the last bytes
/// over all digits. The hash is not cryptographic; a collision is reported as an ambiguous id.
#[must_use]
pub fn id(record: &[u8]) -> String {
    let mut hash = digest::spread(digest::fnv1a(record.iter().copied()));
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    format!("{:016x}", hash ^ (hash >> 33))
}

/// The newest failed jobs, the newest last.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn newest(store: &Store<Admin>, count: usize) -> Result<Vec<FailedView>, AdminError> {
    let (mut views, mut end) = (Vec::new(), i64::MAX);
    while views.len() < count {
        let part = store.run(ReadFailed { side: FailedSide::Before(end), most: count - views.len() }).await?;
        let newest = -1 - i64::try_from(views.len()).unwrap_or(i64::MAX);
        let positions = (0..).map(|older| newest - older);
        views.extend(part.records.iter().zip(positions).map(|(record, position)| FailedView::of(position, record)));
        end = part.position - i64::try_from(part.records.len()).unwrap_or(i64::MAX) + 1;
        if part.records.is_empty() || end <= 0 {
            break;
        }
    }
    views.reverse();
    Ok(views)
}

impl FailedView {
    pub(super) fn of(position: i64, record: &[u8]) -> Self {
        let view = FailureView::parse(record);
        let job = view.payload.as_ref().map(|payload| JobView::of(payload));
        let (class, args, raw, problem) = match job {
            Some(job) => (job.class, job.args, job.raw, job.problem),
            None => {
                (None, None, Some(String::from_utf8_lossy(record).into_owned()), Some("the record holds no job".into()))
            }
        };
        Self {
            position,
            id: id(record),
            queue: view.queue,
            class,
            args,
            args_left_out: None,
            exception: view.exception,
            error: view.error,
            backtrace: view.backtrace,
            worker: view.worker,
            failed_at: rfc3339(view.failed_at.as_deref()),
            retried_at: rfc3339(view.retried_at.as_deref()),
            job_id: view.identity.as_ref().map(|identity| identity.id.to_string()),
            attempt: view.identity.as_ref().map(|identity| identity.attempt),
            redelivered: view.identity.as_ref().map(|identity| identity.redelivered),
            ms: view.ms,
            cancelled: view.cancelled,
            raw,
            problem,
        }
    }
}

impl FailedView {
    /// What its program said last, if it ended with an error and said something.
    #[must_use]
    pub fn said_last(&self) -> Option<&str> {
        last_words(self.exception.as_deref(), &self.backtrace)
    }

    /// A record as a listing shows it.
    pub(super) fn listed_of(position: i64, record: &[u8]) -> Self {
        Self::of(position, record).listed()
    }

    /// What is long is cut, for a listing.
    fn listed(mut self) -> Self {
        if let Some(args) = self.args.take_if(|args| args.get().len() > SHOWN) {
            self.args_left_out = Some(format!("({} bytes)", args.get().len()));
        }
        self.backtrace.truncate(LISTED_LINES);
        [&mut self.error, &mut self.raw].into_iter().flatten().chain(&mut self.backtrace).for_each(cut);
        self
    }
}

impl FoundFailure {
    /// The record as listings show it.
    #[must_use]
    pub fn view(&self) -> FailedView {
        FailedView::of(self.position, &self.record)
    }
}

/// How many failed jobs there are.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn count(store: &Store<Admin>) -> Result<u64, AdminError> {
    Ok(store.run(FailedCount).await?)
}

/// The records at positions `start` to `stop`, both inclusive; negative ones count from the end.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn list(store: &Store<Admin>, start: i64, stop: i64) -> Result<FailedPage, AdminError> {
    let count = store.run(FailedCount).await?;
    let (first, last) = positions(count, start, stop);
    let mut failed = Vec::new();
    let mut next = first;
    while next <= last {
        let most = usize::try_from(last.saturating_sub(next).saturating_add(1)).unwrap_or(usize::MAX).min(PAGE);
        let records = store.run(ReadFailed { side: FailedSide::From(next), most }).await?.records;
        if records.is_empty() {
            break;
        }
        for record in &records {
            failed.push(FailedView::of(next, record).listed());
            next += 1;
        }
    }
    Ok(FailedPage { count, failed, more: None })
}

/// Finds a failed job by its position (negative ones count from the end), the first digits of its id, or the id of the job.
///
/// # Errors
/// Fails if there is none, or if several are meant.
pub async fn find(store: &Store<Admin>, address: &str) -> Result<FoundFailure, AdminError> {
    let found = find_each(store, &[address]).await?.pop();
    found.ok_or_else(|| AdminError::NotFailed(address.to_owned()))
}

/// The same for several, each once, in the order in which they are named. The list is gone through once for all ids.
///
/// # Errors
/// Fails if there is none for one of them, or if one means several.
pub async fn find_each<A: AsRef<str>>(store: &Store<Admin>, addresses: &[A]) -> Result<Vec<FoundFailure>, AdminError> {
    let parsed = addresses.iter().map(|address| Address::parse(address.as_ref())).collect::<Result<Vec<_>, _>>()?;
    let mut found = search(store, &parsed).await?;
    // The id of a job begins with such digits, too.
    let jobs: Vec<(usize, Address)> = (0..found.len())
        .filter(|index| found[*index].is_none())
        .filter_map(|index| match &parsed[index] {
            Address::Id(digits) => Some((index, Address::Job(digits.clone()))),
            _ => None,
        })
        .collect();
    if !jobs.is_empty() {
        let (indexes, jobs): (Vec<usize>, Vec<Address>) = jobs.into_iter().unzip();
        for (index, one) in indexes.into_iter().zip(search(store, &jobs).await?) {
            found[index] = one;
        }
    }
    let mut all: Vec<FoundFailure> = Vec::with_capacity(found.len());
    for (one, address) in found.into_iter().zip(addresses) {
        let one = one.ok_or_else(|| AdminError::NotFailed(address.as_ref().to_owned()))?;
        if !all.iter().any(|other| other.position == one.position) {
            all.push(one);
        }
    }
    Ok(all)
}

/// What these addresses mean, in their order; the list is gone through once.
async fn search(store: &Store<Admin>, parsed: &[Address]) -> Result<Vec<Option<FoundFailure>>, AdminError> {
    let mut found: Vec<Option<FoundFailure>> = vec![None; parsed.len()];
    // By the digits that every address of an id has, the addresses that begin with them.
    let mut wanted: HashMap<&str, Vec<(usize, &str)>> = HashMap::new();
    // By the id of a job or its beginning, the addresses that name it.
    let mut of_jobs: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut length = None;
    for (index, address) in parsed.iter().enumerate() {
        match address {
            Address::Id(prefix) => wanted.entry(&prefix[..MIN_ID_DIGITS]).or_default().push((index, prefix)),
            Address::Job(job) => of_jobs.entry(job).or_default().push(index),
            Address::Position(position) => {
                if length.is_none() {
                    length = Some(i64::try_from(store.run(FailedCount).await?).unwrap_or(i64::MAX));
                }
                let position = if *position < 0 { length.unwrap_or(0) + position } else { *position };
                if position >= 0 {
                    let part = store.run(ReadFailed { side: FailedSide::From(position), most: 1 }).await?;
                    let record = part.records.into_iter().next();
                    found[index] = record.map(|record| FoundFailure { position, id: id(&record), record });
                }
            }
        }
    }
    let mut start = 0;
    while !(wanted.is_empty() && of_jobs.is_empty()) {
        let page = store.run(ReadFailed { side: FailedSide::From(start), most: PAGE }).await?.records;
        for (position, record) in (start..).zip(&page) {
            let id = id(record);
            let by_id = wanted.get(&id[..MIN_ID_DIGITS]).into_iter().flatten();
            let mut meant: Vec<usize> =
                by_id.filter(|(_, prefix)| id.starts_with(prefix)).map(|(index, _)| *index).collect();
            // Records are parsed only if somebody names a job.
            if !of_jobs.is_empty()
                && let Some(identity) = FailureView::parse(record).identity
            {
                let is_its = |job: &str| *identity.id == *job || begins(&identity.id, job);
                meant.extend(of_jobs.iter().filter(|(job, _)| is_its(job)).flat_map(|(_, indexes)| indexes));
            }
            for index in meant {
                match &found[index] {
                    // Equal records are interchangeable: the first one is meant.
                    Some(first) if first.record == *record => {}
                    Some(first) => {
                        let second = FoundFailure { position, id: id.clone(), record: record.clone() };
                        return Err(ambiguous(parsed[index].text(), first, &second));
                    }
                    None => found[index] = Some(FoundFailure { position, id: id.clone(), record: record.clone() }),
                }
            }
        }
        if page.len() < PAGE && page.iter().map(Bytes::len).sum::<usize>() < FAILED_READ_BYTES {
            break;
        }
        start += i64::try_from(page.len()).unwrap_or(i64::MAX);
    }
    Ok(found)
}

/// These digits begin the ids of two.
pub(super) fn ambiguous(digits: &str, first: &FoundFailure, second: &FoundFailure) -> AdminError {
    let candidates = [first, second].map(|one| format!("{} (position {})", one.id, one.position));
    AdminError::Ambiguous { name: digits.to_owned(), candidates: candidates.to_vec() }
}

/// Removes a failed job; false if it is already gone.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn remove(store: &Store<Admin>, found: &FoundFailure) -> Result<bool, AdminError> {
    let records = vec![FailedRecord { record: found.record.clone(), position: Some(found.position) }];
    Ok(store.run(RemoveFailed { records }).await?.contains(&true))
}

/// Removes all failed jobs, and returns how many there were.
///
/// # Errors
/// Fails when the store cannot be reached.
pub async fn remove_all(store: &Store<Admin>) -> Result<u64, AdminError> {
    Ok(store.run(ClearFailed).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_every_byte() {
        let record = br#"{"worker":"w","queue":"q","failed_at":"x"}"#;
        let first = id(record);
        assert_eq!(first.len(), 16);
        assert_eq!(first, id(record));
        let mut ids = std::collections::HashSet::from([first[..MIN_ID_DIGITS].to_owned()]);
        for at in 0..record.len() {
            let mut other = record.to_vec();
            other[at] ^= 1;
            assert!(ids.insert(id(&other)[..MIN_ID_DIGITS].to_owned()), "byte {at}");
        }
    }

    #[test]
    fn records_of_strangers_are_shown_as_far_as_they_go() {
        let go = FailedView::of(
            3,
            br#"{"failed_at":"x","payload":{"class":"X","args":null},"exception":"Error","error":"e","backtrace":null,"worker":"w:1-0:q","queue":"q"}"#,
        );
        assert_eq!((go.class.as_deref(), go.queue.as_deref(), go.backtrace.len()), (Some("X"), Some("q"), 0));
        let junk = FailedView::of(0, b"junk");
        assert_eq!((junk.raw.as_deref(), junk.problem.as_deref()), (Some("junk"), Some("the record holds no job")));
    }
}
