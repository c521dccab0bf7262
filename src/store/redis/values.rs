//! Reads values of any size, in replies that are not: a server may close a connection on a long one
//! (`client-output-buffer-limit`), and on a slow path it comes too late.

use bytes::{Bytes, BytesMut};
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::reply;
use super::script::{Script, script};
use crate::store::error::StoreError;

static VALUES: Script = script!("values");

/// How many keys one call reads: at first, and at most. Working records hold jobs of any size.
const CHUNKS: (usize, usize) = (64, 1024);

/// How many bytes one reply brings at most.
const REPLY_BYTES: usize = 256 * 1024;

/// What stands under these keys; nothing for keys of another type.
pub(super) async fn read_all(connection: &Connection, keys: Vec<Bytes>) -> Result<Vec<Option<Bytes>>, StoreError> {
    let mut values: Vec<Option<Bytes>> = Vec::with_capacity(keys.len());
    let mut size = CHUNKS.0;
    while let Some(rest) = keys.get(values.len()..).filter(|rest| !rest.is_empty()) {
        let chunk = rest.get(..size).unwrap_or(rest);
        let mut call = connection.call();
        call.keys(chunk).number(REPLY_BYTES);
        let (replies, mut bytes) = (reply::list(connection.run(&VALUES, call).await?)?, 0);
        for (key, value) in chunk.iter().zip(replies.into_iter().chain(std::iter::repeat(Frame::Null))) {
            let value = match value {
                Frame::Number { .. } => read_long(connection, key).await?,
                value => reply::bytes(value)?,
            };
            bytes += value.as_ref().map_or(0, Bytes::len);
            values.push(value);
        }
        size = if bytes < REPLY_BYTES { (size * 2).min(CHUNKS.1) } else { (size / 2).max(1) };
    }
    Ok(values)
}

/// A long value. One that changes meanwhile is of no use, and anyone who acts on it compares it in the step.
async fn read_long(connection: &Connection, key: &Bytes) -> Result<Option<Bytes>, StoreError> {
    let mut whole = BytesMut::new();
    loop {
        let to = whole.len().saturating_add(REPLY_BYTES - 1);
        let part = part(connection, key, whole.len(), to).await?;
        whole.extend_from_slice(&part);
        // A shorter part is the last one; a longer one is all that is left.
        if part.len() != REPLY_BYTES {
            break;
        }
    }
    Ok(Some(whole.freeze()).filter(|whole| !whole.is_empty()))
}

/// A part of a value, both ends included; all that is left of it for a user without the right to read parts.
pub(super) async fn part(connection: &Connection, key: &Bytes, from: usize, to: usize) -> Result<Bytes, StoreError> {
    let range = vec![key.clone(), Bytes::from(from.to_string()), Bytes::from(to.to_string())];
    match connection.command_for("GETRANGE", range, to.saturating_sub(from)).await {
        Ok(frame) => Ok(reply::bytes(frame)?.unwrap_or_default()),
        Err(error) if error.is_transient() => Err(error),
        Err(_) => {
            let whole = reply::list(connection.command("MGET", vec![key.clone()]).await?)?.into_iter().next();
            let whole = whole.map(reply::bytes).transpose()?.flatten().unwrap_or_default();
            Ok(whole.slice(from.min(whole.len())..))
        }
    }
}
