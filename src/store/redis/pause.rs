//! Pauses: a set of queues of our own, and the switch that Ruby's workers obey too.
//!
//! Each change is one command and therefore one atomic step; the exchange reads both in its own (`claim.lua`).

use std::collections::HashSet;

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::inspect::queue_name;
use super::{reply, scan};
use crate::job::{FirstQueues, QueueName};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::inspection::{Pause, Paused, ReadPaused, Resume};

/// How many bytes of the switch are looked at, as in `claim.lua`.
const LOOKED_AT: usize = 99;

impl Perform<Pause> for RedisStore {
    async fn perform(&self, arrow: Pause) -> Result<bool, StoreError> {
        pause(&self.connection, arrow.queue.as_ref()).await
    }
}

impl Perform<Resume> for RedisStore {
    async fn perform(&self, arrow: Resume) -> Result<bool, StoreError> {
        resume(&self.connection, arrow.queue.as_ref()).await
    }
}

impl Perform<ReadPaused> for RedisStore {
    async fn perform(&self, _: ReadPaused) -> Result<Paused, StoreError> {
        paused(&self.connection).await
    }
}

pub(super) async fn pause(connection: &Connection, queue: Option<&QueueName>) -> Result<bool, StoreError> {
    let keys = connection.keys();
    match queue {
        Some(queue) => added(connection.command("SADD", vec![keys.paused(), name(queue)]).await?),
        None => {
            let words: [&'static [u8]; 2] = [b"true", b"GET"];
            let arguments = std::iter::once(keys.pause_all()).chain(words.map(Bytes::from_static)).collect();
            let before = reply::bytes(connection.command("SET", arguments).await?)?;
            Ok(!before.is_some_and(|text| says_pause(&text)))
        }
    }
}

pub(super) async fn resume(connection: &Connection, queue: Option<&QueueName>) -> Result<bool, StoreError> {
    let keys = connection.keys();
    match queue {
        Some(queue) => added(connection.command("SREM", vec![keys.paused(), name(queue)]).await?),
        None => {
            let before = reply::bytes(connection.command("GETDEL", vec![keys.pause_all()]).await?)?;
            Ok(before.is_some_and(|text| says_pause(&text)))
        }
    }
}

/// What is paused. Of very many pauses those are told that the server names first, and that there are more is told, too.
pub(super) async fn paused(connection: &Connection) -> Result<Paused, StoreError> {
    let keys = connection.keys();
    let all = of_its_type(connection.command("GET", vec![keys.pause_all()]).await)?.map_or(Ok(None), reply::bytes)?;
    let mut queues = FirstQueues::new(usize::MAX);
    let add = |member: Bytes| queue_name(&member).into_iter().for_each(|name| queues.add(name));
    match scan::members(connection, &keys.paused(), usize::MAX, add).await {
        Ok(_) | Err(StoreError::Corrupt { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(Paused { all: all.is_some_and(|text| says_pause(&text)), queues: queues.into_names().collect() })
}

/// How many queues one command asks about.
const ASKED: usize = 1000;

/// Which of some queues are paused.
#[derive(Debug, Clone, Default)]
pub(super) struct PausedAmong {
    all: bool,
    queues: HashSet<QueueName>,
}

impl PausedAmong {
    /// Is it paused, by itself or with all others?
    pub(super) fn holds(&self, queue: &QueueName) -> bool {
        self.all || self.queues.contains(queue)
    }
}

/// The commands that [`read`] reads the replies of. Anybody may pause any number of queues, so that only these are asked for.
pub(super) fn reads(connection: &Connection, queues: &[QueueName]) -> Vec<(&'static str, Vec<Bytes>)> {
    let keys = connection.keys();
    let some = |some: &[QueueName]| {
        ("SMISMEMBER", std::iter::once(keys.paused()).chain(some.iter().map(name)).collect::<Vec<_>>())
    };
    std::iter::once(("GET", vec![keys.pause_all()])).chain(queues.chunks(ASKED).map(some)).collect()
}

/// Which of these queues are paused. Keys of another type pause nothing.
pub(super) fn read(
    queues: &[QueueName],
    next: &mut impl FnMut() -> Result<Frame, StoreError>,
) -> Result<PausedAmong, StoreError> {
    let all = of_its_type(next())?.map_or(Ok(None), reply::bytes)?;
    let mut paused = PausedAmong { all: all.is_some_and(|text| says_pause(&text)), queues: HashSet::new() };
    for some in queues.chunks(ASKED) {
        let marks = of_its_type(next())?.map_or(Ok(Vec::new()), reply::list)?;
        for (queue, mark) in some.iter().zip(marks) {
            if reply::count(mark)? > 0 {
                paused.queues.insert(queue.clone());
            }
        }
    }
    Ok(paused)
}

fn of_its_type(frame: Result<Frame, StoreError>) -> Result<Option<Frame>, StoreError> {
    match frame {
        Ok(frame) => Ok(Some(frame)),
        Err(StoreError::Corrupt { .. }) => Ok(None),
        // Whether anything is paused is not known.
        Err(error) => Err(error),
    }
}

/// Does the switch pause, as Ruby reads it: `true` in any case, with blanks around it?
pub(super) fn says_pause(text: &[u8]) -> bool {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let text = text.get(..LOOKED_AT).unwrap_or(text);
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    text.get(start..end).is_some_and(|word| word.eq_ignore_ascii_case(b"true"))
}

fn added(frame: Frame) -> Result<bool, StoreError> {
    Ok(reply::count(frame)? > 0)
}

fn name(queue: &QueueName) -> Bytes {
    Bytes::copy_from_slice(queue.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::says_pause;

    #[test]
    fn the_switch_is_read_as_ruby_reads_it() {
        for on in ["true", "TRUE", " True\n", "\t\x0btrue\r\n"] {
            assert!(says_pause(on.as_bytes()), "{on:?}");
        }
        for off in ["", " ", "false", "1", "true.", "t rue", "yes", "\u{e9}"] {
            assert!(!says_pause(off.as_bytes()), "{off:?}");
        }
    }
}
