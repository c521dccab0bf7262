//! Moves between stores, at the source: sets aside, lets go and puts back; and who a store is.

use bytes::Bytes;
use fred::interfaces::Resp3Frame as Frame;

use super::connection::Connection;
use super::engine::RedisStore;
use super::looked::{Looked, Place};
use super::script::{Call, Script, script};
use super::standing::{Standing, has_moved};
use super::{delayed, inspect, outbox, periodic, reply, scan, verdict};
use crate::job::{Identity, PayloadView, QueueName};
use crate::store::arrow::Perform;
use crate::store::error::StoreError;
use crate::store::instance::InstanceRecord;
use crate::store::moving::{
    Aside, Batch, BatchId, Identify, LastAside, LetGo, ReadAside, RenewSource, SetAside, StoreIdentity, Target, Waiting,
};
use crate::store::stored::Second;
use crate::store::unreadable::{PassedOver, RecordKind};

static IDENTIFY: Script = script!("identify");
static SET_ASIDE: Script =
    script!("places", "departed", "identity", "recall", "entry", "page", "unlink", "trim_second", "set_aside");
static SET_STANDING_ASIDE: Script = script!(
    "lend",
    "standing",
    "places",
    "departed",
    "identity",
    "recall",
    "entry",
    "page",
    "unlink",
    "trim_second",
    "set_aside"
);
static LET_GO: Script = script!("unlink", "aside", "let_go");
static RENEW_SOURCE: Script = script!("aside", "renew_source");

/// How many members of the outbox an item has.
const FIELDS: u64 = 4;

impl Perform<Identify> for RedisStore {
    async fn perform(&self, arrow: Identify) -> Result<StoreIdentity, StoreError> {
        let mut call = self.connection.call();
        call.key(self.connection.keys().moving()).text(&arrow.fresh).text(arrow.mark.as_deref().unwrap_or_default());
        let mut reply = reply::list(self.connection.run(&IDENTIFY, call).await?)?.into_iter();
        let mut next = || reply::bytes(reply.next().unwrap_or(Frame::Null));
        let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
        let (id, mark) = (text(next()?.unwrap_or_default()), next()?.map(text));
        let number = reply::parsed(&next()?.unwrap_or_default()).unwrap_or_default();
        let (_, target) = read_batch(number, &next()?.unwrap_or_default());
        Ok(StoreIdentity { id, mark, last: target.map(|target| LastAside { number, target }) })
    }
}

impl Perform<SetAside> for RedisStore {
    async fn perform(&self, arrow: SetAside) -> Result<Option<Batch>, StoreError> {
        match set_aside_known(&self.connection, &self.looked, &arrow).await? {
            None if make_known(&self.connection).await? => {
                set_aside_known(&self.connection, &self.looked, &arrow).await
            }
            batch => Ok(batch),
        }
    }
}

impl Perform<ReadAside> for RedisStore {
    async fn perform(&self, _: ReadAside) -> Result<Option<Aside>, StoreError> {
        let keys = self.connection.keys();
        let record = ["number", "batch"].map(|field| Bytes::from_static(field.as_bytes()));
        let record = [vec![keys.moving()], record.to_vec()].concat();
        let reads = vec![("LLEN", vec![keys.outbox()]), ("HMGET", record)];
        let mut replies = self.connection.commands(reads).await?.into_iter();
        let mut next = || replies.next().unwrap_or(Ok(Frame::Null));
        let items = reply::count(next()?)? / FIELDS;
        let mut record =
            reply::list(next()?)?.into_iter().map(|field| reply::bytes(field).map(Option::unwrap_or_default));
        let mut field = || record.next().unwrap_or_else(|| Ok(Bytes::new()));
        let number = reply::parsed(&field()?).unwrap_or_default();
        Ok((items > 0).then_some(Aside { items, target: read_batch(number, &field()?).1 }))
    }
}

impl Perform<LetGo> for RedisStore {
    async fn perform(&self, arrow: LetGo) -> Result<(), StoreError> {
        let keys = self.connection.keys();
        let mut call = self.connection.call();
        call.key(keys.outbox()).key(keys.moving());
        batch_id(&mut call, &arrow.id);
        self.connection.run(&LET_GO, call).await.map(drop)
    }
}

impl Perform<RenewSource> for RedisStore {
    async fn perform(&self, arrow: RenewSource) -> Result<bool, StoreError> {
        let keys = self.connection.keys();
        let mut call = self.connection.call();
        call.key(keys.outbox()).key(keys.moving());
        batch_id(&mut call, &arrow.id);
        call.text(&arrow.fresh);
        Ok(reply::number(self.connection.run(&RENEW_SOURCE, call).await?)? == 1)
    }
}

/// The arguments that name a batch, as the scripts read them.
pub(super) fn batch_id(call: &mut Call, id: &BatchId) {
    call.text(&id.source).number(id.number).text(id.token.as_deref().unwrap_or_default());
}

