//! Moves between stores: sets aside, takes in and lets go.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::script::{Call, Script, script};
use super::{delayed, inspect, periodic, reply, scan, verdict};
use crate::job::{Identity, PayloadView, QueueName};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::instance::InstanceRecord;
use crate::store::moving::{Batch, LetGo, SetAside, TakeIn, TakeInTarget, Waiting};

static SET_ASIDE: Script = script!("places", "identity", "recall", "page", "unlink", "trim_second", "set_aside");
static TAKE_IN: Script = script!("locks", "places", "identity", "remember", "delay", "take_in");
static LET_GO: Script = script!("unlink", "let_go");

impl Perform<SetAside> for RedisStore {
    async fn perform(&self, arrow: SetAside) -> Result<Option<Batch>, StoreError> {
        set_aside(&self.connection, arrow.limit).await
    }
}

impl Perform<TakeIn> for RedisStore {
    async fn perform(&self, arrow: TakeIn) -> Result<bool, StoreError> {
        take_in(&self.connection, &arrow.batch, &arrow.targets).await
    }
}

impl Perform<LetGo> for RedisStore {
    async fn perform(&self, arrow: LetGo) -> Result<(), StoreError> {
        let_go(&self.connection, arrow.number).await
    }
}

/// The queue under which the identity of a job without one is looked for.
fn queue_of(payload: &[u8]) -> QueueName {
    let view = PayloadView::parse(payload).ok();
    QueueName::as_stored(view.as_ref().and_then(|view| view.queue.as_deref()).unwrap_or_default())
}

pub(super) async fn set_aside(connection: &Connection, limit: usize) -> Result<Option<Batch>, StoreError> {
    match set_aside_known(connection, limit).await? {
        None if make_known(connection).await? => set_aside_known(connection, limit).await,
        batch => Ok(batch),
    }
}

/// Makes queues known that have jobs and are missing in the set of queues: no command finds them, and they would be left
/// behind. Returns whether there are any.
async fn make_known(connection: &Connection) -> Result<bool, StoreError> {
    let keys = connection.keys();
    let lists = match scan::keys(connection, "queue").await {
        Err(StoreError::Unsupported(reason)) => {
            let text = format!("lists of queues that are not known are not looked for: {reason}");
            connection.origin.findings.tell("lists", text);
            return Ok(false);
        }
        lists => lists?,
    };
    let lengths = connection.commands(lists.iter().map(|list| ("LLEN", vec![list.clone()])).collect()).await?;
    let mut add = vec![keys.queues()];
    for (list, length) in lists.iter().zip(lengths) {
        let name = list.slice(keys.queue_prefix_len()..);
        // A key of another type holds no jobs, and no command can name a queue whose name is no text.
        if length.and_then(reply::count).is_ok_and(|length| length > 0) && std::str::from_utf8(&name).is_ok() {
            add.push(name);
        }
    }
    if add.len() == 1 {
        return Ok(false);
    }
    connection.command("SADD", add).await.map(|_| true)
}

async fn set_aside_known(connection: &Connection, limit: usize) -> Result<Option<Batch>, StoreError> {
    let keys = connection.keys();
    let first = |kind: &'static str| {
        let mut call = connection.call();
        verdict::places(&mut call, keys);
        call.key(keys.outbox()).key(keys.moving()).key(keys.schedules()).key(keys.nothing());
        call.text(&InstanceRecord::new_id()).literal(kind);
        call
    };
    if let Some(batch) = aside(connection, first("")).await? {
        return Ok(Some(batch));
    }
    for queue in inspect::queues(connection).await?.into_iter().filter(|queue| queue.length > 0) {
        let mut call = first("Q");
        call.key(keys.queue(&queue.queue)).text(queue.queue.as_str()).number(limit);
        if let Some(batch) = aside(connection, call).await? {
            return Ok(Some(batch));
        }
    }
    loop {
        let seconds = inspect::delayed_seconds(connection, i64::MIN, 1).await?;
        let Some(next) = seconds.first() else {
            if delayed::rename_first(connection).await? {
                continue;
            }
            break;
        };
        let last = i64::try_from(limit).unwrap_or(i64::MAX) - 1;
        let (jobs, _) = inspect::page(connection, keys.delayed(next.second), 0, last).await?;
        let mut call = first("D");
        call.key(keys.delayed(next.second)).key(keys.twins(next.second)).number(next.second).number(jobs.len());
        for job in jobs {
            call.key(keys.timestamps(&job)).text(queue_of(&job).as_str()).arg(job);
        }
        // None: the second was empty and was removed, or another program moved its jobs.
        if let Some(batch) = aside(connection, call).await? {
            return Ok(Some(batch));
        }
    }
    let mut failed = first("F");
    failed.number(limit);
    for call in [failed, first("P"), first("S")] {
        if let Some(batch) = aside(connection, call).await? {
            return Ok(Some(batch));
        }
    }
    Ok(None)
}

