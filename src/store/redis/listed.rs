//! Reads the beginnings of jobs and records for listings.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::reply;
use super::script::{Script, script};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::listed::{JobList, LISTED_BYTES, ListJobs, ListedJob};

static HEADS: Script = script!("heads");
static LISTED: Script = script!("page", "listed");

/// How many bytes the reply to one call has at most, and how many keys it reads.
const REPLY: (usize, usize) = (2 << 20, 256);

impl Perform<ListJobs> for RedisStore {
    async fn perform(&self, arrow: ListJobs) -> Result<Vec<ListedJob>, StoreError> {
        let keys = self.connection.keys();
        let list = match &arrow.list {
            JobList::Queue(queue) => keys.queue(queue),
            JobList::Delayed(second) => keys.delayed(*second),
        };
        let jobs = beginnings(&self.connection, list, arrow.start, arrow.stop, LISTED_BYTES).await?;
        Ok(jobs.into_iter().map(|(bytes, length)| ListedJob { bytes, length }).collect())
    }
}

/// The members from `start` to `stop` of a list, from 0 and both inclusive: of each up to `longest` bytes, and how many it has.
pub(super) async fn beginnings(
    connection: &Connection,
    list: Bytes,
    start: i64,
    stop: i64,
    longest: usize,
) -> Result<Vec<(Bytes, u64)>, StoreError> {
    let (mut members, mut start) = (Vec::new(), start.max(0));
    while start <= stop {
        let mut call = connection.call();
        call.key(list.clone()).number(start).number(stop).number(longest);
        let mut reply = reply::list(connection.run(&LISTED, call).await?)?.into_iter();
        let rest = reply::bytes(reply.next().unwrap_or(Frame::Null))?.as_deref().and_then(reply::parsed);
        let mut told = reply::list(reply.next().unwrap_or(Frame::Null))?.into_iter();
        while let (Some(bytes), Some(length)) = (told.next(), told.next()) {
            members.push((reply::bytes(bytes)?.unwrap_or_default(), reply::count(length)?));
        }
        match rest {
            Some(rest) => start = rest,
            None => break,
        }
    }
    Ok(members)
}

/// What stands under these keys, and how many bytes it has, if these are more than were read.
pub(super) async fn heads(
    connection: &Connection,
    keys: &[Bytes],
    longest: usize,
) -> Result<Vec<Option<(Bytes, u64)>>, StoreError> {
    let mut values = Vec::with_capacity(keys.len());
    for chunk in keys.chunks((REPLY.0 / longest.max(1)).clamp(1, REPLY.1)) {
        let mut call = connection.call();
        call.keys(chunk).number(longest);
        let replies = reply::list(connection.run(&HEADS, call).await?)?;
        for value in replies.into_iter().chain(std::iter::repeat(Frame::Null)).take(chunk.len()) {
            values.push(match value {
                Frame::Array { data, .. } => {
                    let mut cut = data.into_iter();
                    let (head, length) = (cut.next().unwrap_or(Frame::Null), cut.next().unwrap_or(Frame::Null));
                    reply::bytes(head)?.zip(Some(reply::count(length)?))
                }
                value => reply::bytes(value)?.map(|value| (value.clone(), value.len() as u64)),
            });
        }
    }
    Ok(values)
}