/// The token and the target in the field `batch` (`aside.lua`), if it is that of the batch of this number.
fn read_batch(number: u64, field: &[u8]) -> (Option<String>, Option<Target>) {
    let text = String::from_utf8_lossy(field);
    let mut words = text.splitn(4, ' ').map(str::to_owned);
    if words.next().and_then(|number| number.parse().ok()) != Some(number) {
        return (None, None);
    }
    let token = words.next().filter(|token| !token.is_empty());
    (token, words.next().zip(words.next()).map(|(id, address)| Target { id, address }))
}

/// The queue under which the identity of a job without one is looked for.
pub(super) fn queue_of(payload: &[u8]) -> QueueName {
    let view = PayloadView::parse(payload).ok();
    QueueName::as_stored(view.as_ref().and_then(|view| view.queue.as_deref()).unwrap_or_default())
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

/// Nothing is left if a look from the beginning on finds nothing.
async fn set_aside_known(
    connection: &Connection,
    looked: &Looked,
    arrow: &SetAside,
) -> Result<Option<Batch>, StoreError> {
    let place = looked.place();
    if let Some(batch) = set_aside_from(connection, looked, arrow).await? {
        return Ok(Some(batch));
    }
    looked.set(None);
    match place {
        None => Ok(None),
        Some(_) => set_aside_from(connection, looked, arrow).await.inspect(|found| {
            if found.is_none() {
                looked.set(None);
            }
        }),
    }
}

async fn set_aside_from(
    connection: &Connection,
    looked: &Looked,
    arrow: &SetAside,
) -> Result<Option<Batch>, StoreError> {
    let keys = connection.keys();
    let SetAside { limit, target } = arrow;
    let limit = *limit;
    let batch = format!("{} {} {}", InstanceRecord::new_id(), target.id, target.address);
    let first = |kind: &'static str| {
        let mut call = connection.call();
        verdict::places(&mut call, keys);
        call.key(keys.departed());
        call.key(keys.outbox()).key(keys.moving()).key(keys.schedules()).key(keys.nothing()).key(keys.birth());
        call.text(&InstanceRecord::new_id()).text(&batch).literal(kind);
        call
    };
    if let Some(batch) = aside(connection, first("")).await? {
        return Ok(Some(batch));
    }
    let mut cursor = match looked.place() {
        None => Some(scan::BEGIN),
        Some(Place::Queues(cursor)) => Some(cursor),
        Some(Place::Delayed) => None,
    };
    while let Some(from) = cursor {
        let names;
        (names, cursor) = scan::names(connection, &keys.queues(), from.clone()).await?;
        looked.set(Some(Place::Queues(from)));
        let some = inspect::lengths(connection, inspect::queue_names(&names)).await?;
        let mut with_jobs = some.into_iter().filter(|queue| queue.length > 0).peekable();
        while with_jobs.peek().is_some() {
            // As many queues as it takes to fill a batch.
            let (mut call, mut jobs, mut queues) = (first("Q"), 0, Vec::new());
            while let Some(queue) = with_jobs.next_if(|_| jobs < limit) {
                jobs += usize::try_from(queue.length).unwrap_or(limit);
                queues.push(queue.queue);
            }
            call.number(limit).number(queues.len());
            for queue in queues {
                call.key(keys.queue(&queue)).text(queue.as_str());
            }
            if let Some(batch) = aside(connection, call).await? {
                return Ok(Some(batch));
            }
        }
    }
    looked.set(Some(Place::Delayed));
    loop {
        let Some(second) = inspect::first_delayed(connection).await? else {
            if delayed::rename_first(connection).await? {
                continue;
            }
            break;
        };
        let last = i64::try_from(limit).unwrap_or(i64::MAX) - 1;
        let jobs = inspect::page(connection, keys.delayed(second), 0, last).await?.jobs;
        let mut call = first("D");
        call.key(keys.delayed(second));
        let mut standing = Standing::in_last_key(&call);
        call.key(keys.twins(second)).number(second).number(jobs.len());
        for (job, position) in jobs.into_iter().zip(0..) {
            let from = call.lengths();
            call.key(keys.timestamps(&job)).text(queue_of(&job).as_str()).arg(job.clone());
            standing.lend(&mut call, from, &job, position);
        }
        let script = standing.pick(&mut call, [&SET_ASIDE, &SET_STANDING_ASIDE]);
        // None: the second was empty and was removed, or another program moved its jobs.
        if let Some(batch) = aside_by(connection, script, call).await? {
            return Ok(Some(batch));
        }
    }
    let mut failed = first("F");
    failed.number(limit);
    if let Some(batch) = aside(connection, failed).await? {
        return Ok(Some(batch));
    }
    loop {
        let entries = entries(connection, limit).await?;
        if entries.is_empty() {
            break;
        }
        let mut call = first("P");
        call.number(entries.len());
        for (kind, name, bytes) in entries {
            call.literal(kind).arg(name).arg(bytes);
        }
        // None: another program has changed them meanwhile.
        if let Some(batch) = aside(connection, call).await? {
            return Ok(Some(batch));
        }
    }
    aside(connection, first("S")).await
}