async fn aside(connection: &Connection, call: Call) -> Result<Option<Batch>, StoreError> {
    let mut reply = reply::list(connection.run(&SET_ASIDE, call).await?)?.into_iter();
    let mut next = || reply.next().unwrap_or(Frame::Null);
    let Some(source) = reply::bytes(next())? else { return Ok(None) };
    let number = reply::count(next())?;
    let fields = reply::strings(next())?;
    let items = fields.chunks_exact(4).map(read).collect::<Result<_, _>>()?;
    Ok(Some(Batch { source: String::from_utf8_lossy(&source).into_owned(), number, items }))
}

/// Four fields of the outbox, as `set_aside.lua` writes them.
fn read(fields: &[Bytes]) -> Result<Waiting, StoreError> {
    let strange = || StoreError::Corrupt {
        place: "windlass:outbox".to_owned(),
        reason: "it holds what no version of Windlass sets aside".to_owned(),
    };
    let [kind, name, identity, payload] = fields else { return Err(strange()) };
    let name = String::from_utf8_lossy(name);
    let identity = std::str::from_utf8(identity).ok().and_then(Identity::decode);
    let payload = payload.clone();
    Ok(match &kind[..] {
        b"Q" => Waiting::Queued { queue: QueueName::as_stored(&name), payload, identity },
        b"D" => Waiting::Delayed { second: name.parse().map_err(|_| strange())?, payload, identity },
        b"F" => Waiting::Failed { record: payload },
        b"P" => Waiting::Periodic(periodic::read(name.as_bytes(), &payload).ok_or_else(strange)?),
        b"C" => Waiting::Fired { id: name.into_owned(), last_s: reply::parsed(&payload).ok_or_else(strange)? },
        b"S" => Waiting::Counted {
            processed: name.parse().map_err(|_| strange())?,
            failed: reply::parsed(&payload).ok_or_else(strange)?,
        },
        _ => return Err(strange()),
    })
}

pub(super) async fn take_in(
    connection: &Connection,
    batch: &Batch,
    targets: &[TakeInTarget],
) -> Result<bool, StoreError> {
    let keys = connection.keys();
    let plain = TakeInTarget::default();
    let mut call = connection.call();
    verdict::places(&mut call, keys);
    call.key(keys.moved()).key(keys.schedules()).text(&batch.source).number(batch.number).number(batch.items.len());
    let encoded = |identity: &Option<Identity>| identity.as_ref().map(verdict::encoded).unwrap_or_default();
    for (index, item) in batch.items.iter().enumerate() {
        let TakeInTarget { lock, once } = targets.get(index).unwrap_or(&plain);
        match item {
            Waiting::Queued { queue, payload, identity } => {
                call.literal("Q").key(keys.queue(queue)).key(keys.timestamps(payload));
                call.text(queue.as_str()).arg(payload.clone()).arg(encoded(identity)).flag(*once);
                match lock {
                    Some((lock, ttl_s)) => call.number(ttl_s).key(keys.lock(lock)),
                    None => call.literal(""),
                };
            }
            Waiting::Delayed { second, payload, identity } => {
                let queue = queue_of(payload);
                call.literal("D").key(keys.delayed(*second)).key(keys.queue(&queue)).key(keys.timestamps(payload));
                call.number(second).text(queue.as_str()).arg(payload.clone()).arg(encoded(identity)).flag(*once);
            }
            Waiting::Failed { record } => {
                call.literal("F").arg(record.clone());
            }
            Waiting::Periodic(entry) => {
                call.literal("P").text(entry.task.as_str()).text(&entry.encode());
            }
            Waiting::Fired { id, last_s } => {
                call.literal("C").text(id).number(last_s);
            }
            Waiting::Counted { processed, failed } => {
                call.literal("S").number(processed).number(failed);
            }
        }
    }
    Ok(reply::number(connection.run(&TAKE_IN, call).await?)? == 1)
}

pub(super) async fn let_go(connection: &Connection, number: u64) -> Result<(), StoreError> {
    let keys = connection.keys();
    let mut call = connection.call();
    call.key(keys.outbox()).key(keys.moving()).number(number);
    connection.run(&LET_GO, call).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reader(
            kind in "[QDFPCSX]?",
            fields in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..30), 3),
            number in "-?[0-9]{0,25}",
        ) {
            let [name, identity, payload] = &fields[..] else { unreachable!("three are made") };
            let fields = [kind.as_bytes(), name, identity, payload].map(Bytes::copy_from_slice);
            let _ = read(&fields);
            let _ = read(&fields[..3]);
            let number = Bytes::from(number);
            let _ = read(&[fields[0].clone(), number.clone(), fields[2].clone(), number]);
        }
    }
}
