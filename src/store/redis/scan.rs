//! Looks through all keys of the server, for what no index names. Only what people ask for may do so.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::reply;
use crate::store::error::StoreError;

/// How many keys the server looks at in one step.
const STEP: &str = "1000";

/// All keys of the namespace that go on with `kind` and a colon, each once and in order.
pub(super) async fn keys(connection: &Connection, kind: &str) -> Result<Vec<Bytes>, StoreError> {
    some_keys(connection, kind, usize::MAX, |_| true).await
}

/// The same, but at most so many of those that are wanted.
pub(super) async fn some_keys(
    connection: &Connection,
    kind: &str,
    most: usize,
    is_wanted: impl Fn(&Bytes) -> bool,
) -> Result<Vec<Bytes>, StoreError> {
    let pattern = pattern(&connection.keys().prefix(), kind);
    let (mut found, mut cursor) = (Vec::new(), Bytes::from_static(b"0"));
    loop {
        let arguments = vec![
            cursor,
            Bytes::from_static(b"MATCH"),
            pattern.clone(),
            Bytes::from_static(b"COUNT"),
            Bytes::from_static(STEP.as_bytes()),
        ];
        let mut reply = reply::list(connection.command("SCAN", arguments).await?)?.into_iter();
        let (Some(next), Some(keys)) = (reply.next(), reply.next()) else { break };
        found.extend(reply::strings(keys)?.into_iter().filter(&is_wanted));
        cursor = reply::bytes(next)?.unwrap_or_default();
        if cursor.is_empty() || &cursor[..] == b"0" {
            break;
        }
        if found.len() > most {
            // The server may tell a key twice.
            found.sort();
            found.dedup();
            if found.len() > most {
                break;
            }
        }
    }
    found.sort();
    found.dedup();
    found.truncate(most);
    Ok(found)
}

/// How many members of a set the server tells in one reply, roughly.
const MEMBERS: &str = "1000";

/// The command that reads the members of a set from a cursor on.
pub(super) fn members_from(key: &Bytes, cursor: Bytes) -> (&'static str, Vec<Bytes>) {
    let count = [&b"COUNT"[..], MEMBERS.as_bytes()].map(Bytes::from_static);
    ("SSCAN", [key.clone(), cursor].into_iter().chain(count).collect())
}

/// The command that reads the fields of a hash, each followed by its value, from a cursor on.
pub(super) fn fields_from(key: &Bytes, cursor: Bytes) -> (&'static str, Vec<Bytes>) {
    let (_, arguments) = members_from(key, cursor);
    ("HSCAN", arguments)
}

/// The cursor of the beginning of a set or of a hash.
pub(super) const BEGIN: Bytes = Bytes::from_static(b"0");

/// The members in a reply to [`members_from`], and the cursor of the rest if there is one.
pub(super) fn read_members(reply: Frame) -> Result<(Vec<Bytes>, Option<Bytes>), StoreError> {
    let mut reply = reply::list(reply)?.into_iter();
    let (Some(next), Some(members)) = (reply.next(), reply.next()) else { return Ok((Vec::new(), None)) };
    let next = reply::bytes(next)?.filter(|cursor| !cursor.is_empty() && *cursor != BEGIN);
    Ok((reply::strings(members)?, next))
}

/// Passes on each member of a set, some at a time: nobody bounds its size, and the server does nothing else while it
/// tells all of it. A member may come twice.
pub(super) async fn members(
    connection: &Connection,
    key: &Bytes,
    mut each: impl FnMut(Bytes),
) -> Result<(), StoreError> {
    let mut cursor = BEGIN;
    loop {
        let (name, arguments) = members_from(key, cursor);
        let (some, next) = read_members(connection.command(name, arguments).await?)?;
        some.into_iter().for_each(&mut each);
        match next {
            Some(next) => cursor = next,
            None => return Ok(()),
        }
    }
}

/// `<ns>:<kind>:*`, with what the pattern language would take for its own escaped in the namespace.
fn pattern(prefix: &[u8], kind: &str) -> Bytes {
    let mut pattern = Vec::with_capacity(prefix.len() + kind.len() + 2);
    for byte in prefix {
        if b"*?[]\\^-".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.extend_from_slice(kind.as_bytes());
    pattern.extend_from_slice(b":*");
    Bytes::from(pattern)
}
