//! Reads the beginnings of jobs for listings.

use bytes::Bytes;
use rusqlite::{Row, params};

use super::engine::SqliteStore;
use super::lengths;
use super::number::{count, stored};
use super::step::Step;
use super::value::{bytes, opt_int};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::listed::{JobList, LISTED_BYTES, ListJobs, ListedJob};

impl Perform<ListJobs> for SqliteStore {
    async fn perform(&self, arrow: ListJobs) -> Result<Vec<ListedJob>, StoreError> {
        self.reader.call(move |step| list(step, &arrow)).await
    }
}

fn list(step: &Step<'_>, arrow: &ListJobs) -> Result<Vec<ListedJob>, StoreError> {
    let Some((offset, limit)) = lengths::range(i64::MAX, arrow.start, arrow.stop) else { return Ok(Vec::new()) };
    let read = |row: &Row<'_>| {
        let length = opt_int(row.get_ref(1)?).map_or(0, count);
        Ok(ListedJob { bytes: Bytes::from(bytes(row.get_ref(0)?)), length })
    };
    let rows = match &arrow.list {
        JobList::Queue(queue) => step
            .sql(
                "SELECT substr(payload, 1, ?4), octet_length(payload) FROM jobs WHERE queue = ?1 \
                 ORDER BY position LIMIT ?2 OFFSET ?3",
            )?
            .query_map(params![queue.as_str(), limit, offset, stored(LISTED_BYTES)], read)?
            .collect::<Result<_, _>>()?,
        JobList::Delayed(second) => step
            .sql(
                "SELECT substr(payload, 1, ?4), octet_length(payload) FROM delayed WHERE second = ?1 \
                 ORDER BY place LIMIT ?2 OFFSET ?3",
            )?
            .query_map(params![second, limit, offset, stored(LISTED_BYTES)], read)?
            .collect::<Result<_, _>>()?,
    };
    Ok(rows)
}
