//! Looks through all keys of the server, for what no index names. Only what people ask for may do so.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;
use fred::types::Value;

use super::connection::Connection;
use super::reply;
use super::script::{Call, Script, script};
use crate::job::name::LONGEST_NAME;
use crate::store::error::StoreError;
use crate::text::clean::named;
use crate::text::shell::word;

static NAMES: Script = script!("names");

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

/// The call that reads the members of a set from a cursor on, without those that are too long to be names.
fn names_from(connection: &Connection, key: &Bytes, cursor: Bytes) -> Call {
    let mut call = connection.call();
    call.key(key.clone()).arg(cursor).literal(MEMBERS).number(LONGEST_NAME);
    call
}

/// The members of a set from a cursor on, and the cursor of the rest if there is one. What is too long to be a name is left out and
/// told.
pub(super) async fn names(
    connection: &Connection,
    key: &Bytes,
    cursor: Bytes,
) -> Result<(Vec<Bytes>, Option<Bytes>), StoreError> {
    let call = names_from(connection, key, cursor);
    read_names(connection, key, connection.run(&NAMES, call).await?)
}

/// The command that does so from the beginning on, for a server that knows the script.
pub(super) fn first_names(connection: &Connection, key: &Bytes) -> (&'static str, Vec<Bytes>) {
    let command = names_from(connection, key, BEGIN).into_command(NAMES.digest.clone());
    let bytes = |value| if let Value::Bytes(bytes) = value { Some(bytes) } else { None };
    ("EVALSHA", command.into_iter().filter_map(bytes).collect())
}

/// What that command answered. A server that has not run it is asked again, with the script.
pub(super) async fn read_first_names(
    connection: &Connection,
    key: &Bytes,
    answer: Result<Frame, StoreError>,
) -> Result<(Vec<Bytes>, Option<Bytes>), StoreError> {
    match answer {
        Ok(page) => read_names(connection, key, page),
        Err(error) if error.is_transient() => Err(error),
        Err(_) => names(connection, key, BEGIN).await,
    }
}

fn read_names(connection: &Connection, key: &Bytes, page: Frame) -> Result<(Vec<Bytes>, Option<Bytes>), StoreError> {
    let mut page = reply::list(page)?;
    let long = if page.len() > 2 { reply::list(page.remove(2))? } else { Vec::new() };
    if let [beginning, length, ..] = &long[..] {
        let beginning = reply::bytes(beginning.clone())?.unwrap_or_default();
        let length = reply::count(length.clone())?;
        let others = long.len() / 2 - 1;
        let key = String::from_utf8_lossy(key);
        let more = if others == 0 { String::new() } else { format!(" and {others} others like it") };
        let remove = format!(
            "for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do if #name > {LONGEST_NAME} then \
             redis.call('SREM', KEYS[1], name) end end"
        );
        let text = format!(
            "a member of {key} has {length} bytes, where a name has {LONGEST_NAME} at most: {}...{more}; it is passed over. \
             Remove what is too long: redis-cli EVAL {} 1 {}",
            named(&String::from_utf8_lossy(&beginning)),
            word(&remove),
            word(&key)
        );
        connection.origin.findings.tell(&format!("long members of {key}"), text);
    }
    read_page(page)
}

/// The command that reads the fields of a hash, each followed by its value, from a cursor on.
pub(super) fn fields_from(key: &Bytes, cursor: Bytes) -> (&'static str, Vec<Bytes>) {
    let count = [&b"COUNT"[..], MEMBERS.as_bytes()].map(Bytes::from_static);
    ("HSCAN", [key.clone(), cursor].into_iter().chain(count).collect())
}

/// The cursor of the beginning of a set or of a hash.
pub(super) const BEGIN: Bytes = Bytes::from_static(b"0");

/// The members in a reply to a scan, and the cursor of the rest if there is one.
pub(super) fn read_members(reply: Frame) -> Result<(Vec<Bytes>, Option<Bytes>), StoreError> {
    read_page(reply::list(reply)?)
}

fn read_page(page: Vec<Frame>) -> Result<(Vec<Bytes>, Option<Bytes>), StoreError> {
    let mut reply = page.into_iter();
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
        let (some, next) = names(connection, key, cursor).await?;
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
