//! Looks through all keys of the server, for what no index names. Only what people ask for may do so.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::reply;
use crate::store::error::StoreError;

/// How many keys the server looks at in one step.
pub(super) const STEP: usize = 1000;

/// All keys of the namespace that go on with `kind` and a colon, each once and in order.
pub(super) async fn keys(connection: &Connection, kind: &str) -> Result<Vec<Bytes>, StoreError> {
    let (mut found, mut cursor) = (Vec::new(), BEGIN);
    loop {
        let (some, next) = keys_from(connection, kind, cursor).await?;
        found.extend(some);
        match next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Those in one step of the server, each once and in order, and the cursor of the rest if there is one.
pub(super) async fn keys_from(
    connection: &Connection,
    kind: &str,
    cursor: Bytes,
) -> Result<(Vec<Bytes>, Option<Bytes>), StoreError> {
    let pattern = pattern(&connection.keys().prefix(), kind);
    let options = [Bytes::from_static(b"MATCH"), pattern, Bytes::from_static(b"COUNT"), Bytes::from(STEP.to_string())];
    let reply = connection.command("SCAN", std::iter::once(cursor).chain(options).collect()).await?;
    let (mut keys, next) = read_members(reply)?;
    keys.sort();
    keys.dedup();
    Ok((keys, next))
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

/// How many members of a set one look reads at most. Nobody bounds how many others write.
const MOST_MEMBERS: usize = 300_000;

/// Passes on about the first `most` members of a set, some at a time: nobody bounds its size, and the server does nothing
/// else while it tells all of it. A member may come twice. Returns whether there are more.
pub(super) async fn members(
    connection: &Connection,
    key: &Bytes,
    most: usize,
    mut each: impl FnMut(Bytes),
) -> Result<bool, StoreError> {
    let (mut cursor, mut read) = (BEGIN, 0_usize);
    loop {
        let (name, arguments) = members_from(key, cursor);
        let (some, next) = read_members(connection.command(name, arguments).await?)?;
        read += some.len();
        some.into_iter().for_each(&mut each);
        match next {
            Some(_) if read >= most.min(MOST_MEMBERS) => {
                if read >= MOST_MEMBERS {
                    let key = String::from_utf8_lossy(key);
                    let text = format!(
                        "{key} has more than {MOST_MEMBERS} members; only those that the server names first are looked at"
                    );
                    connection.origin.findings.tell(&format!("the members of {key}"), text);
                }
                return Ok(true);
            }
            Some(next) => cursor = next,
            None => return Ok(false),
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