/// At most `limit` entries of periodic tasks and last occurrences of schedules, each with its kind in the outbox. Those that
/// cannot be read are told and stay where they are.
async fn entries(connection: &Connection, limit: usize) -> Result<Vec<(&'static str, Bytes, Bytes)>, StoreError> {
    let keys = connection.keys();
    let mut found = Vec::new();
    let is_second =
        |name: &[u8], bytes: &[u8]| std::str::from_utf8(name).is_ok() && reply::parsed::<Second>(bytes).is_some();
    let is_entry = |name: &[u8], bytes: &[u8]| periodic::read(name, bytes).is_some();
    let periodic = ("P", keys.periodic(), RecordKind::Periodic, &is_entry as &(dyn Fn(&[u8], &[u8]) -> bool + Sync));
    for (kind, key, record, is_readable) in [periodic, ("C", keys.schedules(), RecordKind::Occurrence, &is_second)] {
        let (mut passed, mut next) = (PassedOver::new(record), Some(scan::BEGIN));
        while let Some(cursor) = next.filter(|_| found.len() < limit) {
            let (name, arguments) = scan::fields_from(&key, cursor);
            let fields;
            (fields, next) = match connection.command(name, arguments).await {
                Ok(reply) => scan::read_members(reply)?,
                // It holds no entries, and must not keep the rest here.
                Err(error @ StoreError::Corrupt { .. }) => {
                    connection.origin.findings.tell(kind, format!("a key of another type is not moved: {error}"));
                    break;
                }
                Err(error) => return Err(error),
            };
            for pair in fields.chunks_exact(2) {
                // A scan may name one twice.
                if !is_readable(&pair[0], &pair[1]) {
                    passed.add(&pair[0], "it does not hold what stands there");
                } else if found.len() < limit && !found.iter().any(|(of, name, _)| *of == kind && *name == pair[0]) {
                    found.push((kind, pair[0].clone(), pair[1].clone()));
                }
            }
        }
        if found.len() >= limit {
            passed.ends_early();
        }
        connection.passed_over(&passed, &key);
    }
    Ok(found)
}

async fn aside(connection: &Connection, call: Call) -> Result<Option<Batch>, StoreError> {
    aside_by(connection, &SET_ASIDE, call).await
}

async fn aside_by(connection: &Connection, script: &Script, call: Call) -> Result<Option<Batch>, StoreError> {
    let answer = connection.run(script, call).await?;
    if has_moved(&answer) {
        return Ok(None);
    }
    let mut reply = reply::list(answer)?.into_iter();
    let mut next = || reply.next().unwrap_or(Frame::Null);
    let Some(source) = reply::bytes(next())? else { return Ok(None) };
    let number = reply::count(next())?;
    let fields = match next() {
        Frame::Number { data: members, .. } => outbox::read_long(connection, (&source, number), members).await?,
        members => reply::strings(members)?,
    };
    let items = fields.chunks_exact(4).map(read).collect::<Result<_, _>>()?;
    let (token, target) = read_batch(number, &reply::bytes(next())?.unwrap_or_default());
    let source = String::from_utf8_lossy(&source).into_owned();
    Ok(Some(Batch { id: BatchId { source, number, token }, target, items }))
}

/// Four fields of the outbox, as `set_aside.lua` writes them.
fn read(fields: &[Bytes]) -> Result<Waiting, StoreError> {
    let strange = || StoreError::Corrupt {
        place: "windlass:outbox".to_owned(),
        reason: "it holds what no version of Windlass sets aside".to_owned(),
    };
    let [kind, name, beside, payload] = fields else { return Err(strange()) };
    let name = String::from_utf8_lossy(name);
    let beside = std::str::from_utf8(beside).ok();
    let identity = beside.and_then(Identity::decode);
    let payload = payload.clone();
    Ok(match &kind[..] {
        b"Q" => Waiting::Queued { queue: QueueName::as_stored(&name), payload, identity },
        b"D" => Waiting::Delayed { second: name.parse().map_err(|_| strange())?, payload, identity },
        b"F" => Waiting::Failed { record: payload },
        b"P" => Waiting::Periodic(periodic::read(name.as_bytes(), &payload).ok_or_else(strange)?.ran(beside)),
        b"C" => Waiting::Fired {
            id: name.into_owned(),
            last_s: reply::parsed::<Second>(&payload).ok_or_else(strange)?.get(),
        },
        b"S" => Waiting::Counted {
            processed: name.parse().map_err(|_| strange())?,
            failed: reply::parsed(&payload).ok_or_else(strange)?,
        },
        _ => return Err(strange()),
    })
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
            let _ = read_batch(1, &[b"1 ", &payload[..]].concat());
        }
    }

    #[test]
    fn a_batch_of_another_number_says_nothing() {
        let target = Target { id: "t".to_owned(), address: "sqlite:a b.db".to_owned() };
        assert_eq!(read_batch(7, b"7 ff t sqlite:a b.db"), (Some("ff".to_owned()), Some(target)));
        assert_eq!(read_batch(8, b"7 ff t sqlite:a b.db"), (None, None));
        assert_eq!(read_batch(7, b""), (None, None));
    }
}
