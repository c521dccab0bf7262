//! Reads a batch that is set aside and too long for the reply of the step that sets it aside.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::{inspect, reply};
use crate::store::error::StoreError;

/// So many members of the outbox, which are too long for one reply, as long as the batch of this number of this source is there.
pub(super) async fn read_long(
    connection: &Connection,
    (source, number): (&Bytes, u64),
    members: i64,
) -> Result<Vec<Bytes>, StoreError> {
    let keys = connection.keys();
    let read = inspect::range(connection, keys.outbox(), 0, members - 1).await?;
    let named = vec![keys.moving(), Bytes::from_static(b"id"), Bytes::from_static(b"number")];
    let mut replies = connection.commands(vec![("HMGET", named), ("LLEN", vec![keys.outbox()])]).await?.into_iter();
    let mut next = || replies.next().unwrap_or(Ok(Frame::Null));
    let now = reply::strings(next()?)?;
    let stands = now.first() == Some(source) && now.get(1).and_then(|now| reply::parsed(now)) == Some(number);
    if !stands || reply::number(next()?)? != members || i64::try_from(read.len()) != Ok(members) {
        // Another `store copy` from here has let it go; the next call finds what is set aside now.
        return Err(StoreError::Unavailable("the batch that is set aside was let go while it was read".to_owned()));
    }
    Ok(read)
}
