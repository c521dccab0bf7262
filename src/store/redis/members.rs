//! Reads members of lists, of any length, in replies that are not long.
//!
//! A reply tells of a long member only what it is known by (`scripts/announce.lua`). It is read in parts, each of which is waited
//! for as long as its bytes may take, and between which others use the connection: the lease is extended meanwhile.

use bytes::{Bytes, BytesMut};
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::lending::digest;
use super::script::{Script, script};
use super::{reply, standing};
use crate::store::error::StoreError;
use crate::store::scheduling::LongDue;

static PART: Script = script!("member_part");

/// How many bytes a part has at least and at most. Longer members have longer parts, because the server reads all of one for each.
const PART_BYTES: (usize, usize) = (256 * 1024, 4 * 1024 * 1024);
/// In how many parts a member is read, unless they were too short or too long.
const PARTS: usize = 64;
/// How often a list is read that changes meanwhile.
pub(super) const TRIES: u32 = 5;

/// What a reply tells of a member.
pub(super) enum Told {
    Whole(Bytes),
    /// Its beginning, and what it is known by.
    Long(Bytes, LongDue),
}

/// Reads what a reply tells of some members.
pub(super) fn told(frame: Frame) -> Result<Vec<Told>, StoreError> {
    let one = |frame: Frame| match frame {
        Frame::Array { data, .. } => {
            let mut parts = data.into_iter();
            let mut next = || parts.next().unwrap_or(Frame::Null);
            let length = reply::count(next())?;
            let mut text = || reply::bytes(next()).map(Option::unwrap_or_default);
            let (digest, beginning, end) = (text()?, text()?, text()?);
            let digest = String::from_utf8_lossy(&digest).into_owned();
            Ok(Told::Long(beginning, LongDue { length, digest, end }))
        }
        frame => Ok(Told::Whole(reply::bytes(frame)?.unwrap_or_default())),
    };
    reply::list(frame)?.into_iter().map(one).collect()
}

/// These members, which stand at these positions, as they are. `None` if one of them has left the list.
pub(super) async fn whole(
    connection: &Connection,
    list: &Bytes,
    positions: impl Iterator<Item = i64>,
    told: Vec<Told>,
) -> Result<Option<Vec<Bytes>>, StoreError> {
    let mut members = Vec::with_capacity(told.len());
    for (member, position) in told.into_iter().zip(positions) {
        members.push(match member {
            Told::Whole(member) => member,
            Told::Long(_, long) => match read(connection, list, position, &long).await? {
                Some(member) => member,
                None => return Ok(None),
            },
        });
    }
    Ok(Some(members))
}

/// A list that changes faster than it can be read.
pub(super) fn changes(list: &Bytes) -> StoreError {
    let list = String::from_utf8_lossy(list);
    StoreError::Unavailable(format!("{list} changes while a long member of it is read"))
}

async fn read(
    connection: &Connection,
    list: &Bytes,
    mut position: i64,
    long: &LongDue,
) -> Result<Option<Bytes>, StoreError> {
    let length = usize::try_from(long.length).unwrap_or(usize::MAX);
    let size = (length / PARTS).clamp(PART_BYTES.0, PART_BYTES.1);
    let mut member = BytesMut::new();
    while member.len() < length {
        let (from, to) = (member.len(), length.min(member.len() + size));
        let mut call = connection.call();
        call.key(list.clone()).number(position).number(length).number(from + 1).number(to);
        match reply::bytes(connection.run_for(&PART, call, to - from).await?)? {
            Some(part) if part.len() == to - from => member.extend_from_slice(&part),
            // It moves as those before it leave.
            _ => match standing::position_of(connection, list, position, length, &long.digest).await? {
                Some(now) if now != position => position = now,
                _ => return Ok(None),
            },
        }
    }
    let member = member.freeze();
    // Another one of the same length may stand there by now.
    Ok(Some(member).filter(|member| digest(member) == long.digest))
}
