//! Long jobs and records that stand in a list are not sent to the server again: a script takes them from there
//! (`scripts/standing.lua`).
//!
//! Each is named by its position and its digest. If another one stands there by now, nothing is done, and it is looked for by its
//! digest (`scripts/locate.lua`), so that it is never sent: a job that a server holds may be longer than what it or the path to
//! it takes in one call.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;
use futures_util::FutureExt as _;

use super::connection::Connection;
use super::lending::{Known, LONG, Lending, digest};
use super::reply;
use super::script::{Call, Script, script};
use crate::store::error::StoreError;

static LOCATE: Script = script!("page", "locate");

/// How often the values are looked for. Between two times others must have moved one.
const TRIES: u32 = 5;
/// Values come forward as those before them leave: a search begins so far before the place where one was seen.
const BEFORE: i64 = 250;

/// Is it taken from where it stands?
pub(super) fn is_long(value: &[u8]) -> bool {
    value.len() >= LONG
}

/// The values of a call that are taken from a list.
pub(super) struct Standing {
    /// The place of the list in KEYS, from 1.
    list: usize,
    positions: Vec<i64>,
    lending: Lending,
}

impl Standing {
    /// For the list that the call has named last.
    pub(super) fn in_last_key(call: &Call) -> Self {
        Self::in_key(call.lengths().0)
    }

    /// For the list at this place in KEYS, from 1.
    pub(super) fn in_key(list: usize) -> Self {
        Self { list, positions: Vec::new(), lending: Lending::default() }
    }

    /// Takes out of a call what was added since it had so many keys and arguments and stands in a long value of the list.
    pub(super) fn lend(&mut self, call: &mut Call, from: (usize, usize), value: &[u8], position: i64) {
        if is_long(value) {
            self.positions.push(position);
            self.lending.lend(call, from, (self.positions.len(), value), &Known::Digest);
        }
    }

    /// Writes what `standing.lua` reads behind all others, if there is anything, and picks the script: the plain one, or that which
    /// begins with `standing.lua`.
    pub(super) fn pick(self, call: &mut Call, [plain, standing]: [&'static Script; 2]) -> &'static Script {
        if self.positions.is_empty() {
            return plain;
        }
        let at = call.lengths().1;
        call.number(self.positions.len());
        for position in self.positions {
            call.number(self.list).number(position);
        }
        self.lending.write_lenders(call);
        call.number(at);
        standing
    }
}

/// Does the answer say that nothing was done, because another value stands where one was seen?
pub(super) fn has_moved(answer: &Frame) -> bool {
    matches!(answer, Frame::SimpleString { data, .. } if data == "MOVED")
}

/// A value that is looked for.
struct Wanted {
    index: usize,
    length: usize,
    digest: String,
}

/// The long ones of some values of a list: where they stand, and which do not stand there any more.
pub(super) struct Long<'a> {
    connection: &'a Connection,
    list: Bytes,
    /// By their indexes among all values.
    values: Vec<(usize, &'a Bytes)>,
    positions: HashMap<usize, i64>,
    gone: HashSet<usize>,
}

impl<'a> Long<'a> {
    /// Of these values, each with where it was seen.
    pub(super) fn of(
        connection: &'a Connection,
        list: Bytes,
        values: impl Iterator<Item = (&'a Bytes, Option<i64>)>,
    ) -> Self {
        let mut long = Self { connection, list, values: Vec::new(), positions: HashMap::new(), gone: HashSet::new() };
        for (index, (value, seen)) in values.enumerate().filter(|(_, (value, _))| is_long(value)) {
            long.values.push((index, value));
            long.positions.extend(seen.map(|seen| (index, seen)));
        }
        long
    }

    /// Where this value stands, if it is a long one.
    pub(super) fn position(&self, index: usize) -> Option<i64> {
        self.positions.get(&index).copied()
    }

    /// Is this value nowhere in the list?
    pub(super) fn is_gone(&self, index: usize) -> bool {
        self.gone.contains(&index)
    }

    /// Calls until no value was moved meanwhile. `call` gets this, and leaves out what is gone. `None` if all are.
    pub(super) async fn run(
        &mut self,
        all: usize,
        call: impl Fn(&Self) -> (&'static Script, Call),
    ) -> Result<Option<Frame>, StoreError> {
        if self.positions.len() < self.values.len() {
            self.look().boxed().await?;
        }
        for _ in 0..TRIES {
            if self.gone.len() == all {
                return Ok(None);
            }
            let (script, call) = call(self);
            let answer = self.connection.run(script, call).boxed().await?;
            if !has_moved(&answer) {
                return Ok(Some(answer));
            }
            self.look().boxed().await?;
        }
        let list = String::from_utf8_lossy(&self.list);
        Err(StoreError::Unavailable(format!("{list} changes while long values are looked for in it")))
    }

    /// Finds out where they stand now.
    async fn look(&mut self) -> Result<(), StoreError> {
        let seen = self.positions.values().min().copied().unwrap_or(0);
        let left = self.values.iter().filter(|(index, _)| !self.gone.contains(index));
        let mut wanted =
            left.map(|(index, value)| Wanted { index: *index, length: value.len(), digest: digest(value) }).collect();
        self.positions = search(self.connection, &self.list, seen, &mut wanted).await?;
        self.gone.extend(wanted.into_iter().map(|one: Wanted| one.index));
        Ok(())
    }
}

/// Where the value of this length and digest stands that was seen at this position.
pub(super) async fn position_of(
    connection: &Connection,
    list: &Bytes,
    seen: i64,
    length: usize,
    digest: &str,
) -> Result<Option<i64>, StoreError> {
    let mut wanted = vec![Wanted { index: 0, length, digest: digest.to_owned() }];
    let mut positions = search(connection, list, seen, &mut wanted).boxed().await?;
    Ok(positions.remove(&0))
}

/// Where these values stand, of which the first was seen at this position. What it finds it takes off the list of what is wanted.
async fn search(
    connection: &Connection,
    list: &Bytes,
    seen: i64,
    wanted: &mut Vec<Wanted>,
) -> Result<HashMap<usize, i64>, StoreError> {
    let (mut positions, near) = (HashMap::new(), (seen - BEFORE).max(0));
    for (from, to) in [(near, i64::MAX), (0, near)] {
        let mut next = Some(from);
        while let Some(from) = next.filter(|from| *from < to && !wanted.is_empty()) {
            let mut call = connection.call();
            call.key(list.clone()).number(from).number(wanted.len());
            for Wanted { length, digest, .. } in &*wanted {
                call.number(length).text(digest);
            }
            let mut answer = reply::list(connection.run(&LOCATE, call).await?)?.into_iter();
            next = answer.next().map(reply::bytes).transpose()?.flatten().as_deref().and_then(reply::parsed);
            let mut found = HashSet::new();
            while let (Some(number), Some(position)) = (answer.next(), answer.next()) {
                let number = usize::try_from(reply::count(number)?).unwrap_or(usize::MAX);
                if let Some(one) = number.checked_sub(1).and_then(|number| wanted.get(number)) {
                    positions.insert(one.index, reply::number(position)?);
                    found.insert(one.index);
                }
            }
            wanted.retain(|one| !found.contains(&one.index));
        }
    }
    Ok(positions)
}
