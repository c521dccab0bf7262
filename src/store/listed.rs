//! Jobs and working records as listings show them: of a long one only the beginning is read, however long it is, so that a look costs no more
//! than it shows.

use std::borrow::Cow;

use bytes::Bytes;

use super::role::{Admin, arrow};
use super::working::{MARK, WorkingRecord, claim};
use crate::job::{Beginning, Identity, PayloadView, QueueName, WorkerName};

/// How many bytes of a job or of a working record a listing reads at most.
pub const LISTED_BYTES: usize = 20 * 1024;

/// A list of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobList {
    /// Those of a queue.
    Queue(QueueName),
    /// Those of a delayed second.
    Delayed(i64),
}

/// The jobs at positions `start` to `stop` of a list, both inclusive and from 0, each cut to [`LISTED_BYTES`].
///
/// # Errors
/// Fails when the store cannot be reached.
#[derive(Debug, Clone)]
pub struct ListJobs {
    /// The list.
    pub list: JobList,
    /// The first position.
    pub start: i64,
    /// The last position. The caller bounds how many there are.
    pub stop: i64,
}

arrow!(ListJobs, "list_jobs", Reads -> Vec<ListedJob>; Admin);

/// A job, or its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedJob {
    /// Its bytes, at most [`LISTED_BYTES`] of them.
    pub bytes: Bytes,
    /// How many bytes it has.
    pub length: u64,
}

impl ListedJob {
    /// All of its bytes; `None` if they were not read.
    #[must_use]
    pub fn whole(&self) -> Option<&Bytes> {
        (self.bytes.len() as u64 >= self.length).then_some(&self.bytes)
    }

    /// Its class and the queue that it names, if its bytes are a job.
    #[must_use]
    pub fn class_and_queue(&self) -> Option<(String, Option<String>)> {
        if let Some(whole) = self.whole() {
            let view = PayloadView::parse(whole).ok()?;
            return Some((view.class.into_owned(), view.queue.map(Cow::into_owned)));
        }
        let members = Beginning::parse(&self.bytes);
        Some((members.member("class")?, members.member("queue")))
    }

    /// May these be all of its bytes? Of a long one the beginning and the length are compared.
    #[must_use]
    pub fn is(&self, payload: &[u8]) -> bool {
        payload.len() as u64 == self.length && payload.starts_with(&self.bytes)
    }
}

impl WorkingRecord {
    /// Reads the beginning of a record that has so many bytes. What stands beyond is absent; the payload is its beginning.
    #[must_use]
    pub fn parse_beginning(worker: &WorkerName, begin: Bytes, length: u64) -> Self {
        let left_out = length.saturating_sub(begin.len() as u64);
        if left_out == 0 {
            return Self::parse(worker, begin);
        }
        let (claim, members) = (claim(&begin), Beginning::parse(&begin));
        let identity = claim.as_ref().map(|claim| {
            let stored = || {
                let id: String = members.member("id")?;
                let later = members.member("later").unwrap_or(0);
                Identity::stored(&id, members.member("attempt")?, members.member("redelivered")?, later)
            };
            stored().unwrap_or_else(|| Identity::first(claim))
        });
        let payload = members.raw("payload").or_else(|| members.cut("payload"));
        let payload = payload.map(|payload| payload.strip_prefix(&[MARK]).unwrap_or(payload));
        Self {
            worker: worker.clone(),
            identity,
            queue: members.member::<String>("queue").map(|queue| QueueName::as_stored(&queue)),
            run_at: members.member("run_at"),
            payload: payload.map(Bytes::copy_from_slice),
            claim,
            raw: begin,
            left_out,
        }
    }

    /// Is this the record of which the other one, from a listing, is the beginning?
    #[must_use]
    pub fn continues(&self, listed: &Self) -> bool {
        let beginning = listed.payload.as_deref().unwrap_or_default();
        (&self.worker, &self.claim, &self.run_at) == (&listed.worker, &listed.claim, &listed.run_at)
            // A claim names one record. Without one the jobs are compared.
            && (self.claim.is_some() || self.payload.as_deref().unwrap_or_default().starts_with(beginning))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_long_record_tells_all_but_its_arguments() {
        let worker = WorkerName::parse("h-windlass:7+1:*");
        let long = format!(
            r#"{{"claim":"00ff-0-1-2","worker":"w","id":"j","attempt":3,"redelivered":2,"later":1,"run_at":"x","queue":"q","payload":{{"class":"Add","args":["{}"]}}}}"#,
            "y".repeat(1000)
        );
        let begin =
            |raw: &str, length| WorkingRecord::parse_beginning(&worker, Bytes::copy_from_slice(raw.as_bytes()), length);
        let cut = begin(&long[..200], 1200);
        assert_eq!((cut.left_out, cut.class().as_deref()), (1000, Some("Add")));
        assert_eq!((cut.queue.unwrap().as_str(), cut.run_at.as_deref()), ("q", Some("x")));
        assert_eq!(cut.identity.unwrap().encode(), "j 3 2 1");
        assert!(cut.payload.unwrap().starts_with(br#"{"class":"Add","args":["yy"#));
        assert_eq!(begin(&long, long.len() as u64), WorkingRecord::parse(&worker, Bytes::from(long.clone())));
        let foreign = begin(r#"{"run_at":"Tue","payload":{"class":"Add","args":["#, 99);
        assert_eq!((foreign.claim.is_none(), foreign.class().as_deref()), (true, Some("Add")));
        assert_eq!(begin("junk", 99).payload, None);
    }
}
